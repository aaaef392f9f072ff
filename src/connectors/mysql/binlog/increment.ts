import { Buffer } from "node:buffer";
import type { Abortable, Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { DumpPlan, DumpResult, Emit } from "../../../contracts/dump.ts";
import type { MysqlAddress } from "../address.ts";
import type { Client } from "../client.ts";
import { listDatabases } from "../databases.ts";
import { readPosition } from "../position.ts";
import { readServer } from "../server.ts";
import { type BinlogEvent, eventTypes, magic } from "./event.ts";
import { binlogFormat } from "./format.ts";
import { unpacked } from "./payload.ts";
import { createCursor } from "./piece.ts";
import { serverTimeUs } from "./server-time.ts";
import { type Place, placeOf, textOf } from "./place.ts";
import { queryOf } from "./query.ts";
import { type ReceivedEvent, receiveLog } from "./receive.ts";
import { createPlaceCheck, readFrom } from "./same-place.ts";
import { commitTimeOf, createTracker, isGtid, isQuery } from "./transactions.ts";
import { assertFit } from "./unfit.ts";

/** What an increment is taken with. */
export interface IncrementRequest {
  readonly client: Client;
  readonly address: MysqlAddress;
  readonly plan: DumpPlan;
}

/**
 * Takes the binary log since the parent, up to where it stands now: each of the server's files is an
 * artifact, as it is on the server. It ends between two transactions, and holds all that were
 * committed up to its window's end and none after.
 *
 * @throws BackupError `dump/cannot-continue`, `dump/failed`, `connection/…`
 */
export async function dumpIncrement(
  { client, address, plan }: IncrementRequest,
  emit: Emit,
  o: Abortable & { readonly runtime: Runtime },
): Promise<DumpResult> {
  const parent = plan.parent?.manifest;
  const from = placeOf(parent?.position.to);
  if (parent === undefined || from === undefined) {
    throw new BackupError("dump/cannot-continue", "the parent does not say where it ended");
  }
  const server = await readServer(client, o);
  const untilUs = await serverTimeUs(client, o);
  // Asked after the time: what was committed before it is in the log by then.
  const end = placeOf(await readPosition(client, server, o));
  if (end === undefined) {
    throw new BackupError("dump/cannot-continue", "the server does not say where its log stands");
  }
  const source = receiveLog(address, server.flavour, readFrom(from), o);
  const log = readTo({ source, from, end, untilUs, server: server.sourceId }, o);
  const made: string[] = [];
  try {
    let piece: Piece | undefined = await log.first();
    for (; piece !== undefined; piece = await log.next()) {
      const { span, file, bytes } = piece;
      const head = {
        role: "log",
        databases: address.selected ?? [],
        format: binlogFormat.id,
        slug: file,
        span,
      };
      const { databases } = await emit(head, bytes);
      made.push(...databases.map(({ database }) => database));
    }
  } finally {
    await source.return(undefined);
  }
  const now = new Date(Math.max(Math.floor(untilUs / 1000), windowEnd(parent)));
  const names = address.selected ?? [...await listDatabases(client, address, o), ...made];
  return {
    from: parent.position.to!,
    to: log.place(),
    consistentAt: now,
    window: { from: new Date(windowEnd(parent)), to: now },
    inventory: { databases: [...new Set(names)].map((database) => ({ database, objects: [] })) },
    omitted: [],
    warnings: [],
  };
}

/** The moment that the parent reaches. */
function windowEnd({ window, consistentAt }: NonNullable<DumpPlan["parent"]>["manifest"]): number {
  return Date.parse(window?.to ?? consistentAt);
}

/** One file of the log, or what is wanted of it. */
interface Piece {
  readonly file: string;
  readonly bytes: Bytes;
  readonly span: () => { readonly from: Place; readonly to: Place };
}

// Events are small, and each chunk has a cost of its own.
const chunkBytes = 256 * 1024;

/** Cuts what is read into pieces, and ends it where it is to end. */
function readTo(
  { source, from, end, untilUs, server }: {
    readonly source: AsyncGenerator<ReceivedEvent>;
    readonly from: Place;
    readonly end: Place;
    readonly untilUs: number;
    readonly server: string | undefined;
  },
  o: Abortable,
) {
  const check = createPlaceCheck(from);
  const tracker = createTracker();
  const cursor = createCursor(from, server);
  /** The next event that belongs to the backup. */
  let next: ReceivedEvent | undefined;
  let isOver = from.file === end.file && from.offset >= end.offset;

  /** Reads on to the next event; undefined at the end. */
  async function advance(): Promise<ReceivedEvent | undefined> {
    if (isOver) return undefined;
    const { value, done } = await source.next();
    o.signal.throwIfAborted();
    if (done === true) {
      check.end();
      throw new BackupError("dump/failed", `The log ended before ${textOf(end)}`, {
        hint: "Run it again.",
      });
    }
    return value;
  }

  function take({ file, event }: ReceivedEvent): void {
    const step = tracker.see(event);
    if (!cursor.see(file, event)) {
      throw new BackupError(
        "dump/cannot-continue",
        `something is missing in ${file} before ${event.end}`,
      );
    }
    const at = textOf({ file, offset: event.end });
    for (const one of unpacked(event, false)) {
      assertFit(one, one === event ? step.query : isQuery(one.type) ? queryOf(one) : undefined, at);
    }
    isOver = file === end.file && cursor.at().offset >= end.offset;
  }

  /** Whether an event begins a transaction that was committed after the moment to reach. */
  function isTooLate(event: BinlogEvent): boolean {
    if (tracker.isInside() || !isGtid(event.type)) return false;
    const { us, isExact } = commitTimeOf(event);
    return isExact && us > untilUs;
  }

  /** A piece that begins with the log's description, and has what follows in its file. */
  function piece(start: Place, description: BinlogEvent, first?: ReceivedEvent): Piece {
    const { file } = start;
    let to: Place | undefined;
    async function* bytes(): Bytes {
      let chunk: Buffer[] = [magic, description.bytes];
      let length = magic.length + description.bytes.length;
      let received = first;
      for (;;) {
        received ??= await advance();
        if (received === undefined || isTooLate(received.event)) {
          isOver = true;
          to = cursor.place();
          break;
        }
        if (received.file !== file) {
          next = received;
          to = cursor.startOf(received.file);
          break;
        }
        take(received);
        chunk.push(received.event.bytes);
        length += received.event.bytes.length;
        received = undefined;
        if (length < chunkBytes) continue;
        yield Buffer.concat(chunk);
        [chunk, length] = [[], 0];
      }
      if (chunk.length > 0) yield Buffer.concat(chunk);
    }
    return { file, bytes: bytes(), span: () => ({ from: start, to: to ?? start }) };
  }

  return {
    async first(): Promise<Piece> {
      let description: BinlogEvent | undefined;
      for (;;) {
        const { value, done } = await source.next();
        if (done === true) {
          check.end();
          if (description !== undefined) return piece(from, description);
          throw new BackupError("dump/failed", `The server sent nothing of ${from.file}`);
        }
        const what = check.see(value.event);
        if (value.event.type === eventTypes.description) description ??= value.event;
        if (what === "head") continue;
        if (description === undefined) {
          throw new BackupError("dump/failed", `${from.file} does not begin with its description`);
        }
        if (isOver) return piece(from, description);
        if (what === "before") continue;
        // The file itself from its start: its description is an event of it.
        if (value.event === description) {
          take(value);
          return piece(from, description);
        }
        return piece(from, description, value);
      }
    },
    async next(): Promise<Piece | undefined> {
      const received = next;
      next = undefined;
      if (received === undefined) return undefined;
      const start = cursor.startOf(received.file);
      if (received.event.type !== eventTypes.description) {
        throw new BackupError(
          "dump/failed",
          `${received.file} does not begin with its description`,
        );
      }
      take(received);
      return piece(start, received.event);
    },
    /** Where it ended. */
    place: () => cursor.place(),
  };
}
