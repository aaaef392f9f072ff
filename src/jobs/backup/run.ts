import { assertContinuous, assertFollows, joinsOf } from "../../catalog/continuity.ts";
import { backupPrefix, newBackupId } from "../../catalog/names.ts";
import { defaultStallTimeoutMs, type JobDefinition } from "../../config/model.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import type { Encryption } from "../../contracts/codec.ts";
import type { Connector } from "../../contracts/connector.ts";
import type { Kind, Manifest } from "../../contracts/manifest.ts";
import type { DestinationOutcome, RunResult } from "../../contracts/run.ts";
import { withDeferred } from "../../core/defer.ts";
import { hasCode, toBackupError } from "../../core/errors.ts";
import { cleanUpAfterCrash } from "../shared/clean-up.ts";
import type { JobContext } from "../shared/context.ts";
import { backupHolds, holdDatabases } from "../shared/database-lock.ts";
import {
  closeDestinations,
  type FailedDestination,
  type OpenDestination,
  openDestinations,
} from "../shared/destinations.ts";
import { type History, openHistory } from "../shared/history.ts";
import { holdJob, keepBackups } from "../shared/lock.ts";
import { openableBackup } from "../shared/open-backup.ts";
import { createMeter, type Meter } from "../shared/progress.ts";
import { type IdentifiedSource, identifySource } from "../shared/source.ts";
import { assertAccepted } from "./accepted.ts";
import { withDeadline } from "./deadline.ts";
import { watchEmits } from "./emits.ts";
import { resolveEncryption } from "./encryption.ts";
import { describe } from "./manifest.ts";
import { thisWriter, withOneWriter, type Writer } from "./one-writer.ts";
import { type BackupPlan, planBackup } from "./plan.ts";
import { planActions } from "./plan-actions.ts";
import { pruneAfter } from "./prune-after.ts";
import { committedResult, failedResult, withWarning } from "./run-result.ts";
import { createTeller, type Tell } from "./tell.ts";
import type { RunBackup } from "./types.ts";
import { openBackupWriter } from "./writer.ts";

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
  const run: Run = { id, job, startedAt, forced: o.kind, history, tell, warnings: [] };
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
      ? failedResult(run, reason, run.outcomes?.() ?? [], context)
      : withWarning(run.done, error);
  }
  tell({ type: "finished", result });
  history.close();
  return result;
};

/** A run, and what it has come to so far, whatever goes wrong after it. */
interface Run {
  readonly id: string;
  readonly job: JobDefinition;
  readonly startedAt: Date;
  readonly forced: Kind | undefined;
  readonly history: History;
  readonly tell: Tell;
  /** Of what the run did beside its dump. */
  readonly warnings: string[];
  /** The run's result, once it is committed. */
  done?: RunResult;
  /** How its destinations fare, once it writes to them. */
  outcomes?: () => readonly DestinationOutcome[];
}

/**
 * A run from top to bottom: open, lock, look, plan, take, prune. What was opened and locked is let go
 * in reverse order at the end.
 */
function takeBackup(run: Run, o: JobContext): Promise<RunResult> {
  const { job, id } = run;
  return withDeferred(async (defer) => {
    const encryption = await resolveEncryption(job.encryption, o.runtime.secrets);
    const answerMs = Math.max(job.stallTimeoutMs, defaultStallTimeoutMs);
    const connector = await openWithLimits(job.database, { answerMs }, o);
    defer(() => connector.close());
    const lock = await holdJob({ job: job.name, location: connector.location, run: id }, o);
    defer(() => lock.release());
    const stallMs = job.destinationStallTimeoutMs;
    const places = await openDestinations(job.destinations, { ...o, stallMs, isEachItsOwn: true });
    defer(() => closeDestinations(places.open));
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
      if (alone.open.length === 0) throw alone.refused[0]!.error;
      const scene: Scene = {
        connector,
        encryption,
        meter,
        source,
        writer,
        unopened: [...places.failed, ...alone.refused],
      };
      const info = { ...seen, warnings: [...seen.warnings, ...alone.warnings] };
      return await takePlanned(run, scene, await plan(run, scene, info, alone.open, o), o);
    });
    return run.done = await pruneAfter(run.done, job, { open: places.open, tell: run.tell }, o);
  });
}

/** What a run works with once everything is open and locked. */
interface Scene {
  readonly connector: Connector;
  readonly encryption: Encryption | undefined;
  readonly meter: Meter;
  readonly source: IdentifiedSource;
  readonly writer: Writer;
  readonly unopened: readonly FailedDestination[];
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

/** Takes what was planned, and a full backup where the dump finds that it cannot go on. */
async function takePlanned(
  run: Run,
  scene: Scene,
  plan: BackupPlan,
  o: JobContext,
): Promise<RunResult> {
  try {
    return await write(run, scene, plan, o);
  } catch (error) {
    o.signal.throwIfAborted();
    const isInWay = hasCode(error, "dump/cannot-continue") && plan.stored !== undefined &&
      run.forced === undefined;
    if (!isInWay) throw error;
    const { kind: wanted, open, refused, info } = plan;
    const reason = error.message;
    const full = { kind: "full", parent: undefined, stored: undefined, isBase: true } as const;
    return await write(run, scene, { ...full, reason, wanted, open, refused, info }, o);
  }
}

/** Dump, check, compress, encrypt, volumes, destinations; inventory; manifest; acknowledge. */
async function write(
  run: Run,
  scene: Scene,
  plan: BackupPlan,
  o: JobContext,
): Promise<RunResult> {
  const { id, job, startedAt, tell } = run;
  const { connector, source, meter } = scene;
  const { kind, parent, reason, wanted, info, stored } = plan;
  tell({
    type: "planned",
    strategy: job.strategy.id,
    kind,
    parent: parent?.id,
    reason,
    ...wanted === undefined ? {} : { wanted },
  });
  const folder = {
    job: job.name,
    startedAt,
    kind,
    id,
    sourceTag: source.tag,
    parentId: parent?.id,
  };
  const writer = openBackupWriter({
    job,
    run: id,
    encryption: scene.encryption,
    prefix: backupPrefix(folder),
    open: plan.open,
    unopened: [...scene.unopened, ...plan.refused],
    history: run.history,
    meter,
    onOutcome: (outcome) => tell({ type: "destination", outcome }),
    startedAt,
    parent: stored,
  }, o);
  run.outcomes = () => writer.outcomes();
  const emits = watchEmits(writer.putArtifact);
  try {
    meter.stage("dump", info.estimatedBytes);
    const dump = await connector.dump(
      {
        kind,
        job: job.name,
        isBase: plan.isBase,
        ...stored === undefined
          ? {}
          : { parent: openableBackup(stored, job.database.kind.formats, o) },
        settings: job.settings,
        stallMs: job.stallTimeoutMs,
        onPrepared: meter.prepared,
      },
      emits.emit,
      o,
    );
    emits.end();
    // A right can be revoked between the look at the source and the dump.
    assertAccepted(job, dump.omitted, "dump/omitted");
    const facts = { id, job, startedAt, finishedAt: o.runtime.now(), plan, source, dump };
    const described = describe({ ...facts, writer: scene.writer, artifacts: writer.artifacts });
    assertJoined(described, plan, job);
    await writer.putInventory(dump.inventory, described);
    const manifest = { ...described, artifacts: [...writer.artifacts] };
    await writer.commit(manifest, emits.assertWhole);
    await acknowledge(run, connector, manifest, o);
    const warnings = [...manifest.warnings, ...run.warnings];
    const result = committedResult(run, manifest, writer.outcomes(), warnings, o);
    run.done = result;
    await writer.cleaned();
    return result;
  } catch (error) {
    await writer.abandon(error);
    throw error;
  }
}

/**
 * A gap is found when it is made, not when it is restored.
 *
 * @throws BackupError `verification/gap`
 */
function assertJoined(manifest: Manifest, { stored }: BackupPlan, { database }: JobDefinition) {
  const joins = joinsOf(database.kind.positions);
  if (stored !== undefined) assertFollows(manifest, stored, joins);
  assertContinuous(manifest, joins);
}

/** The source may let go of its log: the backup is committed wherever the run still writes. */
async function acknowledge(
  run: Run,
  connector: Connector,
  manifest: Manifest,
  o: JobContext,
): Promise<void> {
  try {
    await connector.acknowledge?.(manifest, o);
  } catch (error) {
    // The backup stands, and the next run tells the source before it goes on.
    const { message, code } = toBackupError(o.signal.aborted ? o.signal.reason : error);
    const warning =
      `The backup is complete, but ${connector.location} was not told that it may let ` +
      `go of its log, which the next run does: ${message} (${code})`;
    run.warnings.push(warning);
    run.tell({ type: "warning", message: warning, code });
  }
}
