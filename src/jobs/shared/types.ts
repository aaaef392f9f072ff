import type { Abortable } from "../../core/bytes.ts";
import type { BackupError } from "../../core/errors.ts";
import type { Patience } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Keyring } from "../../contracts/codec.ts";
import type { ConnectorKind, RestorePlan, RestoreResult } from "../../contracts/connector.ts";
import type { Kind, Manifest } from "../../contracts/manifest.ts";
import type { FailedDestination } from "./destinations.ts";
import type { BackupRef, Mark } from "../../contracts/strategy.ts";
import type { RetentionDecision } from "../../catalog/retention.ts";
import type {
  DatabaseDefinition,
  DestinationDefinition,
  JobDefinition,
  JobRetention,
} from "../../config/model.ts";

/** What every job needs from outside. */
export interface JobContext extends Abortable {
  readonly runtime: Runtime;
  /** Locks, run history and caches. */
  readonly stateDir: string;
  /** How long destinations that do not answer are tried again. */
  readonly patience?: Patience;
  /** Flags by which another command finds the same config, for the commands that hints print. */
  readonly configFlags?: readonly string[];
  /** What opens encrypted backups; without it they stay closed. */
  readonly keyring?: Keyring;
  /** Called as the work goes on, at most a few times a second. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Where a piece of work stands. */
export interface Progress {
  /** `inspect`, `dump shop`, `restore shop`, `verify dump-001`. */
  readonly stage: string;
  /** Bytes read from the database, or raw bytes restored. */
  readonly rawBytes: number;
  /** Bytes written to, or read from, each destination. */
  readonly storedBytes: number;
  /** What `rawBytes` will be at the end, where that is known or estimated. */
  readonly totalBytes?: number;
}

/** How a run ended at one destination. */
export type DestinationOutcome =
  | { readonly name: string; readonly location: string; readonly status: "committed" }
  | {
    readonly name: string;
    readonly location: string;
    readonly status: "failed";
    readonly error: BackupError;
  };

/** How a run ended: all destinations is `success`, some is `partial`, none is `failure`. */
export interface RunResult {
  /** The run's id, on every log line; equals the backup's id. */
  readonly run: string;
  readonly job: string;
  readonly status: "success" | "partial" | "failure";
  readonly startedAt: Date;
  readonly finishedAt: Date;
  /** The committed backup; undefined on failure. */
  readonly manifest?: Manifest;
  readonly destinations: readonly DestinationOutcome[];
  readonly warnings: readonly string[];
  /** Why it failed, or is only partial. */
  readonly error?: BackupError;
}

/** What lies of a backup at one destination. */
export interface ListedCopy {
  readonly destination: string;
  readonly marks: readonly Mark[];
}

/** One backup as `list` and `show` tell it; its `marks` are those of all its copies. */
export interface ListedBackup extends BackupRef {
  /** The names of the destinations that have it, in the order given. */
  readonly destinations: readonly string[];
  /** The same with what is marked at each: one may be damaged and the other not. */
  readonly copies: readonly ListedCopy[];
  /** Undefined when it cannot be read; `error` says why. */
  readonly manifest: Manifest | undefined;
  readonly error?: BackupError;
}

/** `backup JOB`: one run of one job. Never throws for what goes wrong in the run itself. */
export type RunBackup = (
  job: JobDefinition,
  o: JobContext & { kind?: Kind },
) => Promise<RunResult>;

/** `list`: newest first. Destinations that cannot be read are an error only if all are. */
export type ListBackups = (
  destinations: readonly DestinationDefinition[],
  o: JobContext & { job?: string },
) => Promise<{
  backups: ListedBackup[];
  warnings: string[];
  /** Destinations that could not be looked at: what only they have is missing here. */
  unreached: readonly FailedDestination[];
  /** Ids of backups that are dated later than now and not taken for the newest. */
  ahead: readonly string[];
  /** The names of the destinations that were looked at; of several that are one place, the first. */
  places: readonly string[];
}>;

/**
 * `show`: one backup by its id, shortened while unique; reads no manifest but its own. Where it is not
 * found, a destination that could not be looked at is the error.
 */
export type ShowBackup = (
  destinations: readonly DestinationDefinition[],
  id: string,
  o: JobContext,
) => Promise<{
  backup: ListedBackup;
  /** From the full backup to this one; shorter where a link is missing. */
  chain: BackupRef[];
  /** Destinations that could not be looked at: whether they have it is not known. */
  unreached: readonly FailedDestination[];
}>;

/** What to restore, where to. */
export interface RestoreRequest {
  /** Where to look for it, in this order. */
  readonly destinations: readonly DestinationDefinition[];
  /** An id, shortened while unique; the latest of `job` when absent. */
  readonly backup?: string;
  /** Only backups of this job; needed when a destination has several and no id is given. */
  readonly job?: string;
  /** Not after this moment. */
  readonly at?: Date;
  readonly target: DatabaseDefinition;
  readonly databases?: readonly string[];
  readonly only: readonly string[];
  readonly isOverwrite: boolean;
  readonly isWithAccounts: boolean;
  readonly isDifferenceAccepted: boolean;
  readonly isKeepGoing: boolean;
  readonly jobs: number;
  readonly restoreArgs: readonly string[];
}

/** A restore that is planned and not begun. `close` it in any case. */
export interface PreparedRestore {
  readonly backup: ListedBackup;
  readonly manifest: Manifest;
  /** The destination it is read from; several where no single one has its whole chain. */
  readonly from: string;
  readonly plan: RestorePlan;
  /**
   * Does it, when no other run uses the databases, and what there is to do is still the same.
   *
   * @throws BackupError `locked/database`, `restore/changed`, those of the connector
   */
  run(): Promise<RestoreResult>;
  close(): Promise<void>;
}

/**
 * Finds the backup, checks that every object is there, looks at the target. It changes nothing, but
 * marks copies that turn out damaged. A copy that cannot be read gives way to another destination's.
 */
export type PrepareRestore = (request: RestoreRequest, o: JobContext) => Promise<PreparedRestore>;

/** What `verify` found of one backup at one destination. */
export interface VerifyResult {
  readonly id: string;
  readonly job: string;
  readonly destination: string;
  /** `flawed`: what a restore needs is right, and something else is not what was stored. */
  readonly status: "good" | "flawed" | "damaged" | "unchecked";
  /** What was looked at: `sizes`, `digests`, `structure`, `pg_restore`. */
  readonly checks: readonly string[];
  /** What is wrong, each naming the object. */
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** What could not be looked into, and why. */
  readonly notes: readonly string[];
  readonly mark?: Mark;
}

/** A folder that holds a backup's manifest under a name that is no backup's. */
export interface Stray {
  readonly destination: string;
  /** The folder's key, ending in "/". */
  readonly prefix: string;
  /** The one that its manifest gives it. */
  readonly right: string;
}

/** What to prune. */
export interface PruneRequest {
  readonly job: string;
  /** The job's, or some of them. */
  readonly destinations: readonly DestinationDefinition[];
  /** Keeps everything when absent; unfinished folders are removed all the same. */
  readonly retention: JobRetention | undefined;
  readonly timezone: string;
  readonly abandonedAfterMs: number;
  readonly isDryRun: boolean;
}

/** What became of one folder; `planned` is what a dry run says instead of `dropped`. */
export type PruneOutcome =
  | { readonly status: "kept" | "planned" | "dropped" }
  /** The store does not let it go yet; nothing of it was touched. */
  | { readonly status: "retained"; readonly until: Date }
  /** It could not be deleted; what is left of it the next prune deletes. */
  | { readonly status: "failed"; readonly error: BackupError }
  /** It was not tried, because another one failed before. */
  | { readonly status: "skipped" };

/** One backup with its decision and what became of it. */
export interface PrunedBackup extends RetentionDecision {
  readonly outcome: PruneOutcome;
}

/** A folder without a manifest and what became of it. */
export interface PrunedFolder {
  readonly prefix: string;
  readonly id: string;
  readonly newestAt: Date;
  readonly storedBytes: number;
  readonly reason: string;
  readonly outcome: PruneOutcome;
}

/** What a prune did, or would do, at one destination. */
export interface PruneResult {
  readonly job: string;
  readonly destination: string;
  readonly location: string;
  /** Newest first, for each source. */
  readonly backups: readonly PrunedBackup[];
  readonly abandoned: readonly PrunedFolder[];
  /** Unfinished uploads that were removed. */
  readonly swept: number;
  /** Why nothing was done, or not all. */
  readonly error?: BackupError;
}

/**
 * `prune`: drops what retention does not keep, and what unfinished runs left. One result for each
 * destination; one that fails does not keep the others from being pruned.
 */
export type PruneBackups = (request: PruneRequest, o: JobContext) => Promise<PruneResult[]>;

/** What to copy. */
export interface CopyRequest {
  /** Whose backups are copied; they are read there, in this order. */
  readonly sources: readonly DestinationDefinition[];
  /**
   * Where else a backup of theirs may be read that they have damaged, and where its parents may be.
   * What only these have is not copied.
   */
  readonly fallbacks?: readonly DestinationDefinition[];
  readonly to: DestinationDefinition;
  /** Names of jobs and ids, shortened while unique; everything when empty. */
  readonly wanted: readonly string[];
}

/** What became of one backup. */
export interface CopyResult {
  readonly id: string;
  readonly job: string;
  /** `healed`: it was there and damaged, and is whole now. */
  readonly status: "present" | "copied" | "healed" | "failed";
  /** The destination it was read from; undefined where nothing was read. */
  readonly from?: string;
  /** How many were written. */
  readonly bytes: number;
  readonly error?: BackupError;
}

/**
 * `copy`: brings a destination up to date. What is there already is left alone, what is damaged there
 * is replaced, and a copy that was cut short goes on where it was.
 */
export type CopyBackups = (
  request: CopyRequest,
  o: JobContext & { onResult?: (result: CopyResult) => void },
) => Promise<CopyResult[]>;

/** What came of a hold or release at one destination. */
export interface HoldResult {
  readonly destination: string;
  /** Why the mark could not be changed, or the destination not be looked at. */
  readonly error?: BackupError;
}

/**
 * `hold` and `release`: sets or lifts the mark that keeps a backup from being pruned, at every
 * destination that has it.
 */
export type SetHold = (
  request: {
    readonly destinations: readonly DestinationDefinition[];
    /** An id, shortened while unique. */
    readonly backup: string;
    readonly isHeld: boolean;
  },
  o: JobContext,
) => Promise<{ id: string; job: string; results: HoldResult[] }>;

/** `verify`: sizes by default, every byte with `isDeep`. Damage is a result, not an exception. */
export type VerifyBackups = (
  request: {
    readonly destinations: readonly DestinationDefinition[];
    /** Ids, shortened while unique; all when empty. */
    readonly backups: readonly string[];
    readonly job?: string;
    /** Only the newest backup of each job and source. */
    readonly isLatestOnly?: boolean;
    readonly isDeep: boolean;
    /** The kinds whose dumps can be looked into: built-in ones and plugins'. */
    readonly kinds: readonly ConnectorKind[];
  },
  o: JobContext & {
    onResult?: (result: VerifyResult) => void;
    /** Told of each destination that could not be looked at; the others are checked all the same. */
    onUnreached?: (destination: FailedDestination) => void;
    /** Told of each folder that holds a backup's manifest under a name that is no backup's. */
    onStray?: (stray: Stray) => void;
  },
) => Promise<VerifyResult[]>;

/** What `delete` is about to do. */
export interface DeletePlan {
  readonly ref: BackupRef;
  /** Ids of the backups that build on it and go with it. */
  readonly dependents: readonly string[];
  /** Nothing good and as new is left of its job and server. */
  readonly isNewestGood: boolean;
  /** Each copy that goes, by destination, what builds on others first. */
  readonly copies: readonly Omit<DeletedCopy, "outcome">[];
  /** Destinations that could not be looked at, and may have it, too. */
  readonly unreached: readonly FailedDestination[];
}

/** What became of one copy. */
export interface DeletedCopy {
  readonly destination: string;
  readonly location: string;
  readonly ref: BackupRef;
  readonly outcome: PruneOutcome;
}

/**
 * `delete`: one backup at every destination that has it. Holds and retention locks are respected, and
 * what builds on it goes only with it.
 *
 * @throws BackupError `usage/no-such-backup`, `usage/has-dependents`, `usage/on-hold`
 */
export type DeleteBackup = (
  request: {
    readonly destinations: readonly DestinationDefinition[];
    /** An id, shortened while unique, or a folder as `show` prints it. */
    readonly backup: string;
    readonly isWithDependents: boolean;
    /** Asked before the first is deleted; false ends it there. */
    readonly confirm: (plan: DeletePlan) => Promise<boolean>;
  },
  o: JobContext,
) => Promise<{ plan: DeletePlan; copies: DeletedCopy[] | undefined }>;
