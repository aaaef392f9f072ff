import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { ArtifactFormat, Walker } from "../../../contracts/format.ts";
import { blocksOf } from "./blocks.ts";

/** The role of the artifacts that a next backup compares with; no restore needs them. */
export const digestsRole = "digests";

/**
 * Digests of blocks: of all of a full backup's file, of those that changed in an increment. Integers
 * are little-endian.
 *
 * | bytes | meaning |
 * | 8 | `dbbdigs1` |
 * | 16 | salt, random for each full backup and the same in all that builds on it |
 * | 8 | length of the file |
 * | 4 | how many entries follow |
 * | 4, 16 | each: the block's number, and the start of the SHA-256 of salt and block; in order |
 */
export const digestsFormat: ArtifactFormat = {
  id: "sqlite-digests",
  suffix: "digests",
  walk,
};

/** The part of a block's SHA-256 that is kept: blocks that differ by chance never agree in it. */
export const digestBytes = 16;

/** The length of the salt. */
export const saltBytes = 16;

const magic = "dbbdigs1";
const headBytes = magic.length + saltBytes + 8 + 4;
const entryBytes = 4 + digestBytes;

/** The head of a list of digests. */
export interface DigestsHead {
  readonly salt: Uint8Array;
  readonly fileBytes: number;
  readonly count: number;
}

/** The digest of a block. */
export function digestOf(salt: Uint8Array, block: Uint8Array): Uint8Array {
  return createHash("sha256").update(salt).update(block).digest().subarray(0, digestBytes);
}

/**
 * The bytes of a list.
 *
 * @param entries by number, ascending
 */
export async function* writeDigests(
  { salt, fileBytes, count }: DigestsHead,
  entries: AsyncIterable<readonly [block: number, digest: Uint8Array]>,
): Bytes {
  const head = Buffer.alloc(headBytes);
  head.write(magic, "ascii");
  head.set(salt, magic.length);
  head.writeBigUInt64LE(BigInt(fileBytes), magic.length + saltBytes);
  head.writeUInt32LE(count, headBytes - 4);
  yield head;
  const some = Buffer.alloc(4096 * entryBytes);
  let filled = 0;
  for await (const [block, digest] of entries) {
    some.writeUInt32LE(block, filled);
    some.set(digest, filled + 4);
    filled += entryBytes;
    if (filled < some.byteLength) continue;
    yield some;
    filled = 0;
  }
  if (filled > 0) yield some.subarray(0, filled);
}

/**
 * Writes the entries of a list over a file that has a digest for each block, in order, and gives that
 * file the length that it has then.
 *
 * @returns the list's head
 */
export async function applyDigests(bytes: Bytes, list: FileHandle): Promise<DigestsHead> {
  const parser = digestsParser();
  for await (const chunk of bytes) {
    for (const { block, digests } of parser.push(chunk)) {
      await writeAll(list, digests, block * digestBytes);
    }
  }
  const head = parser.end();
  await list.truncate(blocksOf(head.fileBytes) * digestBytes);
  return head;
}

async function writeAll(list: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    const rest = bytes.subarray(written);
    written += (await list.write(rest, 0, rest.byteLength, at + written)).bytesWritten;
  }
}

/** Digests of blocks that follow one another. */
interface Stretch {
  readonly block: number;
  readonly digests: Uint8Array;
}

/** Follows a list as its bytes pass. */
function digestsParser() {
  let rest: Uint8Array = new Uint8Array();
  let head: DigestsHead | undefined;
  let seen = 0;
  let lastBlock = -1;

  function readHead(bytes: Buffer): DigestsHead {
    if (bytes.toString("ascii", 0, magic.length) !== magic) throw broken("has another beginning");
    const fileBytes = Number(bytes.readBigUInt64LE(magic.length + saltBytes));
    const count = bytes.readUInt32LE(headBytes - 4);
    if (count > blocksOf(fileBytes)) throw broken("has more entries than its file has blocks");
    const salt = Uint8Array.from(bytes.subarray(magic.length, magic.length + saltBytes));
    return { salt, fileBytes, count };
  }

  return {
    push(chunk: Uint8Array): Stretch[] {
      let bytes = Buffer.concat([rest, chunk]);
      if (head === undefined) {
        if (bytes.byteLength < headBytes) {
          rest = bytes;
          return [];
        }
        head = readHead(bytes);
        bytes = bytes.subarray(headBytes);
      }
      const whole = Math.floor(bytes.byteLength / entryBytes);
      if (seen + whole > head.count) throw broken(`goes on after its ${head.count} entries`);
      const digests = Buffer.alloc(whole * digestBytes);
      const stretches: Stretch[] = [];
      let start = 0;
      for (let index = 0; index < whole; index++) {
        const at = index * entryBytes;
        const block = bytes.readUInt32LE(at);
        if (block <= lastBlock) throw broken("is not in order");
        if (block >= blocksOf(head.fileBytes)) throw broken("names a block behind the file's end");
        digests.set(bytes.subarray(at + 4, at + entryBytes), index * digestBytes);
        const isNext = index > 0 && block === lastBlock + 1;
        if (index > 0 && !isNext) {
          stretches.push(stretch(lastBlock, digests, start, index));
          start = index;
        }
        lastBlock = block;
      }
      if (whole > start) stretches.push(stretch(lastBlock, digests, start, whole));
      seen += whole;
      rest = Uint8Array.from(bytes.subarray(whole * entryBytes));
      return stretches;
    },
    end(): DigestsHead {
      if (head !== undefined && seen === head.count && rest.byteLength === 0) return head;
      throw new BackupError("verification/truncated", "The list of block digests ends early", {
        hint: "The copy is incomplete; use another one.",
      });
    },
  };
}

function stretch(lastBlock: number, digests: Buffer, start: number, end: number): Stretch {
  return {
    block: lastBlock - (end - start - 1),
    digests: digests.subarray(start * digestBytes, end * digestBytes),
  };
}

function walk(): Walker {
  const parser = digestsParser();
  return {
    push: (chunk) => void parser.push(chunk),
    end() {
      parser.end();
      return { databases: [] };
    },
  };
}

function broken(problem: string): BackupError {
  return new BackupError("verification/structure", `The list of block digests ${problem}`, {
    hint: "The bytes are not what was stored; use another copy.",
  });
}
