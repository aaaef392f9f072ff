import type { JobDefinition } from "../../config/model.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import type { OpenDestination } from "../shared/destinations.ts";
import { assertServerClock } from "../shared/clock.ts";
import { pruneOpen } from "../prune/prune.ts";
import type { PrunedDestination, RunResult } from "../../contracts/run.ts";
import type { Tell } from "./tell.ts";
import type { PruneOutcome, PruneResult } from "../prune/types.ts";
import type { JobContext } from "../shared/context.ts";

/**
 * Prunes where a run has just committed its backup. The backup stands whatever comes of it: what
 * cannot be deleted makes the run `partial`, so that a disk that fills up is told in time.
 */
export async function pruneAfter(
  result: RunResult,
  job: JobDefinition,
  { open, tell }: { readonly open: readonly OpenDestination[]; readonly tell: Tell },
  o: JobContext,
): Promise<RunResult> {
  const committed = new Set(
    result.destinations.filter(({ status }) => status === "committed").map(({ name }) => name),
  );
  const request = {
    job: job.name,
    destinations: job.destinations,
    retention: job.retention,
    timezone: job.timezone,
    abandonedAfterMs: job.abandonedAfterMs,
    isDryRun: false,
  };
  try {
    const { trusted, untold } = byClock(open.filter(({ name }) => committed.has(name)), result);
    const pruned = await pruneOpen(request, trusted, o);
    const places = pruned.map(summaryOf);
    for (const place of places) tell({ type: "pruned", place });
    const whole = withFailures({ ...result, pruned: places }, pruned);
    return untold === undefined ? whole : withFailure(whole, untold.location, untold.error);
  } catch (error) {
    const reason = toBackupError(o.signal.aborted ? o.signal.reason : error);
    return withFailure(result, "its destinations", reason);
  }
}

/**
 * A store with a clock of its own is asked by the prune itself. A local disk has none: there the
 * database server's is the witness against this machine's.
 */
function byClock(open: readonly OpenDestination[], { manifest }: RunResult) {
  const hasClock = ({ storage }: OpenDestination) => storage.hasOwnClock === true;
  try {
    assertServerClock(manifest?.clockOffsetMs ?? null);
    return { trusted: open, untold: undefined };
  } catch (error) {
    const trusted = open.filter(hasClock);
    const other = open.find((one) => !hasClock(one));
    if (other === undefined) return { trusted, untold: undefined };
    return { trusted, untold: { location: other.storage.location, error: toBackupError(error) } };
  }
}

function summaryOf(
  { backups, abandoned, destination, location, error }: PruneResult,
): PrunedDestination {
  const ids = (ones: readonly { readonly id: string; readonly outcome: PruneOutcome }[]) =>
    ones.flatMap(({ id, outcome }) => outcome.status === "dropped" ? [id] : []);
  const dropped = [
    ...ids(backups.map(({ ref, outcome }) => ({ id: ref.id, outcome }))),
    ...ids(abandoned),
  ];
  return { name: destination, location, dropped, ...error === undefined ? {} : { error } };
}

function withFailures(result: RunResult, pruned: readonly PruneResult[]): RunResult {
  return pruned.reduce((whole, { error, location }) => {
    if (error === undefined) return whole;
    if (!hasCode(error, "locked/backups")) return withFailure(whole, location, error);
    // Somebody restores or checks a backup just now; the next run prunes.
    return { ...whole, warnings: [...whole.warnings, `Nothing was pruned: ${error.message}`] };
  }, result);
}

function withFailure(result: RunResult, location: string, cause: BackupError): RunResult {
  const message = `Backup ${result.run} is complete, but old ones could not be pruned at ` +
    `${location}: ${cause.message}`;
  const error = new BackupError("partial/prune", message, { cause, hint: cause.hint });
  return result.error === undefined
    ? { ...result, status: "partial", error }
    : { ...result, warnings: [...result.warnings, message] };
}
