import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { Abortable } from "../../../core/bytes.ts";
import { blockBytes, blocksOf } from "./blocks.ts";
import { digestBytes, digestOf } from "./digests.ts";
import { longestRun, type Run } from "./runs.ts";

/** How a file differs from the state whose digests are at hand. */
export interface Comparison {
  readonly fileBytes: number;
  /** Of the whole file. */
  readonly sha256: string;
  readonly changedBlocks: number;
  readonly changedBytes: number;
  /** The blocks that differ, in order. */
  runs(): Generator<Run>;
  /** The digests of these blocks. */
  digests(): AsyncGenerator<readonly [block: number, digest: Uint8Array]>;
}

// 1 MiB at a time.
const blocksAtOnce = 16;

/**
 * Compares each block of a file with what its digest was. Memory does not grow with the file but for a
 * bit a block: the new digests go into a file of their own.
 *
 * @param o.old a digest for each block of the old state, in order; what is behind its end is new
 * @param o.folder where the new digests are kept while the comparison is used
 */
export async function compareBlocks(
  path: string,
  { salt, old, folder, signal }: Abortable & {
    readonly salt: Uint8Array;
    readonly old: FileHandle;
    readonly folder: string;
  },
): Promise<Comparison> {
  const whole = createHash("sha256");
  const kept = await open(join(folder, "digests"), "wx+", 0o600);
  const file = await open(path, "r");
  try {
    const { size: fileBytes } = await file.stat();
    const isChanged = new Uint8Array(Math.ceil(blocksOf(fileBytes) / 8));
    const content = new Uint8Array(blocksAtOnce * blockBytes);
    const before = new Uint8Array(blocksAtOnce * digestBytes);
    let [changedBlocks, changedBytes] = [0, 0];
    for (let block = 0; block < blocksOf(fileBytes); block += blocksAtOnce) {
      signal.throwIfAborted();
      const bytes = await readFully(file, content, block * blockBytes);
      const known = await readFully(old, before, block * digestBytes);
      whole.update(bytes);
      const digests = new Uint8Array(blocksOf(bytes.byteLength) * digestBytes);
      for (let index = 0; index * blockBytes < bytes.byteLength; index++) {
        const one = bytes.subarray(index * blockBytes, (index + 1) * blockBytes);
        const digest = digestOf(salt, one);
        digests.set(digest, index * digestBytes);
        if (isSame(digest, known.subarray(index * digestBytes, (index + 1) * digestBytes))) {
          continue;
        }
        isChanged[(block + index) >> 3]! |= 1 << ((block + index) & 7);
        changedBlocks++;
        changedBytes += one.byteLength;
      }
      await kept.write(digests);
    }
    const changed = function* () {
      for (let block = 0; block < blocksOf(fileBytes); block++) {
        if ((isChanged[block >> 3]! >> (block & 7) & 1) === 1) yield block;
      }
    };
    return {
      fileBytes,
      sha256: whole.digest("hex"),
      changedBlocks,
      changedBytes,
      runs: () => runsOf(changed(), fileBytes),
      digests: () => digestsAt(changed(), join(folder, "digests")),
    };
  } finally {
    await Promise.all([file.close(), kept.close()]);
  }
}

function* runsOf(blocks: Iterable<number>, fileBytes: number): Generator<Run> {
  let [start, end] = [0, 0];
  const run = () => ({
    block: start,
    bytes: Math.min(end * blockBytes, fileBytes) - start * blockBytes,
  });
  for (const block of blocks) {
    if (block !== end || end - start === longestRun) {
      if (end > start) yield run();
      start = block;
    }
    end = block + 1;
  }
  if (end > start) yield run();
}

async function* digestsAt(
  blocks: Iterable<number>,
  path: string,
): AsyncGenerator<readonly [number, Uint8Array]> {
  const file = await open(path, "r");
  const page = new Uint8Array(4096 * digestBytes);
  let first = 0;
  let read: Uint8Array = new Uint8Array();
  try {
    for (const block of blocks) {
      if ((block - first + 1) * digestBytes > read.byteLength) {
        first = block;
        read = await readFully(file, page, block * digestBytes);
      }
      const at = (block - first) * digestBytes;
      yield [block, read.subarray(at, at + digestBytes)];
    }
  } finally {
    await file.close();
  }
}

/** Fills the buffer, or as much of it as there is. */
async function readFully(file: FileHandle, buffer: Uint8Array, at: number): Promise<Uint8Array> {
  let filled = 0;
  while (filled < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return other.byteLength === one.byteLength && one.every((byte, at) => byte === other[at]);
}
