import { assertContinuous, assertFollows, joinsOf } from "../../catalog/continuity.ts";
import { backupPrefix } from "../../catalog/names.ts";
import type { JobDefinition } from "../../config/model.ts";
import type { Encryption } from "../../contracts/codec.ts";
import type { Connector } from "../../contracts/connector.ts";
import type { Kind, Manifest } from "../../contracts/manifest.ts";
import type { DestinationOutcome, RunResult } from "../../contracts/run.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import type { JobContext } from "../shared/context.ts";
import type { FailedDestination } from "../shared/destinations.ts";
import type { History } from "../shared/history.ts";
import { openableBackup } from "../shared/open-backup.ts";
import type { Meter } from "../shared/progress.ts";
import type { IdentifiedSource } from "../shared/source.ts";
import { assertAccepted } from "./accepted.ts";
import { watchEmits } from "./emits.ts";
import { describe } from "./manifest.ts";
import type { Writer } from "./one-writer.ts";
import type { BackupPlan } from "./plan.ts";
import { committedResult } from "./run-result.ts";
import type { StoredParent } from "./parents.ts";
import type { Tell } from "./tell.ts";
import { openBackupWriter } from "./writer.ts";

/** A run, and what it has come to so far, whatever goes wrong after it. */
export interface Run {
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
  /** How its destinations fare. */
  outcomes: () => readonly DestinationOutcome[];
}

/** What a run works with once everything is open and locked. */
export interface Scene {
  readonly connector: Connector;
  readonly encryption: Encryption | undefined;
  readonly meter: Meter;
  readonly source: IdentifiedSource;
  readonly writer: Writer;
  readonly unopened: readonly FailedDestination[];
}

/** Takes what was planned, and a full backup where the dump finds that it cannot go on. */
export async function takePlanned(
  run: Run,
  scene: Scene,
  plan: BackupPlan,
  o: JobContext,
): Promise<RunResult> {
  try {
    return await write(run, scene, plan, o);
  } catch (error) {
    o.signal.throwIfAborted();
    if (!hasCode(error, "dump/cannot-continue") || plan.stored === undefined) throw error;
    if (run.forced !== undefined) throw unsupported(run.forced, error);
    const { kind: wanted, open, refused, info } = plan;
    const reason = error.message;
    const full = { kind: "full", parent: undefined, stored: undefined, isBase: true } as const;
    return await write(run, scene, { ...full, reason, wanted, open, refused, info }, o);
  }
}

/** What a strategy says of a forced kind, where only the dump found out. */
function unsupported(kind: Kind, cause: BackupError): BackupError {
  return new BackupError(
    "usage/kind-unsupported",
    `Cannot take a backup of kind "${kind}": ${cause.message}`,
    { cause, hint: "Leave --kind out, or give --kind full." },
  );
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
        ...stored === undefined ? {} : openedChain(stored, job, o),
        settings: job.settings,
        stallMs: job.stallTimeoutMs,
        onPrepared: meter.prepared,
        onChecking: meter.checking,
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

/** What a dump reads of what it builds on. */
function openedChain({ chain }: StoredParent, { database }: JobDefinition, o: JobContext) {
  const opened = chain.map((link) => openableBackup(link, database.kind.formats, o));
  return { parent: opened.at(-1)!, chain: opened };
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
