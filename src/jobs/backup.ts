import { backupPrefix, newBackupId } from "../catalog/names.ts";
import type { Encryption } from "../contracts/codec.ts";
import { defaultStallTimeoutMs, type JobDefinition } from "../config/model.ts";
import { openWithLimits } from "../connectors/limits.ts";
import type { Connector, DumpResult, Emit, SourceInfo } from "../contracts/connector.ts";
import { type Manifest, manifestFormatVersion, type Omission } from "../contracts/manifest.ts";
import type { StrategyPlan } from "../contracts/strategy.ts";
import { shellQuote } from "../core/text.ts";
import { BackupError, toBackupError } from "../core/errors.ts";
import { version } from "../core/version.ts";
import { full } from "../strategies/full.ts";
import { type BackupWriter, openBackupWriter } from "./backup-writer.ts";
import { cleanUpAfterCrash } from "./clean-up.ts";
import { completeHistory } from "./complete-history.ts";
import { withDeadline } from "./deadline.ts";
import { watchEmits } from "./emits.ts";
import { resolveEncryption } from "./encryption.ts";
import { type FailedDestination, type OpenDestination, withDestinations } from "./destinations.ts";
import { type History, openHistory } from "./history.ts";
import { withBackupsKept, withJobLock } from "./lock.ts";
import { createMeter, type Meter } from "./progress.ts";
import { thisWriter, withOneWriter, type Writer } from "./one-writer.ts";
import { pruneAfter } from "./prune-after.ts";
import { type IdentifiedSource, identifySource } from "./source.ts";
import type { DestinationOutcome, JobContext, RunBackup, RunResult } from "./types.ts";

/** One run of one job, from the lock to the run record. See {@link RunBackup}. */
export const runBackup: RunBackup = async (job, o) => {
  const startedAt = o.runtime.now();
  const run = newBackupId(o.runtime.random);
  const log = o.runtime.log.with({ run, job: job.name, database: job.database.name });
  const context: JobContext = { ...o, runtime: { ...o.runtime, log } };
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
      ? failed({ job, run, startedAt, so }, o.signal.aborted ? o.signal.reason : error, context)
      : withWarning(so.done, error);
    await note(result, context);
  }
  logEnd(result, context);
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
  readonly forced: Manifest["kind"] | undefined;
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
        withDestinations(job.destinations, { ...o, stallMs }, async (open, unopened) => {
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
        }),
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
  const { job, run, startedAt } = order;
  const meter = createMeter(o);
  meter.stage("inspect");
  const found = await connector.inspect({ signal: o.signal, settings: job.settings });
  assertAccepted(job, found.omissions, "dump/would-omit");
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
    await writer.putInventory(dump.inventory);
    const manifest = describe(order, writer, { info, plan, source, by, dump }, o.runtime.now());
    await writer.commit(manifest, emits.assertWhole);
    const result = ended(order, manifest, writer.outcomes(), warningsOf(info, dump), o);
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
      hint: `Grant what is missing, or accept it by name: accept: ${JSON.stringify(names)}` +
        ` (--accept ${names.join(" --accept ")}).`,
      details: { omissions: unaccepted },
    },
  );
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

function ended(
  { job, run, startedAt }: Order,
  manifest: Manifest,
  destinations: readonly DestinationOutcome[],
  warnings: readonly string[],
  o: JobContext,
): RunResult {
  const failures = destinations.filter((outcome) => outcome.status === "failed");
  const base = { run, job: job.name, startedAt, finishedAt: o.runtime.now(), manifest };
  if (failures.length === 0) return { ...base, status: "success", destinations, warnings };
  const names = failures.map(({ name }) => `"${name}"`).join(", ");
  const error = new BackupError(
    "partial/destinations",
    `Backup ${run} is missing at ${failures.length} of ${destinations.length} destinations: ${names}` +
      ` (${failures[0]!.error.message})`,
    { cause: failures[0]!.error, hint: healingHint(run, job, destinations, o) },
  );
  return { ...base, status: "partial", destinations, warnings, error };
}

/** What to mend first, and the command that then brings the backup to where it is missing. */
function healingHint(
  run: string,
  job: JobDefinition,
  destinations: readonly DestinationOutcome[],
  { configFlags = [] }: JobContext,
): string {
  const argument = (name: string) =>
    shellQuote(job.destinations.find((one) => one.name === name)?.argument ?? name);
  const flags = configFlags.map((flag) => ` ${shellQuote(flag)}`).join("");
  const source = destinations.find(({ status }) => status === "committed");
  const failures = destinations.filter((outcome) => outcome.status === "failed");
  const commands = failures.map(({ name }) =>
    `\`dbbackup copy ${run}${source === undefined ? "" : ` --from ${argument(source.name)}`}` +
    ` --to ${argument(name)}${flags}\``
  );
  const first = failures[0]?.error.hint;
  return `${first === undefined ? "Mend that." : first} Then: ${commands.join(", ")}.`;
}

function failed(
  { job, run, startedAt, so }: Pick<Order, "job" | "run" | "startedAt" | "so">,
  reason: unknown,
  o: JobContext,
): RunResult {
  const error = toBackupError(reason);
  const outcomes = so.outcomes?.() ?? [];
  return {
    run,
    job: job.name,
    status: "failure",
    startedAt,
    finishedAt: o.runtime.now(),
    // Where several failed each for a reason of its own, each is told; else the error says it all.
    destinations: outcomes.length > 1 ? outcomes.filter(({ status }) => status === "failed") : [],
    warnings: [],
    error,
  };
}

/** A backup that is committed stands, whatever goes wrong on the way out. */
function withWarning(result: RunResult, reason: unknown): RunResult {
  const { message, code } = toBackupError(reason);
  const warning = `The backup is complete, but the run did not end cleanly: ${message} (${code})`;
  return { ...result, warnings: [...result.warnings, warning] };
}

/** What is told with the result, too, has `isOutcome`: a person at a terminal needs it once. */
function logEnd(result: RunResult, o: JobContext): void {
  const { log } = o.runtime;
  const seconds = (result.finishedAt.getTime() - result.startedAt.getTime()) / 1000;
  for (const warning of result.warnings) {
    log.warn("{warning}", { warning, isOutcome: true });
  }
  if (result.error === undefined) {
    log.info("Run {run} of job {job} ended well after {seconds} s", { seconds });
  } else {
    const { code, message, hint } = result.error;
    log.error("Run {run} of job {job} ended with {code}: {message}", {
      code,
      message,
      hint,
      seconds,
      isOutcome: true,
    });
  }
}
