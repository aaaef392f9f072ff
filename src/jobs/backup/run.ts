import { newBackupId } from "../../catalog/names.ts";
import { defaultStallTimeoutMs } from "../../config/model.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import type { RunResult } from "../../contracts/run.ts";
import { withDeferred } from "../../core/defer.ts";
import { cleanUpAfterCrash } from "../shared/clean-up.ts";
import type { JobContext } from "../shared/context.ts";
import { backupHolds, holdDatabases } from "../shared/database-lock.ts";
import {
  closeDestinations,
  type OpenDestination,
  openDestinations,
} from "../shared/destinations.ts";
import { openHistory } from "../shared/history.ts";
import { holdJob, keepBackups } from "../shared/lock.ts";
import { createMeter } from "../shared/progress.ts";
import { identifySource } from "../shared/source.ts";
import { assertAccepted } from "./accepted.ts";
import { withDeadline } from "./deadline.ts";
import { resolveEncryption } from "./encryption.ts";
import { thisWriter, withOneWriter } from "./one-writer.ts";
import { type BackupPlan, planBackup } from "./plan.ts";
import { planActions } from "./plan-actions.ts";
import { pruneAfter } from "./prune-after.ts";
import { failedResult, outcomesBefore, withWarning } from "./run-result.ts";
import { type Run, type Scene, takePlanned } from "./take.ts";
import { createTeller } from "./tell.ts";
import type { RunBackup } from "./types.ts";

/** One run of one job, from its locks to its record. See {@link RunBackup}. */
export const runBackup: RunBackup = async (job, o) => {
  const startedAt = o.runtime.now();
  const id = newBackupId(o.runtime.random);
  const log = o.runtime.log.with({ run: id, job: job.name, database: job.database.name });
  const context: JobContext = {
    ...o,
    runtime: { ...o.runtime, log },
    patience: { retryMs: job.retryTimeoutMs },
  };
  const history = await openHistory(context);
  const tell = createTeller({ run: id, job: job.name }, history, context);
  tell({ type: "started", destinations: job.destinations.map(({ name }) => name) });
  const run: Run = {
    id,
    job,
    startedAt,
    forced: o.kind,
    history,
    tell,
    warnings: [],
    outcomes: () => outcomesBefore(job, []),
  };
  let result: RunResult;
  try {
    result = await withDeadline(
      o.signal,
      job.timeoutMs,
      (signal) => takeBackup(run, { ...context, signal }),
    );
  } catch (error) {
    // Whatever a stopped run stumbled over, the reason it was stopped is what went wrong.
    const reason = o.signal.aborted ? o.signal.reason : error;
    result = run.done === undefined
      ? failedResult(run, reason, run.outcomes(), context)
      : withWarning(run.done, error);
  }
  tell({ type: "finished", result });
  history.close();
  return result;
};

/**
 * A run from top to bottom: open, lock, look, plan, take, prune. What was opened and locked is let go
 * in reverse order at the end.
 */
function takeBackup(run: Run, o: JobContext): Promise<RunResult> {
  const { job, id } = run;
  return withDeferred(async (defer) => {
    const encryption = await resolveEncryption(job.encryption, o);
    const answerMs = Math.max(job.stallTimeoutMs, defaultStallTimeoutMs);
    const connector = await openWithLimits(job.database, { answerMs }, o);
    defer(() => connector.close());
    const lock = await holdJob({ job: job.name, location: connector.location, run: id }, o);
    defer(() => lock.release());
    const stallMs = job.destinationStallTimeoutMs;
    const places = await openDestinations(job.destinations, { ...o, stallMs, isEachItsOwn: true });
    defer(() => closeDestinations(places.open));
    run.outcomes = () => outcomesBefore(job, places.failed);
    if (places.open.length === 0) throw places.failed[0]!.error;
    await cleanUpAfterCrash(job.name, places.open, run.history, o);

    run.done = await withDeferred(async (defer) => {
      const locations = places.open.map(({ storage }) => storage.location);
      const kept = await keepBackups({ job: job.name, locations }, o);
      defer(() => kept.release());
      const meter = createMeter(o);
      meter.stage("inspect");
      const seen = await connector.inspect({
        signal: o.signal,
        settings: job.settings,
        job: job.name,
        isBase: job.strategy.kinds.length > 1,
      });
      assertAccepted(job, seen.omissions, "dump/would-omit");
      const holds = backupHolds(seen, await connector.databases(o), connector.location);
      const held = await holdDatabases({ run: id, what: `backup of job "${job.name}"`, holds }, {
        ...o,
        onWait(who) {
          run.tell({ type: "waiting", for: who });
          meter.stage(`waiting for ${who}`);
        },
      });
      defer(() => held.release());

      const source = await identifySource(job.database, seen, o);
      const writer = thisWriter(seen.place, o);
      const alone = await withOneWriter({ job: job.name, source, writer }, places.open, o);
      const unopened = [...places.failed, ...alone.refused];
      run.outcomes = () => outcomesBefore(job, unopened);
      if (alone.open.length === 0) throw alone.refused[0]!.error;
      const scene: Scene = {
        connector,
        encryption,
        meter,
        source,
        writer,
        unopened,
      };
      const info = { ...seen, warnings: [...seen.warnings, ...alone.warnings] };
      return await takePlanned(run, scene, await plan(run, scene, info, alone.open, o), o);
    });
    return run.done = await pruneAfter(run.done, job, { open: places.open, tell: run.tell }, o);
  });
}

/** Decides what is taken, and brings destinations what they lack of the chain. */
async function plan(
  { job, startedAt, forced, history, tell, warnings }: Run,
  { connector, source, meter }: Scene,
  info: BackupPlan["info"],
  open: readonly OpenDestination[],
  o: JobContext,
): Promise<BackupPlan> {
  const actions = planActions({
    connector,
    history,
    meter,
    onHealing: (destination, backups) => tell({ type: "healing", destination, backups }),
    onWarning({ message, code }) {
      const warning =
        `${connector.location} was not told what it may let go of: ${message} (${code})`;
      warnings.push(warning);
      tell({ type: "warning", message: warning, code });
    },
  }, o);
  const request = { job, sourceTag: source.tag, connector, open, info, startedAt, forced };
  const plan = await planBackup(request, actions, o);
  if (plan.open.length === 0) throw plan.refused[0]!.error;
  return plan;
}
