import type { RetentionDecision } from "../../catalog/retention.ts";
import type { DestinationDefinition, JobRetention } from "../../config/model.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import type { BackupError } from "../../core/errors.ts";
import type { JobContext } from "../shared/context.ts";
import type { FailedDestination } from "../shared/destinations.ts";

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
