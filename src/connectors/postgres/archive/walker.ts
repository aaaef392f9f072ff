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

// A block's type and number, the longest thing before any data: numbers have up to 8 bytes.
const longestHead = 2 + 8;

/** Goes through the chunks where they lie: of a number that two of them share, the bytes are kept. */
function walkBlocks({ header, entries }: ArchiveHead): BlockWalker {
  const open = new Map(entries.filter(({ hasData }) => hasData).map((one) => [one.dumpId, one]));
  const counts = new Map<number, BlockCounts>();
  const { intBytes } = header;
  const intLength = 1 + intBytes;
  const head = Buffer.alloc(longestHead);
  let headLength = 0;
  let expected: Expected = "block";
  let entry: TocEntry | undefined;
  let isRows = false;
  let isLargeObjects = false;
  let rows = 0;
  // Line feeds of a chunk of data that is not over yet, while it may be one row.
  let rowsInside = 0;
  // pg_dump until 18 writes a chunk for each row, which saves looking at every byte; seen at the
  // first chunk of a block.
  let chunks: "of one row" | "of any size" | undefined;
  const isEveryByteSeen = Number.parseInt(header.toolVersion) > lastWithRowChunks;
  const tail = Buffer.alloc(copyEnd.length);
  let objects = 0;
  let chunkBytes = 0;
  let blockBytes = 0;
  let rest = 0;
  let hasCopyEnd = false;

  function push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const { length } = bytes;
    let at = 0;
    while (at < length) {
      if (expected === "inside a chunk") {
        const end = Math.min(at + rest, length);
        rest -= end - at;
        if (isRows) countRows(bytes, at, end);
        at = end;
        if (rest === 0) expected = "chunk";
        continue;
      }
      const needed = expected === "block" ? 1 + intLength : intLength;
      if (headLength === 0 && at + needed <= length) {
        take(bytes, at);
        at += needed;
        continue;
      }
      const taken = bytes.copy(head, headLength, at, at + needed - headLength);
      at += taken;
      headLength += taken;
      if (headLength < needed) return;
      headLength = 0;
      take(head, 0);
    }
  }

  /** Takes what stands before data, which lies there in full. */
  function take(bytes: Buffer, at: number): void {
    if (expected === "block") begin(bytes[at]!, intAt(bytes, at + 1));
    else if (expected === "chunk") beginChunk(intAt(bytes, at));
    else if (oidAt(bytes, at) === 0) finish();
    else {
      objects++;
      expected = "chunk";
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
    rows = rowsInside = 0;
    chunks = isEveryByteSeen ? "of any size" : undefined;
    tail.fill(0);
    objects = blockBytes = 0;
    hasCopyEnd = false;
    expected = isBlobs ? "large object" : "chunk";
  }

  function beginChunk(size: number): void {
    if (size > 0) {
      rest = chunkBytes = size;
      blockBytes += size;
      expected = "inside a chunk";
    } else if (isLargeObjects) expected = "large object";
    else finish();
  }

  /** Counts the rows in a piece of a chunk of data, of which `rest` bytes are still to come. */
  function countRows(bytes: Buffer, from: number, to: number): void {
    if (chunks === "of any size") {
      rows += lineFeeds(bytes, from, to);
      seeEnd(bytes, from, to);
      return;
    }
    // Of a block's first chunk everything is looked at: only rows end in a line feed, and one inside
    // a value is written as \n. Of the others only those that are cut in two.
    const isSeen = chunks === undefined || to - from < chunkBytes;
    if (isSeen) {
      rowsInside += lineFeeds(bytes, from, to);
      seeEnd(bytes, from, to);
      if (rest > 0) return;
      chunks ??= rowsInside === 1 && bytes[to - 1] === lineFeed ? "of one row" : "of any size";
    }
    if (chunks === "of one row" && bytes[to - 1] === lineFeed) {
      hasCopyEnd = chunkBytes === copyEnd.length &&
        (isSeen ? tail.equals(copyEnd) : copyEnd.compare(bytes, from, to) === 0);
      rows += hasCopyEnd ? copyEndRows : 1;
    } else {
      // Not what a pg_dump that we know writes: from here on it is counted row by row.
      chunks = "of any size";
      if (!isSeen) {
        rowsInside = lineFeeds(bytes, from, to);
        seeEnd(bytes, from, to);
      }
      rows += rowsInside;
    }
    rowsInside = 0;
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
    const items = isLargeObjects ? objects : isRows ? copied : undefined;
    const bytes = isRows ? blockBytes - copyEnd.length : blockBytes;
    counts.set(entry!.dumpId, { items, bytes });
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
      if (expected !== "block" || headLength > 0) {
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

function lineFeeds(bytes: Buffer, from: number, to: number): number {
  // Or the search would go on behind it, for each of many pieces.
  const piece = bytes.subarray(from, to);
  let count = 0;
  for (let at = piece.indexOf(lineFeed); at >= 0; at = piece.indexOf(lineFeed, at + 1)) count++;
  return count;
}
