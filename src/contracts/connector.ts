import type { z } from "zod";
import type { BackupError } from "../core/errors.ts";
import type { Abortable, Bytes } from "../core/bytes.ts";
import type { Runtime } from "../core/runtime.ts";
import type { Continuation, Positions, Since, Until, Window } from "./changes.ts";
import type { ConfigExample } from "./example.ts";
import type { ArtifactContents, ArtifactFormat } from "./format.ts";
import type {
  DatabaseInventory,
  Inventory,
  InventoryDifference,
  RestoreLeftover,
} from "./inventory.ts";
import type { Artifact, Kind, Manifest, Omission, Position } from "./manifest.ts";
import type { RecipeChain, RecipeStep } from "./recipe.ts";

/** A program that a connector uses. */
export interface Tool {
  /** `pg_dump`. */
  readonly name: string;
  /** Where it was found; undefined when it is missing. */
  readonly path: string | undefined;
  /** Its own version, `15.18`; undefined when it is missing. */
  readonly version: string | undefined;
}

/** A look at the source before anything is read. */
export interface SourceInfo {
  /**
   * What the server itself says: identifies it across addresses and restarts, and no other server.
   * Undefined where it has no such thing; then {@link ConnectorKind.declaredSource} stands in.
   */
  readonly sourceId?: string | undefined;
  /** The kind that it really is, where that is another than was asked for: MariaDB at `mysql://`. */
  readonly kind?: string;
  /**
   * Where exactly this machine found it, if its declaration leaves that open: the file behind a
   * relative path. Two runs on one machine with different places are of different sources.
   */
  readonly place?: string;
  /** `PostgreSQL`, `MariaDB`, `MySQL`, `MongoDB`, `SQLite`. */
  readonly flavour: string;
  /** The server's version, as short as it gets: `15.18`. */
  readonly version: string;
  readonly tools: readonly Tool[];
  /** The privileges that the dump needs, and whether this user has them. */
  readonly privileges: readonly { readonly name: string; readonly isGranted: boolean }[];
  /** What a dump with these settings would leave out without a word. */
  readonly omissions: readonly Omission[];
  /** Kinds of backup that this very server can give now. */
  readonly capabilities: readonly Kind[];
  /** Where its change log stands now, where it keeps one. */
  readonly position?: Position;
  /** The oldest moment that its change log reaches back to, where it lets go of the log by itself. */
  readonly logSince?: Date;
  /** Whether its log goes on from {@link InspectOptions.since}; absent where it was not asked. */
  readonly continues?: Continuation;
  /** The server's clock minus ours, in milliseconds; null where it cannot be told. */
  readonly clockOffsetMs: number | null;
  /** An estimate of the raw dump's size, for progress; undefined where there is none. */
  readonly estimatedBytes?: number;
  /** Things to know that stop nothing; every run tells them. */
  readonly warnings: readonly string[];
  /** Things that could be better, and that only doctor tells. */
  readonly advice?: readonly string[];
  /**
   * What identifies each database on this machine, so that no two runs use one at the same time;
   * absent: what identifies the source, with the names of its databases. A file is its real path.
   */
  readonly locks?: readonly string[];
}

/** The job's settings that shape a dump; each connector kind says which ones it has. */
export interface DumpSettings {
  /** Objects to leave out entirely, as the engine's tool names them. */
  readonly exclude?: readonly string[];
  /** Tables or collections whose rows are left out. */
  readonly excludeData?: readonly string[];
  /** Only definitions, no rows. */
  readonly schemaOnly?: boolean;
  /** More arguments for the dump tool, as they are. */
  readonly dumpArgs?: readonly string[];
  /** More arguments for the restore tool, as they are. */
  readonly restoreArgs?: readonly string[];
}

/** What a source is asked about. */
export interface InspectOptions extends Abortable {
  readonly settings?: DumpSettings;
  /** The job's name: what the source keeps for it, such as a slot, is named after it. */
  readonly job?: string;
  /** What a next backup would build on; then {@link SourceInfo.continues} answers. */
  readonly since?: Since;
  /** True where a full backup would be taken for others to build on: see {@link DumpPlan.isBase}. */
  readonly isBase?: boolean;
}

/** What to dump. */
export interface DumpPlan {
  readonly kind: Kind;
  /** The job's name, see {@link InspectOptions.job}; absent: the source keeps nothing for it. */
  readonly job?: string;
  /** True where later backups may build on it: it is to be taken so that they can. Default false. */
  readonly isBase?: boolean;
  /** What it builds on, for kinds that do; its artifacts can be read. */
  readonly parent?: OpenableBackup;
  /** The parent after all that it builds on, the full backup first; there whenever `parent` is. */
  readonly chain?: readonly OpenableBackup[];
  readonly settings: DumpSettings;
  /** Milliseconds of silence from the tool after which the dump fails. */
  readonly stallMs: number;
  /** For progress: told now and then how many bytes are made ready before the first are emitted. */
  readonly onPrepared?: (bytes: number) => void;
  /** Told when all of that is ready and is checked, which may take long, before any of it goes by. */
  readonly onChecking?: () => void;
}

/** The head of an artifact that a dump is about to emit. */
export interface ArtifactHead {
  /** `dump`, `accounts`, `log`, or another of {@link ConnectorKind.roles}. */
  readonly role: string;
  /** The databases inside, by their real names. */
  readonly databases: readonly string[];
  /** {@link ArtifactFormat} id. */
  readonly format: string;
  /** A readable part of the file name; escaped and shortened by the catalog. */
  readonly slug: string;
  /**
   * Never encrypted, so that the next run can read it on a machine that has no key: digests of what
   * the backup holds, and nothing of the content itself. Default false.
   */
  readonly isPublic?: boolean;
  /** Where a piece of the change log starts and ends; asked once its bytes are over. */
  readonly span?: () => { readonly from: Position; readonly to: Position };
}

/**
 * Hands one artifact to the pipeline, which pulls it, walks its structure and stores it. Call it
 * once an artifact, at the same time for parts that must run together, and await each before the dump
 * ends: one that fails, or is still under way then, fails the run.
 *
 * @returns what the walker counted in the bytes, for the inventory.
 */
export type Emit = (head: ArtifactHead, bytes: Bytes) => Promise<ArtifactContents>;

/** What a finished dump knows about itself. */
export interface DumpResult {
  /** Where it starts in the change log; of what builds on another, exactly that one's `to`. */
  readonly from?: Position;
  /** Where it ends, and where the next one has to start. */
  readonly to?: Position;
  /** The moment whose data the dump shows; the latest, where it can be restored to several. */
  readonly consistentAt: Date;
  /**
   * The moments that it can be restored to, where a log is kept: of a full one that others build on
   * the moment alone that it is consistent at, else from its parent's last one on.
   */
  readonly window?: Window;
  readonly inventory: Inventory;
  /** What was in fact left out, a subset of what the job accepts. */
  readonly omitted: readonly Omission[];
  readonly warnings: readonly string[];
}

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

/**
 * A connection to one server or file. Every implementation passes `tests/contracts/connector.ts`.
 *
 * Errors are BackupErrors: `connection/unreachable`, `connection/authentication`,
 * `connection/no-database`, `connection/tls`, `connection/denied`, `dump/…`, `restore/…`.
 */
export interface Connector {
  /** Where this is, for people and without secrets: `postgres://shop@db:5432/shop`. */
  readonly location: string;
  /** Tests the connection and looks at the source; changes nothing. */
  inspect(o: InspectOptions): Promise<SourceInfo>;
  /** The databases that a dump would hold, by name. */
  databases(o: Abortable): Promise<string[]>;
  /**
   * Dumps everything of the plan, artifact after artifact.
   *
   * @throws BackupError `dump/tool-missing`, `dump/tool-too-old`, `dump/failed`, `dump/stalled`,
   * `verification/truncated`; `dump/cannot-continue` when it turns out that it cannot build on the
   * parent after all: then a full backup is taken; `usage/kind-unsupported`
   */
  dump(plan: DumpPlan, emit: Emit, o: Abortable): Promise<DumpResult>;
  /**
   * Told when a backup is committed at every destination that its run still feeds, and only then: up
   * to its `position.to` the source may let go of its log. It may be told again of the same backup, by
   * another process or machine: after a crash before it was told, the next run tells it before it goes
   * on. So it moves what the source keeps forward, never back, and takes what is done already.
   *
   * Absent where the source keeps nothing for the job.
   */
  acknowledge?(manifest: Manifest, o: Abortable): Promise<void>;
  /**
   * Drops what the source keeps for a job, such as its replication slots, so that it holds nothing back
   * for it any longer; the job's next backup is a full one. Absent where it keeps nothing.
   *
   * @param job see {@link InspectOptions.job}
   * @returns what was dropped, for people: `replication slot dbbackup_shop`
   */
  reset?(job: string, o: Abortable): Promise<readonly string[]>;
  /**
   * Finds out what a restore onto this connection would do; changes nothing.
   *
   * @throws BackupError `restore/not-empty`, `restore/target-too-old`, `restore/missing-owners`,
   * `restore/only-unsupported`, `restore/no-such-object`, `restore/ambiguous-object`,
   * `restore/depended-on`, `restore/in-use`
   */
  planRestore(
    chain: RestorableChain,
    options: RestoreOptions,
    o: Abortable,
  ): Promise<RestorePlan>;
  /**
   * Carries out a plan: restores beside where the engine can, compares with the inventory, swaps in.
   * When it throws, what was there before is still there, unless the step's mode was `replace`.
   *
   * What was restored and differs from the inventory is never dropped: `restore/incomplete` tells in
   * its details where it is, see {@link IncompleteDetails} in inventory.ts.
   *
   * @throws BackupError `restore/failed`, `restore/incomplete` and those of reading the artifacts
   */
  restore(
    chain: RestorableChain,
    plan: RestorePlan,
    options: RestoreOptions,
    o: Abortable,
  ): Promise<RestoreResult>;
  /** Describes a live database in the same terms as the inventory of a dump. */
  inventory(database: string, o: Abortable): Promise<DatabaseInventory>;
  close(): Promise<void>;
}

/** A database that a drill restores into, and that nobody else uses. */
export interface Scratch<O> {
  /** For the restore: opens it. */
  readonly options: O;
  /** For people: `scratch file /tmp/x/drill.db`, `database shop_drill_k3v9x2ma at localhost`. */
  readonly location: string;
  /**
   * Environment for commands that look into it. `DBBACKUP_DRILL_TARGET` is the file, or the URL without
   * its password, which the engine's own variables tell.
   */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * The first column of the first row of a query, once it is restored; null where there is no row.
   * Absent where the engine has no SQL.
   *
   * @throws BackupError `restore/drill`
   */
  query?(sql: string, o: Abortable): Promise<string | number | bigint | boolean | Date | null>;
  /** Removes it with all that is in it, whether it was restored or not. */
  remove(): Promise<void>;
}

/** What a drill wants a {@link Scratch} for. */
export interface ScratchOrder extends Abortable {
  readonly runtime: Runtime;
  /** The backup's id, for its name. */
  readonly backupId: string;
  /** The raw bytes of the chain, for the space that it needs. */
  readonly rawBytes: number;
  /** The databases that the backup holds, by their real names. */
  readonly databases: readonly string[];
  /** What is in them. */
  readonly inventory: Inventory;
}

/** How the user tells a source from others. */
export interface DeclaredSource {
  /** The option `source`, or the address without user, password and parameters. */
  readonly id: string;
  /** Whether it is the option `source`. */
  readonly isNamed: boolean;
}

/** A kind of database: what a factory, YAML's `type:` or a URL's scheme names. */
export interface ConnectorKind<O = unknown> {
  /** `postgres`. */
  readonly kind: string;
  /** For people: `PostgreSQL`. */
  readonly title: string;
  /** URL schemes that stand for it, without the colon: `["postgres", "postgresql"]`. */
  readonly schemes: readonly string[];
  /** What it is, as a sentence, for editors: `A SQLite file.` */
  readonly description?: string;
  /** How its URLs begin or look, for the help: `["sqlite:PATH"]`; default its schemes. */
  readonly urls?: readonly string[];
  /** Entries for the config that `config init` writes, as comments; default none. */
  readonly examples?: readonly ConfigExample<O>[];
  /** The options of the config; strict, so that an unknown key is an error. */
  readonly options: z.ZodType<O>;
  /** Dotted names of the options that are paths, taken from the config's folder: `["tls.ca"]`. */
  readonly paths?: readonly string[];
  /** Which of the job's {@link DumpSettings} this kind has. */
  readonly settings: readonly (keyof DumpSettings)[];
  /** The names that a job's `accept` may hold for this kind. */
  readonly omissions: readonly string[];
  /** The formats of its artifacts. */
  readonly formats: readonly ArtifactFormat[];
  /** The roles of artifacts that it restores; default `dump` and `accounts`. */
  readonly roles?: readonly string[];
  /** The kinds of backup that it has on servers that allow it; default `full` alone. */
  readonly kinds?: readonly Kind[];
  /** How positions of its change log relate; default: only the same position joins itself. */
  readonly positions?: Positions;
  /**
   * Reads options out of a URL.
   *
   * @throws BackupError `usage/bad-url`
   */
  fromUrl(url: string): O;
  /** Resolves secrets and parses the options; connects only when something is asked of it. */
  open(options: O, o: Abortable & { runtime: Runtime }): Promise<Connector>;
  /**
   * What identifies a source that says nothing of itself. Never the name of this machine, which
   * every new container changes. Without this function it is the database's name in the config.
   *
   * @param options as they were written: relative paths are not resolved
   */
  declaredSource?(options: O, o: { runtime: Runtime }): Promise<DeclaredSource>;
  /**
   * The standard commands that restore a chain to the state of its last backup without dbbackup, from
   * the full backup on; see {@link RecipeStep}.
   */
  recipe(chain: RecipeChain): RecipeStep[];
  /**
   * Makes a database for a drill: a file, or a database or server of its own, never one that the job
   * backs up. Absent where this kind has no drills.
   *
   * @param options of the job's database
   * @throws BackupError `restore/drill` where none can be made here
   */
  scratch?(options: O, order: ScratchOrder): Promise<Scratch<O>>;
  /** The default name of an ad-hoc job: the database's, or the host's where all are meant. */
  jobName(options: O): string;
}
