import { Buffer } from "node:buffer";
import { crc32, createInflateRaw } from "node:zlib";
import type { Bytes } from "../core/bytes.ts";
import { corrupt, truncated } from "./damage.ts";
import { gunzipMember } from "./engine.ts";
import { openReader, type Reader } from "./reader.ts";
import { transformed } from "./transform.ts";
import { type BufferPool, createBufferPool, type Unit } from "./units.ts";

// Members up to this size, compressed or not, are decompressed whole, several at once.
const wholeMemberBytes = 16 * 1024 * 1024;

const headerBytes = 10;
const trailerBytes = 8;

/**
 * The extra field (RFC 1952, 2.3.1.1) in which our members tell their own length, so that a reader
 * finds the next one without decompressing. Every gzip ignores it.
 *
 * Layout: total length 8, `DB`, length 4, then the member's length in bytes, little-endian.
 */
const extraBytes = 2 + 4 + 4;

/** Makes a plain gzip member one that tells its length; in parts, as nothing is copied. */
export function withLength(member: Uint8Array): Uint8Array[] {
  const head = Buffer.alloc(headerBytes + extraBytes);
  // No name, no time: the same bytes give the same member. 255 is "unknown system".
  head.set([0x1f, 0x8b, 8, 0b100, 0, 0, 0, 0, 0, 255]);
  head.writeUInt16LE(8, headerBytes);
  head.set([0x44, 0x42, 4, 0], headerBytes + 2);
  head.writeUInt32LE(member.byteLength + extraBytes, headerBytes + 6);
  return [head, member.subarray(headerBytes)];
}

/**
 * Cuts a gzip file into its members. Those that tell their length come as blocks, all others as
 * streams.
 *
 * @throws BackupError `verification/corrupt`, `verification/truncated`
 */
export async function* gzipUnits(bytes: Bytes): AsyncGenerator<Unit> {
  const reader = openReader(bytes);
  const pool = createBufferPool();
  try {
    let members = 0;
    while (true) {
      const at = reader.position;
      const head = await readHead(reader, at, members);
      if (head === undefined) break;
      members++;
      const size = head.memberBytes;
      if (size === undefined || size > wholeMemberBytes) {
        yield { type: "stream", content: streamed(reader, at) };
      } else {
        const member = await readWhole(reader, size - (reader.position - at), at, pool);
        yield { type: "block", content: decompressed(member, at, pool) };
      }
    }
    if (members === 0) throw truncated("there is not a single gzip member");
  } finally {
    await reader.close();
  }
}

interface Head {
  /** The member's whole length, if it tells. */
  readonly memberBytes: number | undefined;
}

const flags = { headerCrc: 0b10, extra: 0b100, name: 0b1000, comment: 0b1_0000, reserved: 0xe0 };

/** Reads the next member's header; undefined at the end of the file. */
async function readHead(reader: Reader, at: number, members: number): Promise<Head | undefined> {
  const fixed = Buffer.alloc(headerBytes);
  const length = await reader.fill(fixed);
  if (length === 0) return undefined;
  const isGzip = [0x1f, 0x8b, 8].slice(0, length).every((byte, index) => byte === fixed[index]);
  if (!isGzip && members === 0) throw corrupt("it does not start like a gzip file");
  if (!isGzip) throw corrupt(`there is something else than a gzip member at byte ${at}`);
  if (length < headerBytes) throw truncated(`the gzip member at byte ${at} is cut`);
  const flag = fixed[3]!;
  if ((flag & flags.reserved) !== 0) {
    throw corrupt(`the gzip member at byte ${at} has a bad header`);
  }
  let memberBytes: number | undefined;
  if ((flag & flags.extra) !== 0) {
    const size = (await take(reader, 2, at)).readUInt16LE();
    memberBytes = readLength(await take(reader, size, at));
  }
  if ((flag & flags.name) !== 0) await skipText(reader, at);
  if ((flag & flags.comment) !== 0) await skipText(reader, at);
  if ((flag & flags.headerCrc) !== 0) await take(reader, 2, at);
  return { memberBytes };
}

/** Our own field among a member's extra fields. */
function readLength(extra: Buffer): number | undefined {
  for (let offset = 0; offset + 4 <= extra.length;) {
    const length = extra.readUInt16LE(offset + 2);
    const isOurs = extra[offset] === 0x44 && extra[offset + 1] === 0x42 && length === 4;
    if (isOurs && offset + 8 <= extra.length) return extra.readUInt32LE(offset + 4);
    offset += 4 + length;
  }
  return undefined;
}

async function skipText(reader: Reader, at: number): Promise<void> {
  while ((await take(reader, 1, at))[0] !== 0);
}

async function take(reader: Reader, bytes: number, at: number): Promise<Buffer> {
  const target = Buffer.alloc(bytes);
  await fillOrFail(reader, target, at);
  return target;
}

async function fillOrFail(reader: Reader, target: Uint8Array, at: number): Promise<void> {
  if (await reader.fill(target) === target.byteLength) return;
  throw truncated(`the gzip member at byte ${at} is cut at byte ${reader.position}`);
}

/** Reads the rest of a member into a buffer of the pool and returns a plain member. */
async function readWhole(
  reader: Reader,
  restBytes: number,
  at: number,
  pool: BufferPool,
): Promise<Buffer> {
  if (restBytes < trailerBytes) throw corrupt(`the gzip member at byte ${at} has a bad length`);
  const buffer = pool.take(headerBytes + restBytes);
  buffer.set([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  await fillOrFail(reader, buffer.subarray(headerBytes, headerBytes + restBytes), at);
  return Buffer.from(buffer.buffer, 0, headerBytes + restBytes);
}

async function decompressed(member: Buffer, at: number, pool: BufferPool): Promise<Uint8Array> {
  const contentBytes = member.readUInt32LE(member.length - 4);
  if (contentBytes > wholeMemberBytes) {
    throw corrupt(`the gzip member at byte ${at} does not hold what it says`);
  }
  const content = await gunzipMember(member, contentBytes).catch((cause: unknown) => {
    throw corrupt(`the gzip member at byte ${at} does not decompress`, cause);
  });
  // A deflate stream that ends before the member does would take other bytes for its trailer.
  const isWhole = content.byteLength === contentBytes &&
    crc32(content) === member.readUInt32LE(member.length - trailerBytes);
  pool.give(new Uint8Array(member.buffer));
  if (isWhole) return content;
  throw corrupt(`the gzip member at byte ${at} does not hold what it says`);
}

/** Decompresses a member of any size as it is read, and checks its trailer. */
async function* streamed(reader: Reader, at: number): AsyncGenerator<Uint8Array> {
  const inflate = createInflateRaw({ chunkSize: 1024 * 1024 });
  let last: Uint8Array = new Uint8Array(0);
  let taken = 0;
  const next = async () => {
    last = await reader.some(256 * 1024) ?? new Uint8Array(0);
    taken += last.byteLength;
    return last.byteLength === 0 ? undefined : last;
  };
  const bad = (cause: unknown) =>
    last.byteLength === 0
      ? truncated(`the gzip member at byte ${at} is cut at byte ${reader.position}`)
      : corrupt(`the gzip member at byte ${at} does not decompress`, cause);
  let checksum = 0;
  let contentBytes = 0;
  for await (const chunk of transformed(inflate, next, bad)) {
    checksum = crc32(chunk, checksum);
    contentBytes += chunk.byteLength;
    yield chunk;
  }
  const restBytes = taken - inflate.bytesWritten;
  reader.putBack(last.subarray(last.byteLength - restBytes));
  const trailer = await take(reader, trailerBytes, at);
  const isWhole = trailer.readUInt32LE(0) === checksum >>> 0 &&
    trailer.readUInt32LE(4) === contentBytes % 2 ** 32;
  if (!isWhole) throw corrupt(`the gzip member at byte ${at} does not hold what it says`);
}
