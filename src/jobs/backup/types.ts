import type { JobDefinition } from "../../config/model.ts";
import type { Kind, Manifest } from "../../contracts/manifest.ts";
import type { BackupError } from "../../core/errors.ts";
import type { JobContext } from "../shared/context.ts";

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

/** `backup JOB`: one run of one job. Never throws for what goes wrong in the run itself. */
export type RunBackup = (
  job: JobDefinition,
  o: JobContext & { kind?: Kind },
) => Promise<RunResult>;
