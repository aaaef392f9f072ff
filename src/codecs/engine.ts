import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { bun } from "../core/bun.ts";

// The fastest calls there are. Measured on 2 cores and 500 MB of SQL text: zstd level 3 1.1 s with Bun's
// own against 1.6 s; gzip level 6 5.4 s against 11.9 s. To decompress 1 GB of zstd, Bun's takes 15 %
// less CPU time than node:zlib, and 62 MiB of memory in all against 107. gzip has node:zlib only.

const zstdCompress = promisify(zlib.zstdCompress);
const zstdDecompress = promisify(zlib.zstdDecompress);
const gunzip = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.gunzip);

/** Compresses a block into one zstd frame that carries its content's size and checksum, in parts. */
export async function zstdFrame(
  block: Uint8Array,
  level: number,
): Promise<[frame: Uint8Array, ...rest: Uint8Array[]]> {
  if (bun === undefined) {
    const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = zlib.constants;
    const params = { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 };
    return [await zstdCompress(block, { params })];
  }
  const frame = await bun.zstdCompress(block, { level });
  // Bun offers no checksum, so we add it: the flag in the frame's header and, at the end, the low
  // four bytes of XXH64 (RFC 8878, 3.1.1). With it `zstd -d` alone sees a flipped bit.
  frame[4]! |= 0b100;
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(Number(bun.hash.xxHash64(block, 0n) & 0xffffffffn));
  return [frame, checksum];
}

/**
 * Decompresses one whole zstd frame whose content is `contentBytes` long, as its own header says.
 *
 * @throws the library's error for one that is damaged or longer
 */
export function unzstdFrame(frame: Uint8Array, contentBytes: number): Promise<Uint8Array> {
  if (bun !== undefined) return bun.zstdDecompress(frame);
  return zstdDecompress(frame, oneStep(contentBytes));
}

/** As {@link unzstdFrame}, for one gzip member. */
export function gunzipMember(member: Uint8Array, contentBytes: number): Promise<Uint8Array> {
  return gunzip(member, oneStep(contentBytes));
}

/** A buffer a little larger than the content, so that it takes one trip to the threads, not 256. */
function oneStep(contentBytes: number) {
  return { chunkSize: contentBytes + 64, maxOutputLength: contentBytes + 64 };
}
