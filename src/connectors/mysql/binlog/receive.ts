import { Buffer } from "node:buffer";
import { whileAlive } from "../../../core/alive.ts";
import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { MysqlAddress } from "../address.ts";
import { signOfLife } from "../client.ts";
import { openConnection } from "../driver.ts";
import { encodePacket } from "../packets.ts";
import { connectionError } from "../refusals.ts";
import type { Flavour } from "../server.ts";
import { type BinlogEvent, eventOf, eventTypes, hasChecksums, isMadeUp } from "./event.ts";
import type { LogPlace } from "./place.ts";

/** An event with the file that it is in. */
export interface ReceivedEvent {
  readonly file: string;
  readonly event: BinlogEvent;
}

// COM_BINLOG_DUMP: position, flags, server id, file.
const binlogDump = 0x12;
/** Ends where the log ends, instead of waiting for more. */
const nonBlocking = 1;
/** MariaDB leaves out the texts of statements otherwise, and its positions are not its own. */
const withAnnotations = 2;
// A reader that names no id takes no other's place.
const noServerId = 0;
/** How much is held before the server is told to wait. */
const queuedBytes = 4 * 1024 * 1024;

/**
 * Reads a server's binary log as a replica does, from a place on to its present end: each event as it
 * is in its file, also of files that are encrypted on the server's disk. The description of the first
 * file comes first, wherever the place is.
 *
 * @throws BackupError `dump/cannot-continue` when the log cannot be read from there,
 * `connection/…`
 */
export async function* receiveLog(
  address: MysqlAddress,
  flavour: Flavour,
  place: LogPlace,
  o: Abortable,
): AsyncGenerator<ReceivedEvent> {
  const server = signOfLife(address);
  const opened = await whileAlive((signal) => openConnection(address, { signal }), server, o)
    .catch((error) => {
      throw connectionError(address, error);
    });
  const { connection } = opened;
  const abort = () => connection.destroy();
  o.signal.addEventListener("abort", abort, { once: true });
  try {
    for (const sql of settings(flavour)) {
      await whileAlive(() => connection.query(sql), server, o);
    }
    const core = coreOf(connection);
    const packets = createPacketQueue(core);
    core.on("error", packets.fail);
    core.addCommand(packets.command(place, flavour));
    let file = place.file;
    let hasChecksum = false;
    let isDescribed = false;
    for (;;) {
      const waiting = packets.next();
      const payload = waiting instanceof Promise
        ? await whileAlive(() => waiting, server, o)
        : waiting;
      if (payload === undefined) return;
      // The first byte says that all is well.
      const event = eventOf(payload.subarray(1), hasChecksum);
      if (event.type === eventTypes.heartbeat || event.type === eventTypes.heartbeat2) continue;
      if (event.type === eventTypes.description) {
        hasChecksum = hasChecksums(event);
        isDescribed = true;
      }
      if (event.type === eventTypes.rotate && isMadeUp(event)) {
        // Before the first description nobody knows whether it has a checksum; it is of that file.
        if (isDescribed) file = event.body.toString("utf8", 8);
        continue;
      }
      // MySQL tells of the GTIDs so far, MariaDB of its keys: not in the file, but for the reader.
      if (isMadeUp(event) && event.type !== eventTypes.description) continue;
      yield { file, event };
    }
  } catch (error) {
    o.signal.throwIfAborted();
    throw logError(address, error);
  } finally {
    o.signal.removeEventListener("abort", abort);
    connection.destroy();
  }
}

/** What a replica says before it asks for the log. */
function settings(flavour: Flavour): string[] {
  return flavour === "MariaDB"
    ? [
      "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum",
      // Knows GTIDs, and so all of MariaDB's own events.
      "SET @mariadb_slave_capability = 4",
    ]
    // Older servers read the older name.
    : [
      "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, " +
      "@source_binlog_checksum = @@GLOBAL.binlog_checksum",
    ];
}

/** The driver's inner connection, as far as a command of our own needs it. */
interface CoreConnection {
  readonly stream: { pause(): void; resume(): void };
  addCommand(command: CoreCommand): void;
  write(bytes: Uint8Array): void;
  on(event: "error", listener: (error: unknown) => void): void;
  sequenceId: number;
}

/** The driver hands a command every packet until it says that it is done. */
interface CoreCommand {
  execute(packet: CorePacket | undefined, connection: CoreConnection): boolean;
  /** How it is told that the connection is lost. */
  readonly onResult: (error: unknown) => void;
}

interface CorePacket {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  isError(): boolean;
  asError(encoding: string): Error;
}

function coreOf(connection: object): CoreConnection {
  const core: unknown = "connection" in connection ? connection.connection : undefined;
  if (!isCore(core)) throw new TypeError("the driver has no inner connection");
  return core;
}

function isCore(core: unknown): core is CoreConnection {
  return typeof core === "object" && core !== null && "addCommand" in core && "stream" in core;
}

/** Holds packets between the driver, which pushes, and a reader, which pulls. */
function createPacketQueue(core: CoreConnection) {
  const queue: Buffer[] = [];
  let held = 0;
  let isPaused = false;
  let end: { readonly error: unknown } | undefined;
  let waiting: PromiseWithResolvers<Buffer | undefined> | undefined;

  function push(payload: Buffer): void {
    if (waiting !== undefined) {
      waiting.resolve(payload);
      waiting = undefined;
      return;
    }
    queue.push(payload);
    held += payload.length;
    if (held > queuedBytes && !isPaused) {
      isPaused = true;
      core.stream.pause();
    }
  }

  function finish(error: unknown): void {
    end ??= { error };
    if (end.error === undefined) waiting?.resolve(undefined);
    else waiting?.reject(end.error);
    waiting = undefined;
  }

  return {
    /** The next packet's payload; undefined at the end. */
    next(): Buffer | undefined | Promise<Buffer | undefined> {
      const payload = queue.shift();
      if (payload !== undefined) {
        held -= payload.length;
        if (isPaused && held < queuedBytes / 2) {
          isPaused = false;
          core.stream.resume();
        }
        return payload;
      }
      if (end !== undefined) {
        if (end.error === undefined) return undefined;
        throw end.error;
      }
      waiting = Promise.withResolvers();
      return waiting.promise;
    },
    fail: finish,
    command: ({ file, offset }: LogPlace, flavour: Flavour): CoreCommand => ({
      onResult: finish,
      execute(packet, connection) {
        if (packet === undefined) {
          connection.sequenceId = 0;
          connection.write(request(file, offset, flavour));
          connection.sequenceId = 1;
          return false;
        }
        if (packet.isError()) {
          finish(packet.asError("utf8"));
          return true;
        }
        const payload = packet.buffer.subarray(packet.start + 4, packet.end);
        if (payload[0] === 0xfe && payload.length < 9) {
          finish(undefined);
          return true;
        }
        // The driver reuses its buffers.
        push(Buffer.from(payload));
        return false;
      },
    }),
  };
}

function request(file: string, offset: number, flavour: Flavour): Buffer {
  const name = Buffer.from(file);
  const payload = Buffer.alloc(11 + name.length);
  payload[0] = binlogDump;
  payload.writeUInt32LE(offset, 1);
  payload.writeUInt16LE(nonBlocking | (flavour === "MariaDB" ? withAnnotations : 0), 5);
  payload.writeUInt32LE(noServerId, 7);
  payload.set(name, 11);
  return encodePacket({ sequence: 0, payload });
}

// ER_MASTER_FATAL_ERROR_READING_BINLOG: purged, no such position, a packet too large.
const cannotRead = 1236;

function logError(address: MysqlAddress, error: unknown): unknown {
  if (error instanceof Error && "errno" in error && error.errno === cannotRead) {
    return new BackupError("dump/cannot-continue", `the server says: ${error.message}`, {
      cause: error,
    });
  }
  return connectionError(address, error);
}
