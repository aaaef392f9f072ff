import { Buffer } from "node:buffer";
import type { Bytes } from "../../../core/bytes.ts";

/** Where of a log a line of mysqlbinlog's output is from. */
export interface LinePlace {
  /** The file, counted from 0 in the order of their descriptions. */
  readonly file: number;
  /** Where the event ends in it. */
  readonly end: number;
}

/** Follows mysqlbinlog's output, for what the client says of a line. */
export interface LineIndex {
  /** Passes the output on. */
  watch(output: Bytes): Bytes;
  /** The event that a line, from 1, belongs to; undefined for one that is long gone. */
  placeOf(line: number): LinePlace | undefined;
}

// The client is behind by what pipes and its own buffer hold, far less than this.
const keptEvents = 50_000;

const remark = Buffer.from("\n#");
const newline = 0x0a;

/** Makes an index. */
export function createLineIndex(): LineIndex {
  let events: (LinePlace & { readonly line: number })[] = [];
  let line = 1;
  let file = -1;
  /** The end of a chunk that a remark may begin in, from a newline on. */
  let rest: Buffer = Buffer.alloc(0);

  function take(text: Buffer): void {
    let counted = 0;
    for (let at = text.indexOf(remark); at >= 0; at = text.indexOf(remark, at + 1)) {
      const end = text.indexOf(newline, at + 1);
      if (end < 0) break;
      line += newlines(text, counted, at + 1);
      counted = at + 1;
      // #261128 18:25:08 server id 101  end_log_pos 435 CRC32 0x…  Start: binlog v 4
      const words = text.toString("latin1", at + 1, Math.min(end, at + 300));
      const found = / end_log_pos (\d+) /.exec(words)?.[1];
      if (found === undefined) continue;
      if (/\sStart: binlog /.test(words)) file++;
      events.push({ line, file, end: Number(found) });
      if (events.length >= 2 * keptEvents) events = events.slice(-keptEvents);
    }
    line += newlines(text, counted, text.length);
  }

  return {
    async *watch(output) {
      for await (const chunk of output) {
        const bytes = Buffer.concat([rest, chunk]);
        const cut = bytes.lastIndexOf(newline);
        if (cut > 0) take(bytes.subarray(0, cut));
        rest = bytes.subarray(Math.max(0, cut));
        yield chunk;
      }
    },
    placeOf: (wanted) => events.findLast((one) => one.line <= wanted),
  };
}

function newlines(text: Buffer, from: number, to: number): number {
  let count = 0;
  for (
    let at = text.indexOf(newline, from);
    at >= 0 && at < to;
    at = text.indexOf(newline, at + 1)
  ) {
    count++;
  }
  return count;
}
