import type { DestinationDefinition, JobDefinition } from "../../config/model.ts";
import type { BackupError } from "../../core/errors.ts";

/** What a drill is asked to do. */
export interface DrillRequest {
  readonly job: JobDefinition;
  /** Where to look for its backups, in this order; default: the job's own. */
  readonly destinations?: readonly DestinationDefinition[];
}

/** One of the job's assertions, and what came of it. */
export interface DrillCheck {
  /** The query or the command, for people. */
  readonly what: string;
  readonly isMet: boolean;
  /** What was found, and what was to be found where that is another thing. */
  readonly found: string;
}

/** What a drill did, whether it ended well or not. */
export interface DrillResult {
  readonly job: string;
  /** The backup's id; undefined where none could be chosen. */
  readonly backup?: string;
  /** How many backups its chain has. */
  readonly links: number;
  /** Where it was restored to, for people; it is gone by now. */
  readonly location?: string;
  /** What was done, in order, each with the milliseconds that it took. */
  readonly steps: readonly { readonly what: string; readonly tookMs: number }[];
  readonly checks: readonly DrillCheck[];
  /** Bytes that were fetched. */
  readonly fetchedBytes: number;
  readonly warnings: readonly string[];
  /** Why it did not end well. */
  readonly error?: BackupError;
}
