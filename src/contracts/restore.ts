import type { Abortable, Bytes } from "../core/bytes.ts";
import type { BackupError } from "../core/errors.ts";
import type { Until } from "./changes.ts";
import type { Inventory, InventoryDifference, RestoreLeftover } from "./inventory.ts";
import type { Artifact, Manifest } from "./manifest.ts";

/** A stored artifact, ready to be read back. */
export interface RestorableArtifact extends Artifact {
  /**
   * The raw bytes, decoded. Digests and structure are checked as they pass, and the end throws when
   * they differ: a consumer that has seen the end without an error has read what was dumped.
   */
  open(o: Abortable): Bytes;
}

/** A stored backup whose artifacts can be read. */
export interface OpenableBackup {
  readonly manifest: Manifest;
  readonly artifacts: readonly RestorableArtifact[];
}

/** One backup of a chain. */
export interface RestorableBackup extends OpenableBackup {
  readonly inventory: Inventory;
}

/** A full backup and what restores on top of it, oldest first; never empty. */
export type RestorableChain = readonly RestorableBackup[];

/** How to restore. The connector it is given to was opened on the target. */
export interface RestoreOptions {
  /** Which of the backup's databases; undefined for all. */
  readonly databases?: readonly string[];
  /** Replace what is there. */
  readonly isOverwrite: boolean;
  /** Only these tables or collections; empty for everything. */
  readonly only: readonly string[];
  /** Apply the backup's accounts artifact, too. */
  readonly isWithAccounts: boolean;
  /**
   * Take a restored database as it is although it differs from the inventory; and what an earlier
   * restore of this backup left for that reason, without restoring again: {@link RestoreStep.adopts}.
   */
  readonly isDifferenceAccepted: boolean;
  /**
   * Go on after statements that fail and list them. A database of which something failed then takes
   * no other's place: restored beside one, it stays there, and is one of {@link RestoreResult.left}.
   */
  readonly isKeepGoing: boolean;
  /** Parallel restore workers, where the tool has them; default 1. */
  readonly jobs: number;
  readonly restoreArgs: readonly string[];
  /** The backup's id, for the names of databases restored beside and kept. */
  readonly backupId: string;
  /**
   * Where to stop, inside the window of the chain's last backup; absent: at its end. Given only where
   * that backup has a window.
   */
  readonly until?: Until;
  /**
   * Given where only the plan is wanted: told of everything that the restore would be refused for, so
   * that the plan is made all the same; see `refuse` in ./refusal.ts. Absent, the first refusal is thrown.
   */
  readonly onRefusal?: (refusal: BackupError) => void;
}

/** What a restore is going to do to one database. */
export interface RestoreStep {
  /** Its name in the backup. */
  readonly from: string;
  /** Its name, or path, on the target. */
  readonly to: string;
  /**
   * `create`: it is not there yet. `fill`: it is there and empty. `swap`: it is restored beside, and
   * the old one is kept under another name. `replace`: the old content is dropped, because the
   * engine cannot rename a database.
   */
  readonly mode: "create" | "fill" | "swap" | "replace";
  /** For `swap`: the name that the old one is kept under. */
  readonly keptAs?: string;
  /**
   * The database, or file, that an earlier restore of this backup left because it differed: it is
   * taken as it is, and nothing is restored. Only with {@link RestoreOptions.isDifferenceAccepted}.
   */
  readonly adopts?: string;
  /** What will be lost, as a sentence; only for `replace`. */
  readonly loses?: string;
  /** What {@link RestoreOptions.only} comes to, where the engine's objects need others. */
  readonly part?: RestoredPart;
}

/** The part of a database that is restored; objects as people call them: `table public.orders`. */
export interface RestoredPart {
  /** What was asked for, with what is a part of it: partitions, a column's own sequence. */
  readonly asked: readonly string[];
  /** What comes along because that needs it, and for what. */
  readonly along: readonly string[];
  /** What that needs and is there already: it stays as it is. */
  readonly used: readonly string[];
  /** What is left out, or is not as in the backup, as sentences. */
  readonly notes: readonly string[];
}

/** What a restore would do, found out without touching anything. */
export interface RestorePlan {
  readonly steps: readonly RestoreStep[];
  /** True when the whole backup must be read and checked before the target is touched. */
  readonly isCheckedFirst: boolean;
  /** Things to know that stop nothing: missing owners, a newer server. */
  readonly warnings: readonly string[];
  /** The target, for people: `PostgreSQL 15.18 at localhost:5432`. */
  readonly target: string;
  /**
   * What {@link SourceInfo.sourceId} says of the target: a restore and a backup of one database meet
   * by it, however their URLs spell the server. Absent: the connector's location stands in.
   */
  readonly sourceId?: string | undefined;
  /** As {@link SourceInfo.locks}; absent: `sourceId` with the steps' targets. */
  readonly locks?: readonly string[];
}

/** A statement that failed in a restore that keeps going. */
export interface RestoreFailure {
  /** The database's name on the target. */
  readonly database: string;
  /** What was to be made, for people: `index public.places_earth`; absent where nobody can tell. */
  readonly object?: string;
  /** The server's, or the tool's, own words. */
  readonly message: string;
  /** What is missing or different for it, as a sentence. */
  readonly leaves: string;
}

/** What a restore did. */
export interface RestoreResult {
  readonly steps: readonly RestoreStep[];
  /** Only of a restore that keeps going: what failed. The command then ends with status 8. */
  readonly failures: readonly RestoreFailure[];
  /** What was not put in its place, because something of it failed. */
  readonly left: readonly RestoreLeftover[];
  /** Differences from the inventory that are no failure, or that were accepted. */
  readonly differences: readonly InventoryDifference[];
  /** True where what is there now was compared with the inventory; absent where it was not. */
  readonly isCompared?: boolean;
  readonly warnings: readonly string[];
  /** What the user may want to do next, as commands: how to drop the kept database. */
  readonly followUps: readonly string[];
}
