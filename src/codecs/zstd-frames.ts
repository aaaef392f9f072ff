import { Buffer } from "node:buffer";
import { createZstdDecompress } from "node:zlib";
import type { Bytes } from "../core/bytes.ts";
import { corrupt, truncated } from "./damage.ts";
import { unzstdFrame } from "./engine.ts";
import { openReader, type Reader } from "./reader.ts";
import { transformed } from "./transform.ts";
import { type BufferPool, createBufferPool, type Unit } from "./units.ts";

// Frames up to this content size are decompressed whole, several at once.
const wholeFrameBytes = 16 * 1024 * 1024;
// What a compressed frame of ours usually needs; it doubles for those that do not compress.
const wholeFrameStartBytes = 1024 * 1024;

/**
 * Cuts a zstd file into its frames by their block headers (RFC 8878, 3.1.1), without decompressing.
 * Skippable frames are skipped.
 *
 * @throws BackupError `verification/corrupt`, `verification/truncated`
 */
export async function* zstdUnits(bytes: Bytes): AsyncGenerator<Unit> {
  const reader = openReader(bytes);
  const pool = createBufferPool();
  try {
    let frames = 0;
    while (true) {
      const at = reader.position;
      const head = await readHead(reader, frames);
      if (head === undefined) break;
      frames++;
      if (head.contentBytes === undefined || head.contentBytes > wholeFrameBytes) {
        yield { type: "stream", content: streamed(reader, head, at) };
      } else {
        const frame = await readWhole(reader, head, pool);
        const content = decompressed(frame, head.contentBytes, at, pool);
        yield { type: "block", content };
      }
    }
    if (frames === 0) throw truncated("there is not a single zstd frame");
  } finally {
    await reader.close();
  }
}

interface Head {
  /** The frame's header as it came, magic number included. */
  readonly bytes: Uint8Array;
  readonly contentBytes: number | undefined;
  readonly hasChecksum: boolean;
}

const magic = 0xfd2fb528;

/** Reads the next frame's header; undefined at the end of the file. */
async function readHead(reader: Reader, frames: number): Promise<Head | undefined> {
  while (true) {
    const at = reader.position;
    const bytes = Buffer.alloc(18);
    const start = await reader.fill(bytes.subarray(0, 4));
    if (start === 0) return undefined;
    const number = bytes.readUInt32LE();
    if (start === 4 && number >>> 4 === 0x184d2a5) await skipFrame(reader, at);
    else if (start === 4 && number === magic) return await readDescriptor(reader, bytes, at);
    else if (start < 4 && couldBeMagic(bytes.subarray(0, start))) {
      throw truncated(`a zstd frame is cut at byte ${reader.position}`);
    } else if (frames === 0) throw corrupt("it does not start like a zstd file");
    else throw corrupt(`there is something else than a zstd frame at byte ${at}`);
  }
}

function couldBeMagic(start: Uint8Array): boolean {
  const expected = [0x28, 0xb5, 0x2f, 0xfd];
  return start.every((byte, index) => byte === expected[index]) ||
    (start[0]! >>> 4 === 5 && start.slice(1).every((byte, i) => byte === [0x2a, 0x4d][i]));
}

async function skipFrame(reader: Reader, at: number): Promise<void> {
  const size = Buffer.alloc(4);
  await fillOrFail(reader, size, at);
  let left = size.readUInt32LE();
  while (left > 0) {
    const piece = await reader.some(left);
    if (piece === undefined) throw truncated(`the skippable frame at byte ${at} is cut`);
    left -= piece.byteLength;
  }
}

async function readDescriptor(reader: Reader, bytes: Buffer, at: number): Promise<Head> {
  await fillOrFail(reader, bytes.subarray(4, 5), at);
  const descriptor = bytes[4]!;
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0b11]!;
  const sizeFlag = descriptor >>> 6;
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag;
  if ((descriptor & 0b1000) !== 0) throw corrupt(`the zstd frame at byte ${at} has a bad header`);
  if (dictionaryBytes > 0) throw corrupt(`the zstd frame at byte ${at} needs a dictionary`);
  const length = 5 + (isSingleSegment ? 0 : 1) + sizeBytes;
  await fillOrFail(reader, bytes.subarray(5, length), at);
  return {
    bytes: bytes.subarray(0, length),
    contentBytes: readSize(bytes.subarray(length - sizeBytes, length)),
    hasChecksum: (descriptor & 0b100) !== 0,
  };
}

function readSize(field: Buffer): number | undefined {
  if (field.length === 0) return undefined;
  if (field.length === 1) return field.readUInt8();
  // RFC 8878, 3.1.1.1.4: the two-byte form counts from 256.
  if (field.length === 2) return field.readUInt16LE() + 256;
  return field.length === 4 ? field.readUInt32LE() : Number(field.readBigUInt64LE());
}

async function fillOrFail(reader: Reader, target: Uint8Array, at: number): Promise<void> {
  if (await reader.fill(target) === target.byteLength) return;
  throw truncated(`the zstd frame at byte ${at} is cut at byte ${reader.position}`);
}

interface BlockHead {
  readonly isLast: boolean;
  /** Bytes that follow the block's header. */
  readonly bytes: number;
}

function parseBlockHead(header: Uint8Array, at: number): BlockHead {
  const value = header[0]! | header[1]! << 8 | header[2]! << 16;
  const type = value >>> 1 & 0b11;
  const size = value >>> 3;
  // Type 3 is reserved; no block holds more than 128 KiB, whatever the window.
  if (type === 3 || size > 131_072) throw corrupt(`a block of the zstd frame at byte ${at} is bad`);
  return { isLast: (value & 1) === 1, bytes: type === 1 ? 1 : size };
}

/** Reads the rest of a frame into a buffer of the pool and returns the frame. */
async function readWhole(reader: Reader, head: Head, pool: BufferPool): Promise<Uint8Array> {
  const at = reader.position - head.bytes.byteLength;
  // Even a frame of one-byte blocks, three bytes of header each, is no longer.
  const limit = 4 * head.contentBytes! + 1024;
  let buffer = pool.take(wholeFrameStartBytes);
  buffer.set(head.bytes);
  let length = head.bytes.byteLength;

  async function append(bytes: number): Promise<Uint8Array> {
    if (length + bytes > limit) throw corrupt(`the zstd frame at byte ${at} is too long`);
    if (length + bytes > buffer.byteLength) buffer = grown(buffer, length, pool);
    const target = buffer.subarray(length, length + bytes);
    await fillOrFail(reader, target, at);
    length += bytes;
    return target;
  }

  let isLast = false;
  while (!isLast) {
    const block = parseBlockHead(await append(3), at);
    await append(block.bytes);
    isLast = block.isLast;
  }
  if (head.hasChecksum) await append(4);
  return buffer.subarray(0, length);
}

function grown(buffer: Uint8Array, length: number, pool: BufferPool): Uint8Array {
  const larger = pool.take(2 * buffer.byteLength);
  larger.set(buffer.subarray(0, length));
  return larger;
}

async function decompressed(
  frame: Uint8Array,
  contentBytes: number,
  at: number,
  pool: BufferPool,
): Promise<Uint8Array> {
  const content = await unzstdFrame(frame, contentBytes).catch((cause: unknown) => {
    throw corrupt(`the zstd frame at byte ${at} does not decompress`, cause);
  });
  pool.give(new Uint8Array(frame.buffer));
  if (content.byteLength === contentBytes) return content;
  throw corrupt(`the zstd frame at byte ${at} does not hold what it says`);
}

/** Decompresses a frame of any size as it is read. */
async function* streamed(reader: Reader, head: Head, at: number): AsyncGenerator<Uint8Array> {
  const input = frameBytes(reader, head, at);
  const next = async () => (await input.next()).value as Uint8Array | undefined;
  const bad = (cause: unknown) =>
    corrupt(`the zstd frame at byte ${at} does not decompress`, cause);
  yield* transformed(createZstdDecompress({ chunkSize: 1024 * 1024 }), next, bad);
}

async function* frameBytes(reader: Reader, head: Head, at: number): AsyncGenerator<Uint8Array> {
  yield head.bytes;
  let isLast = false;
  while (!isLast) {
    const header = new Uint8Array(3);
    await fillOrFail(reader, header, at);
    const block = parseBlockHead(header, at);
    isLast = block.isLast;
    yield header;
    yield* exactly(reader, block.bytes, at);
  }
  if (head.hasChecksum) yield* exactly(reader, 4, at);
}

async function* exactly(reader: Reader, bytes: number, at: number): AsyncGenerator<Uint8Array> {
  for (let left = bytes; left > 0;) {
    const piece = await reader.some(left);
    if (piece === undefined) {
      throw truncated(`the zstd frame at byte ${at} is cut at byte ${reader.position}`);
    }
    left -= piece.byteLength;
    yield piece;
  }
}
