import { Buffer } from "node:buffer";
import { zstdDecompressSync } from "node:zlib";
import {
  binlogError,
  type BinlogEvent,
  eventOf,
  eventTypes,
  headerBytes,
  withBody,
} from "./event.ts";

// Fields of the head: their kind, length and value; the kind 0 ends it.
const payloadSize = 1;
const compressionType = 2;
const zstd = 0;
const none = 255;

/**
 * The events in a compressed transaction (binlog_transaction_compression), each as it would stand in
 * a log without it; any other event alone
 * (https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Transaction__payload__event.html).
 */
export function unpacked(event: BinlogEvent, hasChecksum: boolean): BinlogEvent[] {
  if (event.type !== eventTypes.transactionPayload) return [event];
  const events: BinlogEvent[] = [];
  const bytes = payloadOf(event.body);
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < headerBytes) throw binlogError("has a transaction that is cut");
    const length = bytes.readUInt32LE(at + 9);
    const inner = eventOf(bytes.subarray(at, at + length), false);
    events.push(withBody(inner, inner.body, hasChecksum));
    at += length;
  }
  return events;
}

function payloadOf(body: Buffer): Buffer {
  let at = 0;
  const next = () => {
    const { value, end } = readNumber(body, at);
    at = end;
    return value;
  };
  let [size, compression] = [0, none];
  for (let kind = next(); kind !== 0; kind = next()) {
    const length = next();
    const { value } = readNumber(body, at);
    at += length;
    if (kind === payloadSize) size = value;
    if (kind === compressionType) compression = value;
  }
  const payload = body.subarray(at, at + size);
  if (compression === none) return payload;
  if (compression === zstd) return zstdDecompressSync(payload);
  throw binlogError(
    `has a transaction that is compressed in a way not known here (${compression})`,
  );
}

/** A number of the protocol, whose first byte tells its length. */
function readNumber(bytes: Buffer, at: number): { value: number; end: number } {
  const first = bytes[at];
  if (first === undefined) throw binlogError("has a transaction that is cut");
  if (first < 0xfb) return { value: first, end: at + 1 };
  if (first === 0xfc) return { value: bytes.readUInt16LE(at + 1), end: at + 3 };
  if (first === 0xfd) return { value: bytes.readUIntLE(at + 1, 3), end: at + 4 };
  return { value: Number(bytes.readBigUInt64LE(at + 1)), end: at + 9 };
}
