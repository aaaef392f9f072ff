import type { JobDefinition } from "../../config/model.ts";
import type { Kind } from "../../contracts/manifest.ts";
import type { RunResult } from "../../contracts/run.ts";
import type { JobContext } from "../shared/context.ts";

/** `backup JOB`: one run of one job. Never throws for what goes wrong in the run itself. */
export type RunBackup = (
  job: JobDefinition,
  o: JobContext & { readonly kind?: Kind },
) => Promise<RunResult>;

/** What a run would take, found out without writing anything. */
export interface BackupPreview {
  readonly job: string;
  readonly kind: Kind;
  /** The id of what it would build on. */
  readonly parent: string | undefined;
  readonly reason: string;
  /** The kind that was to be taken, where it cannot. */
  readonly wanted?: Kind;
  /** Destinations that would first get what they lack of the chain, with the ids. */
  readonly healed: readonly { readonly destination: string; readonly backups: readonly string[] }[];
  /** Destinations that the run would do without, and why. */
  readonly refused: readonly { readonly destination: string; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/**
 * `backup JOB --dry-run`: looks at the source and the destinations, takes no lock and changes nothing.
 *
 * @throws what the run would fail with before it writes
 */
export type PreviewBackup = (
  job: JobDefinition,
  o: JobContext & { readonly kind?: Kind },
) => Promise<BackupPreview>;
