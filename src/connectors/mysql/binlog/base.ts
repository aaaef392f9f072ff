import type { Abortable } from "../../../core/bytes.ts";
import { BackupError, hasCode } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { DumpResult } from "../../../contracts/dump.ts";
import type { DumpSettings } from "../../../contracts/source.ts";
import type { Position } from "../../../contracts/manifest.ts";
import type { MysqlAddress } from "../address.ts";
import type { Client } from "../client.ts";
import { readPosition } from "../position.ts";
import type { Server } from "../server.ts";
import { identify } from "../statements.ts";
import { createCursor } from "./piece.ts";
import { type Place, placeOf, textOf } from "./place.ts";
import { receiveLog } from "./receive.ts";
import { obstacleTo, partialReason } from "./requirements.ts";
import { serverTimeUs } from "./server-time.ts";
import { holdSchema } from "./still-schema.ts";
import { commitTimeOf, createTracker, isGtid } from "./transactions.ts";

/** What is known of a full backup that others build on. */
export type Based = Pick<DumpResult, "to" | "window" | "warnings"> & {
  readonly consistentAt?: Date;
};

/** A full backup being taken for others to build on. */
export interface Base {
  /**
   * The dump is over.
   *
   * @param noted where the tool says that it stands in the log
   */
  end(noted: Position | undefined): Promise<Based>;
  /** To be awaited while the dump tool holds up commits. */
  readonly onSnapshot?: () => Promise<void>;
  release(): void;
}

/** What a base is taken with. */
export interface BaseRequest {
  readonly client: Client;
  readonly address: MysqlAddress;
  readonly server: Server;
  readonly settings: DumpSettings;
}

/**
 * Prepares a full backup that others build on: no DDL comes between its rows and its definitions, and
 * its place in the log is known to the byte. Where that cannot be had, it is a full backup as ever,
 * with a warning that says what is missing.
 */
export async function beginBase(
  { client, address, server, settings }: BaseRequest,
  o: Abortable & { readonly runtime: Runtime },
): Promise<Base> {
  const without = (to: Position | undefined, reason: string): Based => ({
    warnings: [`No incremental or differential backup can build on this one: ${reason}`],
    // Without more than that, the next one is a full one, too.
    ...to === undefined ? {} : { to },
  });
  const obstacle = partialReason(settings) ?? await obstacleTo(client, server, o);
  if (obstacle !== undefined) {
    return {
      end: (to) => Promise.resolve(without(to, obstacle)),
      release() {},
    };
  }
  // With MySQL, DDL that waits would keep the tool from stopping commits, and that all others from
  // writing: there it is held while commits are stopped anyway.
  let still = server.flavour === "MySQL" ? undefined : await holdSchema(address, server, o);
  const startUs = await serverTimeUs(client, o);
  return {
    ...server.flavour === "MySQL"
      ? { onSnapshot: async () => void (still ??= await holdSchema(address, server, o)) }
      : {},
    async end(noted) {
      const to = placeOf(noted);
      if (to === undefined) return without(noted, "the dump tool did not note where the log stood");
      const isStill = still !== undefined && await still.isHeld(o);
      still?.release();
      try {
        const { place, lastUs } = await locate(address, server, to, o);
        if (!isStill) await assertSameSchema({ client, address, server }, place, o);
        const at = new Date(Math.ceil(Math.max(startUs, lastUs) / 1000));
        return { to: place, window: { from: at, to: at }, consistentAt: at, warnings: [] };
      } catch (error) {
        if (!hasCode(error, "dump/cannot-continue")) throw error;
        return without(noted, error.message);
      }
    },
    release: () => still?.release(),
  };
}

/** Reads the file up to a place, for all that is to be known of it, and when it was committed. */
async function locate(
  address: MysqlAddress,
  { flavour, sourceId }: Server,
  { file, offset }: Place,
  o: Abortable,
): Promise<{ place: Place; lastUs: number }> {
  const cursor = createCursor({ type: "binlog", file, offset: 4 }, sourceId);
  const tracker = createTracker();
  let lastUs = 0;
  for await (const { event } of receiveLog(address, flavour, { file, offset: 4 }, o)) {
    const step = tracker.see(event);
    if (isGtid(event.type) && step.begins) {
      const { us, isExact } = commitTimeOf(event);
      if (isExact) lastUs = us;
    }
    cursor.see(file, event);
    const at = cursor.at();
    if (at.offset < offset) continue;
    if (at.offset > offset || tracker.isInside()) break;
    return { place: cursor.place(), lastUs };
  }
  throw new BackupError(
    "dump/cannot-continue",
    `${textOf({ file, offset })} is not between two transactions of the log`,
  );
}

/**
 * Where the schema could not be held still, nothing of it may have changed while it was dumped.
 *
 * @throws BackupError `dump/cannot-continue`
 */
async function assertSameSchema(
  { client, address, server }: Omit<BaseRequest, "settings">,
  from: Place,
  o: Abortable,
): Promise<void> {
  const end = placeOf(await readPosition(client, server, o));
  if (end === undefined || (end.file === from.file && end.offset <= from.offset)) return;
  const tracker = createTracker();
  for await (const { file, event } of receiveLog(address, server.flavour, from, o)) {
    const { query } = tracker.see(event);
    if (query !== undefined && isSchemaChange(query.sql)) {
      throw new BackupError(
        "dump/cannot-continue",
        `something was made, altered or dropped while it was dumped (${
          textOf({ file, offset: event.end })
        }: ${query.sql.replaceAll(/\s+/g, " ").slice(0, 60)}); ` +
          (server.flavour === "MySQL"
            ? "with the right BACKUP_ADMIN it waits until the dump is over"
            : "with the right RELOAD it waits until the dump is over"),
      );
    }
    if (file === end.file && event.end >= end.offset) return;
  }
}

function isSchemaChange(sql: string): boolean {
  if (identify(sql.slice(0, 4096)).does !== "other") return true;
  return /^\s*(?:ALTER|CREATE|DROP|RENAME|TRUNCATE)\b/i.test(sql);
}
