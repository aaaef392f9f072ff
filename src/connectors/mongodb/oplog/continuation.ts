import type { Document, MongoClient, Timestamp } from "mongodb";
import type { Continuation } from "../../../contracts/changes.ts";
import type { Manifest } from "../../../contracts/manifest.ts";
import { formatDuration } from "../../../core/text.ts";
import { find, text } from "../archive/bson.ts";
import type { Server } from "../server.ts";
import { type OplogEntry, readEntry } from "./entry.ts";
import { compareTimes, type OplogPosition, oplogPosition } from "./position.ts";
import { isSame } from "./slice.ts";

/** The oldest entry that the oplog still has; undefined where it is empty. @throws MongoServerError */
export async function firstEntry(client: MongoClient): Promise<OplogEntry | undefined> {
  return await oneEntry(client, {});
}

/**
 * Whether the oplog still goes on from where a backup ended: its last entry must be there, and be the
 * same one. It is gone when the oplog was too short, and another when it was rolled back.
 *
 * @throws MongoServerError
 */
export async function continuation(client: MongoClient, parent: Manifest): Promise<Continuation> {
  const position = oplogPosition(parent.position.to);
  if (position === undefined || position.isConsistent !== true) {
    return no(`${parent.id} does not show the state at one moment of the oplog`);
  }
  const first = await firstEntry(client);
  const here = await oneEntry(client, { ts: await timestampOf(position) });
  return judge({ first, here }, position, parent.id);
}

/** What a look into the oplog has found. */
export interface Look {
  readonly first: OplogEntry | undefined;
  /** The entry at the position. */
  readonly here: OplogEntry | undefined;
}

/** See {@link continuation}. @param id of the backup that ended there */
export function judge({ first, here }: Look, position: OplogPosition, id: string): Continuation {
  const { t, i } = position;
  if (here !== undefined && isSame(here.time, position)) return { isPossible: true };
  if (first !== undefined && compareTimes(first.time, position) > 0) {
    return no(
      `the oplog begins at ${isoOf(first.time.t)}, after ${
        isoOf(t)
      } where ${id} ended: it is too ` +
        "short for the time between two backups",
    );
  }
  return here === undefined
    ? no(`the entry ${t}:${i}, where ${id} ended, is not in the oplog any more: it was rolled back`)
    : no(
      `the entry ${t}:${i}, where ${id} ended, is of term ${here.time.term} now and was of term ` +
        `${position.term}: the oplog was rolled back`,
    );
}

/** A warning while the oplog reaches back less than three times the time since the last backup. */
export function shortOplog(
  first: OplogEntry | undefined,
  { position }: Pick<Server, "position">,
  parent: Pick<Manifest, "position">,
): string[] {
  const [now, before] = [oplogPosition(position), oplogPosition(parent.position.to)];
  if (first === undefined || now === undefined || before === undefined) return [];
  const keptMs = (now.t - first.time.t) * 1000;
  const sinceMs = (now.t - before.t) * 1000;
  // One that still has its very first entry has room yet.
  const isYoung = text(find(first.object, "msg")) === "initiating set";
  if (isYoung || sinceMs <= 0 || keptMs >= 3 * sinceMs) return [];
  return [
    `The oplog reaches back ${formatDuration(keptMs)}, and the last backup is ` +
    `${formatDuration(sinceMs)} old: less than three times that leaves no room for a backup that ` +
    "fails. Make the oplog larger (replSetResizeOplog), or back up more often",
  ];
}

async function oneEntry(client: MongoClient, filter: Document): Promise<OplogEntry | undefined> {
  const found = await client.db("local").collection("oplog.rs")
    .findOne(filter, { raw: true, sort: { $natural: 1 } });
  return found === null ? undefined : readEntry(found as unknown as Uint8Array);
}

/** A timestamp as the driver takes it. */
export async function timestampOf(
  { t, i }: { readonly t: number; readonly i: number },
): Promise<Timestamp> {
  const { Timestamp } = await import("mongodb");
  return new Timestamp({ t, i });
}

function no(reason: string): Continuation {
  return { isPossible: false, reason };
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
