import { Buffer } from "node:buffer";
import type { ArtifactContents, Walker } from "../../../contracts/format.ts";
import { nameOf } from "./contents.ts";
import { damaged, truncated } from "./damage.ts";
import { type BlockCounts, inventoryOf } from "./inventory.ts";
import { type ArchiveHead, type TocEntry, tocReader } from "./toc.ts";

const dataBlock = 1;
const largeObjectsBlock = 3;
const lineFeed = 10;

/**
 * Follows an archive of `pg_dump -Fc` from its head to the last block of data that its table of
 * contents announces, and counts rows and large objects on the way. With `-Z0` the data stands in the
 * archive as it is.
 */
export function walkArchive(): Walker {
  const toc = tocReader();
  let blocks: BlockWalker | undefined;
  return {
    push(chunk) {
      if (blocks !== undefined) return blocks.push(chunk);
      const rest = toc.push(chunk);
      if (rest === undefined) return;
      blocks = walkBlocks(toc.head());
      blocks.push(rest);
    },
    end(): ArtifactContents {
      if (blocks === undefined) throw truncated("it ends inside its table of contents");
      const head = toc.head();
      return { databases: [inventoryOf(head, blocks.end())] };
    },
  };
}

interface BlockWalker {
  push(chunk: Uint8Array): void;
  end(): ReadonlyMap<number, BlockCounts>;
}

/** What the next bytes are. */
type Expected = "block" | "large object" | "chunk" | "inside a chunk";

// What pg_dump puts after the rows of a table; each row before it ends in one line feed.
const copyEnd = Buffer.from("\\.\n\n\n");
const copyEndRows = 3;
const lastWithRowChunks = 18;

function walkBlocks({ header, entries }: ArchiveHead): BlockWalker {
  const open = new Map(entries.filter(({ hasData }) => hasData).map((one) => [one.dumpId, one]));
  const counts = new Map<number, BlockCounts>();
  const { intBytes } = header;
  let held = Buffer.alloc(0);
  let expected: Expected = "block";
  let entry: TocEntry | undefined;
  let isRows = false;
  let isLargeObjects = false;
  let rows = 0;
  // pg_dump until 18 writes a chunk for each row, which saves looking at every byte; seen at the
  // first chunk of a block.
  let chunks: "of one row" | "of any size" | undefined;
  const isEveryByteSeen = Number.parseInt(header.toolVersion) > lastWithRowChunks;
  const tail = Buffer.alloc(copyEnd.length);
  let objects = 0;
  let chunkBytes = 0;
  let rest = 0;
  let hasCopyEnd = false;

  function push(chunk: Uint8Array): void {
    const bytes = held.length === 0
      ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      : Buffer.concat([held, chunk]);
    const used = walk(bytes);
    // A copy: the producer uses its buffer again.
    held = used === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(used));
  }

  /** Goes through the bytes and returns how many were used; what is left is less than one item. */
  function walk(bytes: Buffer): number {
    const length = bytes.length;
    let at = 0;
    while (true) {
      switch (expected) {
        case "block":
          if (at + 2 + intBytes > length) return at;
          begin(bytes[at]!, intAt(bytes, at + 1));
          at += 2 + intBytes;
          break;
        case "large object": {
          if (at + 1 + intBytes > length) return at;
          const oid = oidAt(bytes, at);
          at += 1 + intBytes;
          if (oid === 0) finish();
          else {
            objects++;
            expected = "chunk";
          }
          break;
        }
        case "chunk": {
          if (at + 1 + intBytes > length) return at;
          const size = intAt(bytes, at);
          at += 1 + intBytes;
          if (size > 0) {
            rest = size;
            chunkBytes = size;
            expected = "inside a chunk";
          } else if (isLargeObjects) expected = "large object";
          else finish();
          break;
        }
        case "inside a chunk": {
          const available = length - at;
          if (rest <= available) {
            if (isRows) countRows(bytes, at, at + rest, true);
            at += rest;
            rest = 0;
            expected = "chunk";
          } else {
            // The last bytes stay, so that the end of the rows is seen in one piece.
            const take = available - copyEnd.length;
            if (take <= 0) return at;
            if (isRows) countRows(bytes, at, at + take, false);
            rest -= take;
            return at + take;
          }
          break;
        }
      }
    }
  }

  function begin(type: number, dumpId: number): void {
    entry = open.get(dumpId);
    if (entry === undefined) {
      throw damaged(`a block of data ${dumpId} that its table of contents does not expect`);
    }
    open.delete(dumpId);
    const isBlobs = entry.description === "BLOBS";
    if (type !== (isBlobs ? largeObjectsBlock : dataBlock)) {
      throw damaged(`the block of ${nameOf(entry)} has the type ${type}`);
    }
    isLargeObjects = isBlobs;
    isRows = !isBlobs && entry.copyStatement !== undefined && !header.isCompressed;
    rows = 0;
    chunks = isEveryByteSeen ? "of any size" : undefined;
    tail.fill(0);
    objects = 0;
    hasCopyEnd = false;
    expected = isBlobs ? "large object" : "chunk";
  }

  /** Counts the rows in `bytes` from `from` to `to`, which go on when `isChunkEnd` is false. */
  function countRows(bytes: Buffer, from: number, to: number, isChunkEnd: boolean): void {
    if (chunks === undefined) {
      // Only rows end in a line feed, one inside a value is written as \n.
      const first = bytes.indexOf(lineFeed, from);
      if (first >= 0 && first < (isChunkEnd ? to - 1 : to)) chunks = "of any size";
      else if (isChunkEnd) chunks = first < 0 ? "of any size" : "of one row";
      else return;
    }
    if (chunks === "of one row") {
      if (!isChunkEnd) return;
      hasCopyEnd = chunkBytes === copyEnd.length && bytes.subarray(from, to).equals(copyEnd);
      if (bytes[to - 1] === lineFeed) {
        rows += hasCopyEnd ? copyEndRows : 1;
        return;
      }
      // Not what a pg_dump that we know writes: what follows is counted row by row.
      chunks = "of any size";
    }
    for (let at = bytes.indexOf(lineFeed, from); at >= 0 && at < to;) {
      rows++;
      at = bytes.indexOf(lineFeed, at + 1);
    }
    seeEnd(bytes, from, to);
  }

  /** Keeps the last bytes: the end of the rows may be cut in two. */
  function seeEnd(bytes: Buffer, from: number, to: number): void {
    const length = Math.min(to - from, tail.length);
    tail.copyWithin(0, length);
    bytes.copy(tail, tail.length - length, to - length, to);
    hasCopyEnd = tail.equals(copyEnd);
  }

  function finish(): void {
    if (isRows && !hasCopyEnd) throw truncated(`the rows of ${nameOf(entry!)} have no end`);
    const copied = rows - copyEndRows;
    counts.set(entry!.dumpId, { items: isLargeObjects ? objects : isRows ? copied : undefined });
    entry = undefined;
    expected = "block";
  }

  function intAt(bytes: Buffer, at: number): number {
    if (bytes[at] !== 0) throw damaged("a length or number inside its data is wrong");
    return magnitudeAt(bytes, at);
  }

  /** pg_dump writes an oid as an int: from 2^31 on it comes out negative. */
  function oidAt(bytes: Buffer, at: number): number {
    const value = magnitudeAt(bytes, at);
    if (bytes[at] === 0 && value < 2 ** 31) return value;
    if (bytes[at] === 1 && value > 0 && value <= 2 ** 31) return 2 ** 32 - value;
    throw damaged("a large object's number is wrong");
  }

  function magnitudeAt(bytes: Buffer, at: number): number {
    for (let index = 5; index <= intBytes; index++) {
      if (bytes[at + index] !== 0) throw damaged("a length is out of range");
    }
    return (bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16) |
      (bytes[at + 4]! << 24)) >>> 0;
  }

  return {
    push,
    end() {
      if (expected !== "block" || held.length > 0) {
        const where = entry === undefined ? "between two blocks" : `inside ${nameOf(entry)}`;
        throw truncated(`it ends ${where}`);
      }
      const [missing] = open.values();
      if (missing !== undefined) {
        throw truncated(`${open.size} blocks of data are missing, first ${nameOf(missing)}`);
      }
      // A restore reads the archive from a pipe, in which it cannot go back.
      const order = [...counts.keys()];
      if (entries.filter(({ hasData }) => hasData).some(({ dumpId }, at) => dumpId !== order[at])) {
        throw damaged("its blocks of data come in another order than in its table of contents");
      }
      return counts;
    },
  };
}
