import { Buffer } from "node:buffer";
import type { FindCursor } from "mongodb";
import type { DumpPlan, DumpResult, Emit } from "../../contracts/dump.ts";
import type { OpenableBackup } from "../../contracts/restore.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { emitAccounts } from "./accounts.ts";
import type { NamespaceRules } from "./archive/oplog.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { serverCode } from "./errors.ts";
import { omissionsOf } from "./inspect.ts";
import { readInventory } from "./inventory.ts";
import { continuation, timestampOf } from "./oplog/continuation.ts";
import { type OplogEntry, readEntry } from "./oplog/entry.ts";
import { oplogFormat } from "./oplog/format.ts";
import { inventoryOf, statesOf, storedInventory } from "./oplog/inventory.ts";
import { keptEntry, TakenIn, timeOnly } from "./oplog/kept.ts";
import { compareTimes, type OplogPosition, oplogPosition, positionAt } from "./oplog/position.ts";
import { type Replay, replay } from "./oplog/replay.ts";
import { isSame } from "./oplog/slice.ts";
import { sketchSpool } from "./oplog/spool.ts";
import { BrokenTransaction, type Transactions, transactions } from "./oplog/transactions.ts";
import { rulesOf } from "./rules.ts";
import type { Server } from "./server.ts";
import type { MongoAddress } from "./uri.ts";

/** https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
const lostPosition: ReadonlySet<number> = new Set([
  43, // CursorNotFound
  136, // CappedPositionLost
]);

/**
 * Dumps the oplog since a backup: its entries from the one that the backup ended with up to what
 * most members of the set have, which is never rolled back.
 *
 * What it does to the databases is followed while it passes, so that one that could not be replayed
 * is never kept.
 *
 * @throws BackupError `dump/cannot-continue`
 */
export async function dumpOplog(
  client: Client,
  address: MongoAddress,
  plan: DumpPlan,
  emit: Emit,
  { server, ...o }: Abortable & { readonly runtime: Runtime; readonly server: Server },
): Promise<DumpResult> {
  const parent = plan.parent!;
  const from = startOf(parent.manifest);
  const rules = rulesOf(plan.settings, undefined);
  const known = await whatIsThere(client, address, { parent, server, from, rules }, o);
  const under = follower(known, from);
  const reading: Reading = {
    ...{ from, parent: parent.manifest, until: untilOf(server, from), rules, known, under },
    underWay: transactions(sketchSpool, from.open),
    last: undefined,
    latestMs: startMsOf(parent.manifest),
  };
  const to = () => positionAt(reading.last!.time, reading.underWay.open());
  const head = {
    role: "log",
    databases: [],
    format: oplogFormat.id,
    slug: "oplog",
    span: () => ({ from: parent.manifest.position.to!, to: to() }),
  } as const;
  await emit(head, entriesOf(client, reading, o));
  const warnings = await emitAccounts(client, { server, address, emit }, o);
  await under.end();
  const consistentAt = new Date(reading.latestMs);
  return {
    from: parent.manifest.position.to!,
    to: to(),
    consistentAt,
    window: { from: new Date(startMsOf(parent.manifest)), to: consistentAt },
    inventory: { databases: described(under) },
    omitted: omissionsOf(server, address),
    warnings,
  };
}

/** Entries are small, and each chunk costs. */
const chunkBytes = 256 * 1024;

/** A piece of the oplog while it is read. */
interface Reading {
  readonly from: OplogPosition;
  readonly until: { readonly t: number; readonly i: number };
  readonly parent: Manifest;
  readonly rules: NamespaceRules;
  readonly known: Known;
  readonly under: Replay;
  readonly underWay: Transactions;
  last: OplogEntry | undefined;
  /** Of all entries so far: within a second, wall clocks need not agree with their order. */
  latestMs: number;
}

function startOf({ id, position }: Manifest): OplogPosition {
  const from = oplogPosition(position.to);
  if (from !== undefined) return from;
  throw cannot(`${id} does not say where in the oplog it ended`);
}

function startMsOf({ window, consistentAt }: Manifest): number {
  return new Date(window?.to ?? consistentAt).getTime();
}

/** A base may end with what most members do not have yet. */
function untilOf({ position }: Server, from: OplogPosition): OplogPosition {
  const until = oplogPosition(position);
  return until === undefined || compareTimes(until, from) < 0 ? from : until;
}

/** What is there at some moment. */
interface Known {
  readonly databases: readonly DatabaseInventory[];
  /** Entries up to here are in it. */
  readonly since: { readonly t: number; readonly i: number };
  /** Whether it is what was there then, and not some time after. */
  readonly isExact: boolean;
}

/**
 * What the parent says that it holds. Where that cannot be read, it is what the server has now: what
 * the oplog did until then is in it, and some of what it did since.
 */
async function whatIsThere(
  client: Client,
  address: MongoAddress,
  { parent, server, from, rules }: {
    readonly parent: OpenableBackup;
    readonly server: Server;
    readonly from: OplogPosition;
    readonly rules: NamespaceRules;
  },
  o: Abortable,
): Promise<Known> {
  const stored = await storedInventory(parent, o);
  if (stored !== undefined) return { databases: stored, since: from, isExact: true };
  const databases = await client.ask(async (driver) => {
    const names = await listDatabases(driver, address);
    return await Promise.all(
      names.map((name) => readInventory(driver.db(name), { isCounted: false })),
    );
  }, o);
  const kept = databases.map(({ database, objects }) => ({
    database,
    objects: objects.filter(({ type, name }) => type === "index" || rules.keep(database, name)),
  }));
  return { databases: kept, since: untilOf(server, from), isExact: false };
}

/** Follows what entries do, and writes nothing. */
function follower({ databases }: Known, { open = [] }: OplogPosition): Replay {
  const nothing = () => Promise.resolve();
  const under = replay({
    sink: {
      write: nothing,
      create: nothing,
      drop: nothing,
      rename: nothing,
      modify: nothing,
      createIndexes: nothing,
      present: () => Promise.resolve(new Set()),
    },
    spool: sketchSpool,
    begun: open,
    nameOf: (db) => db,
  });
  for (const { namespace, state } of statesOf(databases)) under.announce(namespace, state);
  return under;
}

/** What is there at the end. How many documents was written to is for the restore to find out. */
function described({ collections, written }: Replay) {
  return inventoryOf(
    new Map([...collections].map(([namespace, state]) => [
      namespace,
      written.has(namespace) ? { ...state, count: undefined } : state,
    ])),
  );
}

async function* entriesOf(client: Client, reading: Reading, o: Abortable): Bytes {
  const { from, until } = reading;
  const range = { $gte: await timestampOf(from), $lte: await timestampOf(until) };
  const cursor = await client.ask((driver) =>
    Promise.resolve(
      driver.db("local").collection("oplog.rs").find({ ts: range }, {
        raw: true,
        readConcern: { level: "majority" },
        sort: { $natural: 1 },
        noCursorTimeout: true,
      }),
    ), o);
  try {
    let pieces: Uint8Array[] = [];
    let bytes = 0;
    while (await more(client, cursor, reading, o)) {
      for (const raw of cursor.readBufferedDocuments()) {
        const kept = await take(raw as unknown as Uint8Array, client, reading, o);
        pieces.push(kept);
        bytes += kept.byteLength;
        if (bytes < chunkBytes) continue;
        yield Buffer.concat(pieces);
        [pieces, bytes] = [[], 0];
      }
    }
    if (pieces.length > 0) yield Buffer.concat(pieces);
    if (reading.last === undefined) throw await broken(client, reading, o);
  } finally {
    await cursor.close().catch(() => {});
  }
}

async function more(
  client: Client,
  cursor: FindCursor,
  reading: Reading,
  o: Abortable,
): Promise<boolean> {
  try {
    return await client.ask(() => cursor.hasNext(), o);
  } catch (error) {
    const isLost = hasCode(error, "connection/refused") &&
      lostPosition.has(serverCode(error.cause) ?? 0);
    if (!isLost) throw error;
    if (reading.last === undefined) throw await broken(client, reading, o);
    throw cannot("the oplog was overwritten while it was read: it is too short");
  }
}

async function take(
  document: Uint8Array,
  client: Client,
  reading: Reading,
  o: Abortable,
): Promise<Uint8Array> {
  const entry = readEntry(document);
  if (entry === undefined) throw cannot("an entry of the oplog has no time");
  if (reading.last === undefined) {
    // The one that the parent ended with: it shows that this is the same log, and that it joins.
    if (!isSame(entry.time, reading.from)) throw await broken(client, reading, o);
    reading.last = entry;
    return timeOnly(document);
  }
  try {
    const kept = keptEntry(document, reading.rules);
    const read = kept === document ? entry : readEntry(kept)!;
    if (read.transaction !== undefined) reading.underWay.take(read, true)?.drop();
    const { since, isExact } = reading.known;
    if (compareTimes(entry.time, since) > 0) {
      await reading.under.entry(read, isExact ? "exact" : "window");
    }
    reading.last = entry;
    reading.latestMs = Math.max(reading.latestMs, entry.instantMs);
    return kept;
  } catch (error) {
    const isInTheWay = error instanceof TakenIn || error instanceof BrokenTransaction ||
      hasCode(error, "restore/failed");
    if (!isInTheWay) throw error;
    const what = error instanceof BrokenTransaction
      ? "a transaction of the oplog is not whole: "
      : "";
    throw cannot(what + error.message);
  }
}

/** Why the oplog does not go on from the parent. */
async function broken(client: Client, { parent }: Reading, o: Abortable): Promise<BackupError> {
  const found = await client.ask((driver) => continuation(driver, parent), o);
  return cannot(
    found.isPossible ? `the oplog changed where ${parent.id} ended` : found.reason,
  );
}

function cannot(reason: string): BackupError {
  return new BackupError("dump/cannot-continue", reason, {
    hint: "Take a full backup: --kind full.",
  });
}
