import { Buffer } from "node:buffer";
import type { Bytes } from "../../core/bytes.ts";

const plainMode = "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'";
const ourMode = "SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";
// The line is among the first of a dump, behind MySQL's list of GTIDs at most.
const headBytes = 1024 * 1024;

/**
 * Lets a dump's dates come back as they were dumped: under the mode that the tools set, a date such
 * as 2023-02-31, which ALLOW_INVALID_DATES lets in, becomes 0000-00-00.
 */
export async function* keepDates(bytes: Bytes): Bytes {
  let head: Uint8Array[] | undefined = [];
  let length = 0;
  for await (const chunk of bytes) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    // Not slice(): a Buffer shares its memory with what that returns.
    head.push(new Uint8Array(chunk));
    length += chunk.byteLength;
    const whole = Buffer.concat(head);
    const at = whole.indexOf(plainMode);
    if (at < 0 && length < headBytes) continue;
    yield* patched(whole, at);
    head = undefined;
  }
  if (head !== undefined) yield Buffer.concat(head);
}

function patched(head: Uint8Array, at: number): Uint8Array[] {
  if (at < 0) return [head];
  return [
    head.subarray(0, at),
    Buffer.from(ourMode),
    head.subarray(at + plainMode.length),
  ];
}
