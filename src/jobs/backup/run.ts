import { backupPrefix, newBackupId } from "../../catalog/names.ts";
import type { Encryption } from "../../contracts/codec.ts";
import { defaultStallTimeoutMs, type JobDefinition } from "../../config/model.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import type { Connector, DumpResult, Emit, SourceInfo } from "../../contracts/connector.ts";
import {
  type Kind,
  type Manifest,
  manifestFormatVersion,
  type Omission,
} from "../../contracts/manifest.ts";
import type { StrategyPlan } from "../../contracts/strategy.ts";
import { BackupError } from "../../core/errors.ts";
import { version } from "../../core/version.ts";
import { full } from "../../strategies/full.ts";
import { type BackupWriter, openBackupWriter } from "./writer.ts";
import { cleanUpAfterCrash } from "../shared/clean-up.ts";
import { completeHistory } from "./complete-history.ts";
import { backupHolds, withDatabases } from "../shared/database-lock.ts";
import { withDeadline } from "./deadline.ts";
import { watchEmits } from "./emits.ts";
import { resolveEncryption } from "./encryption.ts";
import {
  type FailedDestination,
  type OpenDestination,
  withDestinations,
} from "../shared/destinations.ts";
import { type History, openHistory } from "../shared/history.ts";
import { withBackupsKept, withJobLock } from "../shared/lock.ts";
import { createMeter, type Meter } from "../shared/progress.ts";
import { thisWriter, withOneWriter, type Writer } from "./one-writer.ts";
import { pruneAfter } from "./prune-after.ts";
import { type IdentifiedSource, identifySource } from "../shared/source.ts";
import { committedResult, failedResult, logResult, withWarning } from "./run-result.ts";
import type { DestinationOutcome, RunBackup, RunResult } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** One run of one job, from the lock to the run record. See {@link RunBackup}. */
export const runBackup: RunBackup = async (job, o) => {
  const startedAt = o.runtime.now();
  const run = newBackupId(o.runtime.random);
  const log = o.runtime.log.with({ run, job: job.name, database: job.database.name });
  const context: JobContext = {
    ...o,
    runtime: { ...o.runtime, log },
    patience: { retryMs: job.retryTimeoutMs },
  };
  log.info("Run {run} of job {job} starts");
  const so: SoFar = {};
  let result: RunResult;
  try {
    result = await withDeadline(
      o.signal,
      job.timeoutMs,
      (signal) => runLocked({ job, run, startedAt, forced: o.kind, so }, { ...context, signal }),
    );
  } catch (error) {
    result = so.done === undefined
      // Whatever a stopped run stumbled over, the reason it was stopped is what went wrong.
      ? failedResult(
        { job, run, startedAt },
        o.signal.aborted ? o.signal.reason : error,
        so.outcomes?.() ?? [],
        context,
      )
      : withWarning(so.done, error);
    await note(result, context);
  }
  logResult(result, context);
  return result;
};

/** A run that failed may not have come as far as to open the record. */
async function note(result: RunResult, o: JobContext): Promise<void> {
  const history = await openHistory(o);
  history.finish(result);
  history.close();
}

/** What a run has come to, whatever goes wrong after it. */
interface SoFar {
  /** The run's result, once it is committed. */
  done?: RunResult;
  /** How its destinations fare, once it writes to them. */
  outcomes?: () => readonly DestinationOutcome[];
}

interface Order {
  readonly so: SoFar;
  readonly job: JobDefinition;
  readonly run: string;
  readonly startedAt: Date;
  readonly forced: Kind | undefined;
}

/** Everything that happens while the lock is held. */
async function runLocked(order: Order, o: JobContext): Promise<RunResult> {
  const { job, run } = order;
  const stallMs = job.destinationStallTimeoutMs;
  const encryption = await resolveEncryption(job.encryption, o.runtime.secrets);
  const answerMs = Math.max(job.stallTimeoutMs, defaultStallTimeoutMs);
  const connector = await openWithLimits(job.database, { answerMs }, o);
  try {
    return await withJobLock(
      { job: job.name, location: connector.location, run },
      o,
      () =>
        withDestinations(
          job.destinations,
          { ...o, stallMs, isEachItsOwn: true },
          async (open, unopened) => {
            const history = await openHistory(o);
            try {
              if (open.length === 0) throw unopened[0]!.error;
              await cleanUpAfterCrash(job.name, open, history, o);
              const locations = open.map(({ storage }) => storage.location);
              const recorded = await withBackupsKept(
                { job: job.name, locations },
                o,
                () => runRecorded({ ...order, encryption }, connector, open, unopened, history, o),
              );
              order.so.done = recorded;
              const result = await pruneAfter(recorded, job, open, o);
              order.so.done = result;
              history.finish(result);
              return result;
            } finally {
              history.close();
            }
          },
        ),
    );
  } finally {
    await connector.close();
  }
}

async function runRecorded(
  order: Order & { readonly encryption: Encryption | undefined },
  connector: Connector,
  opened: readonly OpenDestination[],
  failed: readonly FailedDestination[],
  history: History,
  o: JobContext,
): Promise<RunResult> {
  const { job, run } = order;
  const meter = createMeter(o);
  meter.stage("inspect");
  const found = await connector.inspect({ signal: o.signal, settings: job.settings });
  assertAccepted(job, found.omissions, "dump/would-omit");
  const holds = backupHolds(found, await connector.databases(o), connector.location);
  const onWait = (who: string) => {
    o.runtime.log.info("Waiting for {who}, which uses the same database", { who });
    meter.stage(`waiting for ${who}`);
  };
  return await withDatabases(
    { run, what: `backup of job "${job.name}"`, holds },
    { ...o, onWait },
    () => runHeld(order, connector, { found, opened, failed, history, meter }, o),
  );
}

/** The part of a run that reads the database. */
async function runHeld(
  order: Order & { readonly encryption: Encryption | undefined },
  connector: Connector,
  { found, opened, failed, history, meter }: {
    readonly found: SourceInfo;
    readonly opened: readonly OpenDestination[];
    readonly failed: readonly FailedDestination[];
    readonly history: History;
    readonly meter: Meter;
  },
  o: JobContext,
): Promise<RunResult> {
  const { job, run, startedAt } = order;
  const source = await identifySource(job.database, found, o);
  const by = thisWriter(found.place, o);
  const alone = await withOneWriter({ job: job.name, source, writer: by }, opened, o);
  const { open, refused } = alone;
  if (open.length === 0) throw refused[0]!.error;
  const info = { ...found, warnings: [...found.warnings, ...alone.warnings] };
  const before = await completeHistory({ job: job.name, sourceTag: source.tag }, open, o);
  const plan = full.plan({ history: before, info, now: startedAt, forced: order.forced });
  const prefix = backupPrefix({
    job: job.name,
    startedAt,
    kind: plan.kind,
    id: run,
    sourceTag: source.tag,
    parentId: plan.parent?.id,
  });
  const unopened = [...failed, ...refused];

  const writer = openBackupWriter(
    { job, run, encryption: order.encryption, prefix, open, unopened, history, meter, startedAt },
    o,
  );
  const emits = watchEmits(writer.putArtifact);
  order.so.outcomes = () => writer.outcomes();
  try {
    const dump = await dumpInto(emits.emit, order, connector, plan, info, meter, o);
    emits.end();
    // A right can be revoked between the look at the source and the dump.
    assertAccepted(job, dump.omitted, "dump/omitted");
    const described = describe(order, writer, { info, plan, source, by, dump }, o.runtime.now());
    await writer.putInventory(dump.inventory, described);
    const manifest = { ...described, artifacts: [...writer.artifacts] };
    await writer.commit(manifest, emits.assertWhole);
    const result = committedResult(order, manifest, writer.outcomes(), warningsOf(info, dump), o);
    order.so.done = result;
    await writer.cleaned();
    return result;
  } catch (error) {
    await writer.abandon(error);
    throw error;
  }
}

/** A dump that leaves something out is no success, unless the job says that this is known. */
function assertAccepted(
  job: JobDefinition,
  omissions: readonly Omission[],
  code: "dump/would-omit" | "dump/omitted",
): void {
  const unaccepted = omissions.filter(({ name }) => !job.accept.includes(name));
  if (unaccepted.length === 0) return;
  const names = unaccepted.map(({ name }) => name);
  const verb = code === "dump/omitted" ? "has left out" : "would leave out";
  throw new BackupError(
    code,
    `A dump of "${job.database.name}" ${verb}: ` +
      unaccepted.map(({ name, reason }) => `${name} (${reason})`).join("; "),
    {
      hint: `${remedies(unaccepted)} Or accept it by name: accept: ${JSON.stringify(names)}` +
        ` (--accept ${names.join(" --accept ")}).`,
      details: { omissions: unaccepted },
    },
  );
}

/** What can be done about omissions, each thing once. */
function remedies(omissions: readonly Omission[]): string {
  return [...new Set(omissions.map(({ hint }) => hint ?? "Grant what is missing."))].join(" ");
}

async function dumpInto(
  emit: Emit,
  { job }: Order,
  connector: Connector,
  { kind }: StrategyPlan,
  info: SourceInfo,
  meter: Meter,
  o: JobContext,
): Promise<DumpResult> {
  meter.stage("dump", info.estimatedBytes);
  const dumpPlan = { kind, settings: job.settings, stallMs: job.stallTimeoutMs };
  return await connector.dump(dumpPlan, emit, o);
}

/** Each once: a connector may say the same before the dump and after it. */
function warningsOf(info: SourceInfo, dump: DumpResult): string[] {
  return [...new Set([...info.warnings, ...dump.warnings])];
}

function describe(
  { job, run, startedAt }: Order,
  { artifacts }: BackupWriter,
  { info, plan, source, by, dump }: {
    info: SourceInfo;
    plan: StrategyPlan;
    source: IdentifiedSource;
    by: Writer;
    dump: DumpResult;
  },
  finishedAt: Date,
): Manifest {
  return {
    formatVersion: manifestFormatVersion,
    id: run,
    job: job.name,
    kind: plan.kind,
    parent: null,
    source: {
      kind: source.kind,
      id: source.id,
      tag: source.tag,
      flavour: info.flavour,
      version: info.version,
    },
    writer: by,
    tool: { name: "dbbackup", version },
    clientTools: info.tools.flatMap(({ name, version }) =>
      version === undefined ? [] : [{ name, version }]
    ),
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
    consistentAt: dump.consistentAt.toISOString(),
    position: {
      ...(dump.from === undefined ? {} : { from: dump.from }),
      ...(dump.to === undefined ? {} : { to: dump.to }),
    },
    clockOffsetMs: info.clockOffsetMs,
    settings: { ...job.settings } as Manifest["settings"],
    omitted: [...dump.omitted],
    warnings: warningsOf(info, dump),
    artifacts: [...artifacts],
  };
}
