import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { BackupError } from "../../../core/errors.ts";

/**
 * One event of a binary log: a header of 19 bytes, the body, and a CRC32 where the log has them
 * (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html).
 */
export interface BinlogEvent {
  /** See {@link eventTypes}. */
  readonly type: number;
  /** Seconds since 1970, of the start of the statement. */
  readonly timestamp: number;
  readonly serverId: number;
  /** Where it ends in its file; 0 in events that the server made up on the way. */
  readonly end: number;
  readonly flags: number;
  /** All of it, as it is in the log. */
  readonly bytes: Buffer;
  /** What is between header and checksum. */
  readonly body: Buffer;
}

/** The types that matter here; a log has others. MariaDB's own begin at 160. */
export const eventTypes = {
  query: 2,
  rotate: 4,
  intvar: 5,
  rand: 13,
  userVar: 14,
  description: 15,
  xid: 16,
  executeLoadQuery: 18,
  tableMap: 19,
  incident: 26,
  heartbeat: 27,
  gtid: 33,
  anonymousGtid: 34,
  xaPrepare: 38,
  transactionPayload: 40,
  heartbeat2: 41,
  taggedGtid: 42,
  mariadbGtid: 162,
  mariadbQueryCompressed: 165,
} as const;

/** What every file begins with. */
export const magic: Buffer = Buffer.from([0xfe, 0x62, 0x69, 0x6e]);

/** Bytes of an event's header. */
export const headerBytes = 19;
const checksumBytes = 4;

const madeUp = 0x20;
const inUse = 0x01;

/** Whether an event is not in the log, but was made for who reads it. */
export function isMadeUp({ flags }: BinlogEvent): boolean {
  return (flags & madeUp) !== 0;
}

/** Rows that are written, changed or deleted, in any version of the format. */
export function isRows(type: number): boolean {
  // 20 to 22 are of old preliminary versions, 39 are partial updates of JSON.
  return (type >= 23 && type <= 25) || (type >= 30 && type <= 32) || type === 39 ||
    (type >= 166 && type <= 171);
}

/** Takes an event apart. @throws BackupError `verification/structure` where it is none */
export function eventOf(bytes: Buffer, hasChecksum: boolean): BinlogEvent {
  if (bytes.length < headerBytes || bytes.readUInt32LE(9) !== bytes.length) {
    throw binlogError("has an event whose length is wrong");
  }
  const type = bytes[4]!;
  // The description of a log has one always, whatever it says of the others.
  const isChecked = hasChecksum || type === eventTypes.description;
  return {
    type,
    timestamp: bytes.readUInt32LE(0),
    serverId: bytes.readUInt32LE(5),
    end: bytes.readUInt32LE(13),
    flags: bytes.readUInt16LE(17),
    bytes,
    body: bytes.subarray(headerBytes, bytes.length - (isChecked ? checksumBytes : 0)),
  };
}

/** Whether the events of a log end in a checksum, which its description says in its last byte. */
export function hasChecksums({ body }: BinlogEvent): boolean {
  return body.at(-1) === 1;
}

/**
 * Makes sure that an event's checksum is right.
 *
 * @throws BackupError `verification/structure`
 */
export function assertChecksum({ bytes, type, end }: BinlogEvent): void {
  const at = bytes.length - checksumBytes;
  if (crcOf(bytes, type) === bytes.readUInt32LE(at)) return;
  throw binlogError(`has an event whose checksum is wrong, which ends at ${end}`);
}

/** An event with another body, or of another type; its checksum is made anew. */
export function withBody(
  event: BinlogEvent,
  body: Uint8Array,
  hasChecksum: boolean,
  type: number = event.type,
): BinlogEvent {
  const bytes = Buffer.alloc(headerBytes + body.length + (hasChecksum ? checksumBytes : 0));
  event.bytes.copy(bytes, 0, 0, headerBytes);
  bytes[4] = type;
  bytes.writeUInt32LE(bytes.length, 9);
  bytes.set(body, headerBytes);
  if (hasChecksum) {
    bytes.writeUInt32LE(crcOf(bytes, type), bytes.length - checksumBytes);
  }
  return eventOf(bytes, hasChecksum);
}

/** The checksum of a log's description is made as if nobody were writing to it. */
function crcOf(bytes: Buffer, type: number): number {
  const data = bytes.subarray(0, -checksumBytes);
  if (type !== eventTypes.description || (bytes[17]! & inUse) === 0) return crc32(data);
  const closed = Buffer.from(data);
  closed[17] = closed[17]! & ~inUse;
  return crc32(closed);
}

/** The error of bytes that are no binary log. */
export function binlogError(problem: string): BackupError {
  return new BackupError("verification/structure", `The binary log ${problem}`, {
    hint: "The bytes are not what was backed up; use another copy or another backup.",
  });
}
