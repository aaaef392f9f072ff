import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Sql } from "postgres";
import { watchServer } from "../../../core/alive.ts";
import type { Abortable, Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import { abortable } from "../../../core/retry.ts";
import { tarEnd, tarHeader } from "../../../core/tar.ts";
import type { Address } from "../address.ts";
import { connect } from "../connect.ts";
import { connectionError, sqlState } from "../failure.ts";
import { signOfLife } from "../sign-of-life.ts";
import { formatLsn, segmentName, segmentStart } from "./lsn.ts";

/** A piece of the log to read. */
export interface WalPiece {
  readonly timeline: number;
  readonly from: bigint;
  /** Not included; written by the server already. */
  readonly to: bigint;
  readonly segmentBytes: number;
  /** Where the last record before `from` begins, where `from` is the start of a segment. */
  readonly previous?: bigint | undefined;
}

// https://www.postgresql.org/docs/current/protocol-replication.html
const walData = 0x77;
const walDataHeadBytes = 25;
const keepalive = 0x6b;
const standbyStatus = 0x72;
const microsecondsToEpochOfPostgres = 946_684_800_000;

/**
 * Reads whole segments of the log, the first one from its start, as the tar that `pgwal` is; what is
 * after the end is zeros.
 *
 * @throws BackupError `dump/cannot-continue` where the server no longer has it, `connection/…`
 */
export async function* walTar(
  address: Address,
  place: string,
  piece: WalPiece,
  o: Abortable,
): Bytes {
  const { timeline, to, segmentBytes } = piece;
  const first = segmentStart(piece.from, segmentBytes);
  const size = BigInt(segmentBytes);
  let at = first;
  for await (
    const chunk of to > first ? streamWal(address, place, { ...piece, from: first }, o) : []
  ) {
    for (let rest = chunk; rest.byteLength > 0;) {
      if (at === first) assertFollowing(rest, piece);
      if (at % size === 0n) {
        yield tarHeader({ name: segmentName(timeline, at, segmentBytes), bytes: segmentBytes });
      }
      const part = rest.subarray(0, Number(size - at % size));
      yield part;
      at += BigInt(part.byteLength);
      rest = rest.subarray(part.byteLength);
    }
  }
  if (at !== (to > first ? to : first)) throw ended(piece);
  const missing = Number((size - at % size) % size);
  const zeros = new Uint8Array(64 * 1024);
  for (let left = missing; left > 0; left -= zeros.byteLength) {
    yield zeros.subarray(0, Math.min(left, zeros.byteLength));
  }
  // Segments need no padding: their sizes are powers of two.
  yield tarEnd;
}

/** Of the long head of a segment's first page, and of a record where the one before it is named. */
const longHeadBytes = 40;
const previousOffset = longHeadBytes + 8;

/**
 * Every record names the one before it. Where another history took the place of the one that was backed
 * up, and has come past its end, this is where it shows.
 *
 * @throws BackupError `dump/cannot-continue`
 */
function assertFollowing(bytes: Uint8Array, { from, previous, segmentBytes }: WalPiece): void {
  if (previous === undefined || from !== segmentStart(from, segmentBytes)) return;
  if (bytes.byteLength < previousOffset + 8) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getBigUint64(previousOffset, true) === previous) return;
  throw new BackupError(
    "dump/cannot-continue",
    `the server's log at ${
      formatLsn(from)
    } does not follow what was backed up: older files were put ` +
      "in the server's place since",
    { hint: "A full backup begins anew." },
  );
}

/** The bytes of the log, exactly from one place to the other. */
async function* streamWal(
  address: Address,
  place: string,
  piece: WalPiece,
  { signal }: Abortable,
): Bytes {
  const ending = new AbortController();
  const abort = () => ending.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  let waitingSince = performance.now();
  const watching = watchServer(
    signOfLife(address),
    (error) => ending.abort(error),
    () => waitingSince === 0 ? 0 : performance.now() - waitingSince,
  );
  let sql: Sql | undefined;
  try {
    sql = await connect(address, place, { signal: ending.signal, isReplication: true });
    const stream = await abortable(open(sql, piece), ending.signal);
    let at = piece.from;
    const messages = stream[Symbol.asyncIterator]();
    while (at < piece.to) {
      waitingSince = performance.now();
      const next = await abortable(messages.next(), ending.signal);
      waitingSince = 0;
      if (next.done === true) return;
      const message: Buffer = next.value;
      if (message[0] === keepalive) {
        if (message[17] === 1) stream.write(statusAt(at));
      } else if (message[0] === walData) {
        if (message.readBigUInt64BE(1) !== at) throw ended(piece);
        const data = message.subarray(walDataHeadBytes);
        const wanted = data.subarray(0, Math.min(data.byteLength, Number(piece.to - at)));
        at += BigInt(wanted.byteLength);
        yield wanted;
      }
    }
  } catch (error) {
    if (ending.signal.aborted) throw ending.signal.reason;
    throw failureOf(error, address);
  } finally {
    signal.removeEventListener("abort", abort);
    watching.stop();
    // The server ends its sending with the connection.
    sql?.end({ timeout: 0 }).catch(() => {});
  }
}

/** Without the slot, which stays where it is, and would be in use for as long as the sender runs. */
async function open(sql: Sql, { from, timeline }: WalPiece): Promise<Duplex> {
  const query = sql.unsafe(
    `START_REPLICATION PHYSICAL ${formatLsn(from)} TIMELINE ${timeline}`,
  );
  // The server sends and takes in one.
  const stream = await query.writable();
  if (!(stream instanceof Duplex)) throw new TypeError("The driver gave a stream of one direction");
  stream.on("error", () => {});
  return stream;
}

/** Read up to here, so that the server does not take us for gone. */
function statusAt(lsn: bigint): Buffer {
  const status = Buffer.alloc(34);
  status[0] = standbyStatus;
  status.writeBigUInt64BE(lsn, 1);
  const now = BigInt(Date.now() - microsecondsToEpochOfPostgres) * 1000n;
  status.writeBigInt64BE(now, 25);
  return status;
}

// undefined_file is what the server says of a segment that it has removed.
const noSuchSegment = "58P01";

function failureOf(error: unknown, address: Address): unknown {
  if (error instanceof BackupError) return error;
  const state = sqlState(error);
  const message = error instanceof Error ? error.message : String(error);
  if (
    state === noSuchSegment ||
    /requested (WAL segment|starting point)/.test(message)
  ) {
    return new BackupError("dump/cannot-continue", `the server's log does not go on: ${message}`, {
      cause: error,
      hint: "A full backup begins anew.",
    });
  }
  return connectionError(address, "postgres", error);
}

function ended({ to }: WalPiece): BackupError {
  return new BackupError(
    "dump/cannot-continue",
    `the server's log ends before ${formatLsn(to)}, where it was when the run began`,
    { hint: "A full backup begins anew." },
  );
}
