import { Buffer } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import type { Bytes } from "../../../core/bytes.ts";
import type { ArtifactFormat } from "../../../contracts/format.ts";
import { blocksOf } from "./blocks.ts";
import { bytesAtOnce, joined, openWindow } from "./files.ts";
import {
  applyPieces,
  broken,
  type Piece,
  type PieceParser,
  truncated,
  walkerOf,
} from "./pieces.ts";

/** The role of the artifacts that a next backup compares with; no restore needs them. */
export const digestsRole = "digests";

/**
 * Digests of blocks: of all of a full backup's file, of those that changed in an increment. Integers
 * are little-endian.
 *
 * | bytes | meaning |
 * | 8 | `dbbdigs1` |
 * | 16 | salt, random for each full backup and the same in all that builds on it |
 * | 4 | length of a block |
 * | 8 | length of the file |
 * | 4 | how many digests follow, in stretches of blocks that lie beside one another, in order: |
 * | 4, 4 | the number of a stretch's first block, and how many it has |
 * | 16 each | the start of the SHA-256 of salt and block |
 */
export const digestsFormat: ArtifactFormat = {
  id: "sqlite-digests",
  suffix: "digests",
  walk: () => walkerOf(digestsParser()),
};

const list = "list of block digests";

/** The part of a block's SHA-256 that is kept: blocks that differ by chance never agree in it. */
export const digestBytes = 16;

/** The length of the salt. */
export const saltBytes = 16;

const magic = "dbbdigs1";
const headBytes = magic.length + saltBytes + 4 + 8 + 4;
const stretchHeadBytes = 8;

/** The head of a list of digests. */
export interface DigestsHead {
  readonly salt: Uint8Array;
  readonly blockBytes: number;
  readonly fileBytes: number;
  readonly count: number;
}

/** Blocks that lie beside one another. */
export interface Stretch {
  readonly block: number;
  readonly count: number;
}

/**
 * The bytes of a list.
 *
 * @param stretches in order
 * @param path of a file that has a digest for each block, in order
 */
export function writeDigests(
  head: DigestsHead,
  stretches: Iterable<Stretch>,
  path: string,
): Bytes {
  return joined(listOf(head, stretches, path));
}

async function* listOf(
  { salt, blockBytes, fileBytes, count }: DigestsHead,
  stretches: Iterable<Stretch>,
  path: string,
): Bytes {
  const head = Buffer.alloc(headBytes);
  head.write(magic, "ascii");
  head.set(salt, magic.length);
  head.writeUInt32LE(blockBytes, magic.length + saltBytes);
  head.writeBigUInt64LE(BigInt(fileBytes), magic.length + saltBytes + 4);
  head.writeUInt32LE(count, headBytes - 4);
  yield head;
  const file = await open(path, "r");
  try {
    const read = openWindow(file);
    const start = Buffer.alloc(stretchHeadBytes);
    for (const { block, count } of stretches) {
      start.writeUInt32LE(block, 0);
      start.writeUInt32LE(count, 4);
      yield start;
      const end = (block + count) * digestBytes;
      for (let at = block * digestBytes; at < end; at += bytesAtOnce) {
        yield await read(at, Math.min(bytesAtOnce, end - at));
      }
    }
  } finally {
    await file.close();
  }
}

/**
 * Writes the entries of a list over a file that has a digest for each block, in order, and gives that
 * file the length that it has then.
 *
 * @returns the list's head
 */
export async function applyDigests(bytes: Bytes, file: FileHandle): Promise<DigestsHead> {
  const head = await applyPieces(bytes, digestsParser(), file);
  await file.truncate(blocksOf(head.fileBytes, head.blockBytes) * digestBytes);
  return head;
}

/** Its pieces are digests with their place among those of the whole file. */
function digestsParser(): PieceParser<DigestsHead> {
  let head: DigestsHead | undefined;
  let seen = 0;
  let nextBlock = 0;
  /** Of the stretch that is being read, in bytes. */
  let [at, left] = [0, 0];
  const small = Buffer.alloc(headBytes);
  let filled = 0;

  /** Gathers the bytes of something small; undefined until all are there. */
  function gather(chunk: Uint8Array, length: number): Uint8Array | undefined {
    const taken = chunk.subarray(0, length - filled);
    small.set(taken, filled);
    filled += taken.byteLength;
    if (filled < length) return undefined;
    filled = 0;
    return chunk.subarray(taken.byteLength);
  }

  function readHead(): DigestsHead {
    if (small.toString("ascii", 0, magic.length) !== magic) {
      throw broken(list, "has another beginning");
    }
    const salt = Uint8Array.from(small.subarray(magic.length, magic.length + saltBytes));
    const blockBytes = small.readUInt32LE(magic.length + saltBytes);
    const fileBytes = Number(small.readBigUInt64LE(magic.length + saltBytes + 4));
    const count = small.readUInt32LE(headBytes - 4);
    if (blockBytes === 0 || count > blocksOf(fileBytes, blockBytes)) {
      throw broken(list, "has more entries than its file has blocks");
    }
    return { salt, blockBytes, fileBytes, count };
  }

  function readStretch({ count: total, fileBytes, blockBytes }: DigestsHead): void {
    const [block, count] = [small.readUInt32LE(0), small.readUInt32LE(4)];
    if (count === 0 || block < nextBlock) throw broken(list, "is not in order");
    if (block + count > blocksOf(fileBytes, blockBytes)) {
      throw broken(list, "names a block behind the file's end");
    }
    if (seen + count > total) throw broken(list, `goes on after its ${total} entries`);
    nextBlock = block + count;
    seen += count;
    [at, left] = [block * digestBytes, count * digestBytes];
  }

  return {
    push(chunk: Uint8Array): Piece[] {
      const pieces: Piece[] = [];
      let rest = chunk;
      while (rest.byteLength > 0) {
        if (left > 0) {
          const bytes = rest.subarray(0, left);
          pieces.push({ at, bytes });
          at += bytes.byteLength;
          left -= bytes.byteLength;
          rest = rest.subarray(bytes.byteLength);
          continue;
        }
        if (head !== undefined && seen === head.count) {
          throw broken(list, `goes on after its ${head.count} entries`);
        }
        const after = gather(rest, head === undefined ? headBytes : stretchHeadBytes);
        if (after === undefined) break;
        rest = after;
        if (head === undefined) head = readHead();
        else readStretch(head);
      }
      return pieces;
    },
    end(): DigestsHead {
      if (head !== undefined && seen === head.count && left === 0 && filled === 0) return head;
      throw truncated(list);
    },
  };
}
