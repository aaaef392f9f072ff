import type { z } from "zod";
import type { Abortable } from "../core/bytes.ts";
import type { Runtime } from "../core/runtime.ts";
import type { Positions } from "./changes.ts";
import type { DumpPlan, DumpResult, Emit } from "./dump.ts";
import type { ConfigExample } from "./example.ts";
import type { ArtifactFormat } from "./format.ts";
import type { DatabaseInventory, Inventory } from "./inventory.ts";
import type { Kind, Manifest } from "./manifest.ts";
import type { RecipeChain, RecipeStep } from "./recipe.ts";
import type { RestorableChain, RestoreOptions, RestorePlan, RestoreResult } from "./restore.ts";
import type { DumpSettings, InspectOptions, SourceInfo } from "./source.ts";

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
