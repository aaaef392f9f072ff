import { createHash, hash } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Abortable } from "../../../core/bytes.ts";
import { blocksOf, unitBytes } from "./blocks.ts";
import { digestBytes, type Stretch } from "./digests.ts";
import { bytesAtOnce, readAt, writeAt } from "./files.ts";
import { longestRunBytes, type Run } from "./runs.ts";

/** What the blocks of a file were. */
export interface KnownDigests {
  /** A file with a digest for each block, in order; what is behind its end is new. */
  readonly path: string;
  readonly salt: Uint8Array;
  readonly blockBytes: number;
}

/** How a file differs from the state whose digests are at hand. */
export interface Comparison extends Omit<KnownDigests, "path"> {
  readonly fileBytes: number;
  /** Of the whole file. */
  readonly sha256: string;
  readonly changedBlocks: number;
  readonly changedBytes: number;
  /** Where the blocks lie that differ, in order. */
  stretches(): Generator<Stretch>;
  /** The same as bytes, in pieces of a length that is handed over at once. */
  runs(): Generator<Run>;
  /** A file with a digest for each block, in order. */
  readonly digests: string;
}

/**
 * Compares each block of a file with what its digest was. Memory does not grow with the file but for a
 * bit a block: the new digests go into a file of their own.
 *
 * @param o.folder where the new digests are kept while the comparison is used
 */
export async function compareBlocks(
  path: string,
  { path: known, salt, blockBytes }: KnownDigests,
  { folder, signal }: Abortable & { readonly folder: string },
): Promise<Comparison> {
  const blocksAtOnce = Math.max(1, bytesAtOnce / blockBytes);
  const whole = createHash("sha256");
  const kept = await open(join(folder, "digests"), "wx+", 0o600);
  const old = await open(known, "r");
  const file = await open(path, "r");
  try {
    const { size: fileBytes } = await file.stat();
    const blocks = blocksOf(fileBytes, blockBytes);
    const isChanged = new Uint8Array(Math.ceil(blocks / 8));
    const content = new Uint8Array(blocksAtOnce * blockBytes);
    const before = new Uint8Array(blocksAtOnce * digestBytes);
    const after = new Uint8Array(blocksAtOnce * digestBytes);
    const digestOf = digester(salt, blockBytes);
    let [changedBlocks, changedBytes] = [0, 0];
    for (let first = 0; first < blocks; first += blocksAtOnce) {
      signal.throwIfAborted();
      const bytes = await readAt(file, content, first * blockBytes);
      const were = await readAt(old, before, first * digestBytes);
      whole.update(bytes);
      const count = blocksOf(bytes.byteLength, blockBytes);
      for (let index = 0; index < count; index++) {
        const one = bytes.subarray(index * blockBytes, (index + 1) * blockBytes);
        const [start, end] = [index * digestBytes, (index + 1) * digestBytes];
        after.set(digestOf(one), start);
        if (isSame(after, were, start, end)) continue;
        isChanged[(first + index) >> 3]! |= 1 << ((first + index) & 7);
        changedBlocks++;
        changedBytes += one.byteLength;
      }
      await writeAt(kept, after.subarray(0, count * digestBytes), first * digestBytes);
    }
    const stretches = () => stretchesOf(isChanged, blocks);
    return {
      salt,
      blockBytes,
      fileBytes,
      sha256: whole.digest("hex"),
      changedBlocks,
      changedBytes,
      stretches,
      runs: () => runsOf(stretches(), blockBytes, fileBytes),
      digests: join(folder, "digests"),
    };
  } finally {
    await Promise.all([file.close(), kept.close(), old.close()]);
  }
}

/** The digest of a block: the start of the SHA-256 of salt and block, computed in one call. */
function digester(salt: Uint8Array, blockBytes: number): (block: Uint8Array) => Uint8Array {
  const salted = new Uint8Array(salt.byteLength + blockBytes);
  salted.set(salt);
  return (block) => {
    salted.set(block, salt.byteLength);
    const bytes = salted.subarray(0, salt.byteLength + block.byteLength);
    return hash("sha256", bytes, "buffer").subarray(0, digestBytes);
  };
}

function isSame(one: Uint8Array, other: Uint8Array, start: number, end: number): boolean {
  if (end > other.byteLength) return false;
  for (let at = start; at < end; at++) if (one[at] !== other[at]) return false;
  return true;
}

function* stretchesOf(isChanged: Uint8Array, blocks: number): Generator<Stretch> {
  let [block, count] = [0, 0];
  for (let at = 0; at < blocks; at++) {
    if ((isChanged[at >> 3]! >> (at & 7) & 1) === 1) {
      if (count === 0) block = at;
      count++;
    } else if (count > 0) {
      yield { block, count };
      count = 0;
    }
  }
  if (count > 0) yield { block, count };
}

function* runsOf(
  stretches: Iterable<Stretch>,
  blockBytes: number,
  fileBytes: number,
): Generator<Run> {
  for (const { block, count } of stretches) {
    const end = Math.min((block + count) * blockBytes, fileBytes);
    for (let at = block * blockBytes; at < end; at += longestRunBytes) {
      yield { unit: at / unitBytes, bytes: Math.min(longestRunBytes, end - at) };
    }
  }
}
