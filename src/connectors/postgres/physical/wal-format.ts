import { Buffer } from "node:buffer";
import type { ArtifactFormat, Walker } from "../../../contracts/format.ts";
import { BackupError } from "../../../core/errors.ts";
import { tarReader } from "../../../core/tar.ts";
import { parseSegmentName } from "./lsn.ts";

/**
 * A piece of the write-ahead log: whole segments in order, in a tar, under the names that PostgreSQL
 * gives them. What has not been written yet of the last one is zeros.
 */
export const walFormat: ArtifactFormat = { id: "pgwal", suffix: "tar", walk: walkWal };

/** The start of a page (XLogPageHeaderData), and what the first page of a segment has more. */
const pageHeadBytes = 24;
const longHeadBytes = 40;
const firstPageFlag = 0x0002;

interface Segment {
  readonly name: string;
  readonly timeline: number;
  readonly start: bigint;
  readonly bytes: number;
}

/**
 * Every page says where in the log it is; one segment follows the other, all of one server. Pages are
 * of zeros only at the end of a segment.
 */
function walkWal(): Walker {
  const reader = tarReader();
  const head = Buffer.alloc(longHeadBytes);
  let segment: Segment | undefined;
  let before: Segment | undefined;
  let system: bigint | undefined;
  let pageBytes = 0;
  let at = 0;
  let isOver = false;

  function begin(name: string, bytes: number): void {
    const known = parseSegmentName(name, bytes);
    const isSize = bytes >= 1024 * 1024 && (bytes & (bytes - 1)) === 0;
    if (known === undefined || !isSize) throw broken(`"${name}" is no segment of the log`);
    if (before !== undefined && known.start !== before.start + BigInt(before.bytes)) {
      throw broken(`"${name}" does not follow "${before.name}"`);
    }
    segment = { name, bytes, ...known };
    [at, isOver, pageBytes] = [0, false, 0];
  }

  function take(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.byteLength;) {
      const inPage = pageBytes === 0 ? at : at % pageBytes;
      // How large pages are stands in the first one's head.
      const wanted = at < longHeadBytes ? longHeadBytes : pageHeadBytes;
      if (inPage < wanted) {
        const part = chunk.subarray(from, from + wanted - inPage);
        head.set(part, inPage);
        at += part.byteLength;
        from += part.byteLength;
        if (inPage + part.byteLength === wanted) checkPage();
      } else {
        const part = Math.min(pageBytes - inPage, chunk.byteLength - from);
        at += part;
        from += part;
      }
    }
  }

  function checkPage(): void {
    const { name, start, timeline, bytes } = segment!;
    const isFirst = at === longHeadBytes;
    const offset = at - (isFirst ? longHeadBytes : pageHeadBytes);
    if (head.subarray(0, pageHeadBytes).every((byte) => byte === 0) && !isFirst) {
      isOver = true;
      return;
    }
    const isRight = !isOver && head.readUInt16LE(0) !== 0 &&
      head.readUInt32LE(4) <= timeline && head.readBigUInt64LE(8) === start + BigInt(offset);
    if (!isRight) throw broken(`"${name}" has a wrong page at byte ${offset}`);
    if (!isFirst) return;
    const server = head.readBigUInt64LE(24);
    const isWhole = (head.readUInt16LE(2) & firstPageFlag) !== 0 &&
      head.readUInt32LE(32) === bytes && head.readUInt32LE(36) >= 1024;
    if (!isWhole) throw broken(`"${name}" does not begin as a segment does`);
    if (system !== undefined && server !== system) throw broken(`"${name}" is of another server`);
    system = server;
    pageBytes = head.readUInt32LE(36);
  }

  return {
    push(chunk) {
      for (const event of reader.push(chunk)) {
        if (event.type === "entry") begin(event.entry.name, event.entry.bytes);
        else if (event.type === "data") take(event.chunk);
        else before = segment;
      }
    },
    end() {
      reader.end();
      return { databases: [] };
    },
  };
}

function broken(what: string): BackupError {
  return new BackupError("verification/structure", `The write-ahead log is damaged: ${what}`, {
    hint: "Restore to a moment before it, and take a new full backup.",
  });
}
