import type { JobDefinition } from "../../config/model.ts";
import { defaultStallTimeoutMs } from "../../config/model.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import { newBackupId } from "../../catalog/names.ts";
import { withDeferred } from "../../core/defer.ts";
import type { JobContext } from "../shared/context.ts";
import { holdJob } from "../shared/lock.ts";

/** What a reset did. */
export interface ResetResult {
  readonly job: string;
  /** Where the database is, for people. */
  readonly location: string;
  /** What was dropped, for people. */
  readonly dropped: readonly string[];
  /** False where this kind of database keeps nothing for a job. */
  readonly keepsAnything: boolean;
}

/**
 * Drops what a job's database keeps for it, while no run of the job is under way. Backups stay as they
 * are; the next one is a full one.
 *
 * @throws BackupError `locked/job`, those of the connector
 */
export function resetJob(job: JobDefinition, o: JobContext): Promise<ResetResult> {
  return withDeferred(async (defer) => {
    const connector = await openWithLimits(job.database, { answerMs: defaultStallTimeoutMs }, o);
    defer(() => connector.close());
    const { location } = connector;
    const run = newBackupId(o.runtime.random);
    const lock = await holdJob({ job: job.name, location, run }, o);
    defer(() => lock.release());
    const dropped = await connector.reset?.(job.name, o) ?? [];
    return { job: job.name, location, dropped, keepsAnything: connector.reset !== undefined };
  });
}
