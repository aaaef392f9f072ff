import type { BackupError, ErrorCode } from "../core/errors.ts";
import type { Kind, Manifest } from "./manifest.ts";

/** How a run ended at one destination. */
export type DestinationOutcome =
  & {
    readonly name: string;
    readonly location: string;
  }
  & (
    | { readonly status: "committed" }
    | { readonly status: "failed"; readonly error: BackupError }
    /** The run ended before it wrote there. */
    | { readonly status: "not-tried" }
  );

/** What the prune after a run did at one destination. */
export interface PrunedDestination {
  readonly name: string;
  readonly location: string;
  /** Ids of the backups, and of what failed runs left, that were dropped. */
  readonly dropped: readonly string[];
  /** Why nothing was done, or not all. */
  readonly error?: BackupError;
}

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
  /** Every destination of the job, in its order. */
  readonly destinations: readonly DestinationOutcome[];
  /** Where backups were pruned after the run. */
  readonly pruned: readonly PrunedDestination[];
  readonly warnings: readonly string[];
  /** Why it failed, or is only partial. */
  readonly error?: BackupError;
}

/** What happens in a run, in order; the last is `finished`. */
export type RunEvent =
  & {
    readonly at: Date;
    readonly run: string;
    readonly job: string;
  }
  & (
    | { readonly type: "started"; readonly destinations: readonly string[] }
    /** It waits for another run, which uses the same database. */
    | { readonly type: "waiting"; readonly for: string }
    /** A destination gets what it lacks of the chain that the backup builds on. */
    | {
      readonly type: "healing";
      readonly destination: string;
      readonly backups: readonly string[];
    }
    | {
      readonly type: "planned";
      /** Its id: `incremental`. */
      readonly strategy: string;
      readonly kind: Kind;
      readonly parent: string | undefined;
      readonly reason: string;
      /** The kind that was to be taken, where it could not. */
      readonly wanted?: Kind;
    }
    | { readonly type: "destination"; readonly outcome: DestinationOutcome }
    | { readonly type: "warning"; readonly message: string; readonly code?: ErrorCode }
    | { readonly type: "pruned"; readonly place: PrunedDestination }
    | { readonly type: "finished"; readonly result: RunResult }
  );

/** Where a piece of work stands; of backups, restores, checks and copies alike. */
export interface ProgressEvent {
  /** `stage` where a new stage begins, else the counts of the same one have grown. */
  readonly type: "stage" | "progress";
  /** `inspect`, `dump shop`, `restore shop`, `verify dump-001`. */
  readonly stage: string;
  /** Bytes read from the database, or raw bytes restored. */
  readonly rawBytes: number;
  /** Bytes written to, or read from, each destination. */
  readonly storedBytes: number;
  /** What `rawBytes` will be at the end, where that is known or estimated. */
  readonly totalBytes?: number;
}

/** Everything that work tells while it goes on: the log, the terminal, a run's record read it. */
export type JobEvent = RunEvent | ProgressEvent;
