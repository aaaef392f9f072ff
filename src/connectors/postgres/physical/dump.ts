import type { Abortable, Bytes } from "../../../core/bytes.ts";
import { ChildError, childOutput } from "../../../core/child.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import { tarReader } from "../../../core/tar.ts";
import type { DumpPlan, DumpResult, Emit } from "../../../contracts/dump.ts";
import type { Manifest } from "../../../contracts/manifest.ts";
import type { Address } from "../address.ts";
import type { Client } from "../client.ts";
import { listDatabases } from "../databases.ts";
import { readServer, type Server } from "../server.ts";
import { complaint, findToolSets, toolsForDump, toolSpec } from "../tools.ts";
import { type BackupManifest, baseFormat, manifestCatcher } from "./base-format.ts";
import { baseRole, isPhysical, logRole, readContinuation } from "./continuation.ts";
import { type LogPosition, logPosition, positionOf } from "./lsn.ts";
import { assertUnobstructed, assertWhole, obstacleTo } from "./requirements.ts";
import { type Moment, noteMoment, readServerLog, type ServerLog } from "./server-log.ts";
import { advanceSlot, dropSlot, keepLog, readSlot, slotName } from "./slot.ts";
import { walFormat } from "./wal-format.ts";
import { walTar } from "./wal-stream.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** A server that physical backups are taken of. */
interface Source {
  readonly client: Client;
  readonly address: Address;
  /** A database to ask from. */
  readonly place: string;
  readonly server: Server;
  readonly log: ServerLog;
  readonly slot: string;
  /** The databases that the job is about; the backup is of the whole server. */
  readonly databases: readonly string[];
}

/**
 * Takes a backup of the server's files that others can build on, or the log since such a one.
 *
 * @throws BackupError `usage/kind-unsupported`, `dump/cannot-continue`, `dump/…`
 */
export async function dumpPhysical(
  client: Client,
  address: Address,
  plan: DumpPlan,
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  assertWhole(plan.settings);
  const { names } = await listDatabases(client, address, o);
  const place = await client.anyDatabase(o);
  const server = await readServer(client, address, place, o);
  assertUnobstructed(await obstacleTo(client, place, server, o), address.label);
  const source: Source = {
    client,
    address,
    place,
    server,
    log: await readServerLog(client, place, server.sourceId!, o),
    slot: slotName(plan.job ?? "dbbackup"),
    databases: names,
  };
  return plan.kind === "full"
    ? await dumpBase(source, plan, emit, o)
    : await dumpChanges(source, plan, emit, o);
}

/** Lets the server let go of its log up to where a backup ends. */
export async function acknowledge(
  client: Client,
  manifest: Manifest,
  o: Abortable,
): Promise<void> {
  const end = logPosition(manifest.position.to);
  if (end === undefined || !isPhysical(manifest)) return;
  const place = await client.anyDatabase(o);
  const log = await readServerLog(client, place, end.system, o);
  // Another history's places say nothing here.
  if (log.position.timeline !== end.timeline || log.position.lsn < end.lsn) return;
  await advanceSlot(client, place, slotName(manifest.job), end.lsn, o);
}

/** The files, and the log up to a moment after them. */
async function dumpBase(
  source: Source,
  plan: DumpPlan,
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  const { client, place, server, address, slot } = source;
  const sets = await findToolSets(address.toolsDir, o);
  const tools = toolsForDump(sets, server, address.toolsDir, "pg_basebackup");
  // Before the files: not a byte of the log from here on may go.
  const isMade = await keepLog(client, place, slot, o);
  let isDone = false;
  try {
    const noted: { manifest?: BackupManifest } = {};
    const bytes = childOutput({
      ...toolSpec(tools, "pg_basebackup", address, place, [
        ...["-D", "-", "-Ft", "-X", "fetch", "-c", "fast"],
        ...["--manifest-checksums=SHA256", "--label=dbbackup", "--no-password"],
      ]),
      stallMs: plan.stallMs,
    }, o);
    const head = {
      role: baseRole,
      databases: source.databases,
      format: baseFormat.id,
      slug: "server",
    };
    await emit(head, noting(toldBy(bytes, o), noted));
    const { end, timeline } = noted.manifest!;
    const from = { lsn: end, timeline, system: server.sourceId! };
    if (timeline !== source.log.position.timeline) throw movedOn(source, timeline);
    const moment = await noteMoment(client, place, source.log, o);
    await emitLog(source, from, moment, emit, o);
    isDone = true;
    return resultOf(source, from, moment, moment.at);
  } catch (error) {
    o.signal.throwIfAborted();
    throw await lostLog(source, error, o) ?? error;
  } finally {
    // One that was there before may hold what the last backup still needs.
    if (isMade && !isDone) await letGo(source, o);
  }
}

/** The log since the parent. */
async function dumpChanges(
  source: Source,
  plan: DumpPlan,
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  const { client, place, log, slot } = source;
  const parent = plan.parent?.manifest;
  if (plan.kind !== "incremental" || parent === undefined) {
    throw new BackupError("usage/kind-unsupported", `PostgreSQL has no ${plan.kind} backup here`, {
      hint: "Use the strategy full or incremental.",
    });
  }
  const continues = await readContinuation(client, { place, log, slot }, parent, o);
  if (!continues.isPossible) {
    throw new BackupError("dump/cannot-continue", continues.reason, {
      hint: "A full backup begins anew.",
    });
  }
  const from = logPosition(parent.position.to)!;
  const moment = await noteMoment(client, place, log, o);
  const since = new Date(parent.window?.to ?? parent.consistentAt);
  if (moment.at < since) {
    throw new BackupError(
      "dump/cannot-continue",
      `the server's clock shows ${moment.at.toISOString()}, and ${parent.id} ended at ` +
        since.toISOString(),
      { hint: "Moments could not be told apart. A full backup begins anew." },
    );
  }
  await emitLog(source, from, moment, emit, o);
  return resultOf(source, from, moment, since);
}

async function emitLog(
  { address, place, log }: Source,
  from: LogPosition,
  to: Moment,
  emit: Emit,
  o: Context,
): Promise<void> {
  const piece = {
    timeline: from.timeline,
    from: from.lsn,
    to: to.lsn,
    segmentBytes: log.segmentBytes,
    previous: from.previous,
  };
  const span = { from: positionOf(from), to: positionOf(to) };
  const head = {
    role: logRole,
    databases: [],
    format: walFormat.id,
    slug: "wal",
    span: () => span,
  };
  await emit(head, walTar(address, place, piece, o));
}

function resultOf(
  { databases }: Source,
  from: LogPosition,
  moment: Moment,
  since: Date,
): DumpResult {
  return {
    from: positionOf(from),
    to: positionOf(moment),
    consistentAt: moment.at,
    window: { from: since, to: moment.at },
    // What is in the files nobody has counted.
    inventory: { databases: databases.map((database) => ({ database, objects: [] })) },
    omitted: [],
    warnings: [],
  };
}

/** Reads pg_basebackup's own list in passing. */
async function* noting(bytes: Bytes, noted: { manifest?: BackupManifest }): Bytes {
  const reader = tarReader();
  const catcher = manifestCatcher();
  for await (const chunk of bytes) {
    for (const event of reader.push(chunk)) catcher.see(event);
    yield chunk;
  }
  reader.end();
  noted.manifest = catcher.manifest();
}

/** What the tool says when it fails. */
async function* toldBy(bytes: Bytes, o: Context): Bytes {
  try {
    yield* bytes;
  } catch (error) {
    o.signal.throwIfAborted();
    if (!(error instanceof ChildError)) throw error;
    const said = complaint(error);
    throw new BackupError("dump/failed", `pg_basebackup failed: ${said}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: /pg_hba\.conf/.test(said)
        ? "Allow the user in the server's pg_hba.conf by a line for the database replication: " +
          "host replication USER ADDRESS scram-sha-256."
        : /max_wal_senders|number of requested standby connections/.test(said)
        ? "Raise max_wal_senders on the server."
        : "Look into the server's log; --log-level debug shows the tool's whole output.",
    });
  }
}

/** Of what the server let go meanwhile the tool says only that something ended. */
async function lostLog(
  { client, address, place, slot: name }: Source,
  cause: unknown,
  o: Context,
): Promise<BackupError | undefined> {
  const slot = await readSlot(client, place, name, o).catch(() => undefined);
  if (slot !== undefined && slot.status !== "lost") return undefined;
  if (slot === undefined && !(cause instanceof BackupError && cause.code === "dump/failed")) {
    return undefined;
  }
  return new BackupError(
    "dump/failed",
    slot === undefined
      ? `Somebody dropped the replication slot "${name}" during the backup`
      : `${address.label} let go of the log that the backup needs while it was taken: ` +
        "max_slot_wal_keep_size was passed",
    {
      cause,
      hint: slot === undefined
        ? "Run again; the slot is what keeps the server's log for this job."
        : "Raise max_slot_wal_keep_size on the server to what it writes during a full backup, and more.",
    },
  );
}

function movedOn({ address, log }: Source, timeline: number): BackupError {
  return new BackupError(
    "dump/failed",
    `${address.label} went from timeline ${log.position.timeline} to ${timeline} meanwhile`,
    { hint: "It was promoted during the backup. Run again." },
  );
}

/** A slot that nothing was taken for would fill the server's disk. */
async function letGo({ client, place, slot }: Source, { runtime }: Context): Promise<void> {
  const o = { signal: AbortSignal.timeout(dropLimitMs) };
  await dropSlot(client, place, slot, o).catch((error: unknown) => {
    runtime.log.warn("Cannot drop the replication slot {slot}, which holds the log back: {error}", {
      slot,
      error: String(error),
    });
  });
}

const dropLimitMs = 10_000;
