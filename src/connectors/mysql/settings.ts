import { Buffer } from "node:buffer";
import type { Bytes } from "../../core/bytes.ts";

// The lines with settings are among the first of a dump.
const headBytes = 1024 * 1024;

/**
 * Lets a dump's dates come back as they were dumped: under the mode that the tools set, a date such
 * as 2023-02-31, which ALLOW_INVALID_DATES lets in, becomes 0000-00-00.
 */
export function keepDates(bytes: Bytes): Bytes {
  return withSetting(
    bytes,
    "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'",
    "SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
  );
}

/**
 * Lets foreign keys come back that lead to a key which is not unique: MariaDB and older MySQL have
 * them, and MySQL since 8.4 refuses to make them unless a session asks for it (ERROR 6125).
 */
export function keepOldKeys(bytes: Bytes): Bytes {
  return withSetting(
    bytes,
    "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES",
    "/*!80400 SET SESSION restrict_fk_on_non_standard_key=0 */;\n" +
      "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES",
  );
}

/**
 * Lets each statement fail alone: with its unique checks off, MariaDB loads an empty table in bulk, and
 * a row that is twice there takes the rows of all statements along (ERROR 1180).
 */
export function checkUnique(bytes: Bytes): Bytes {
  return withSetting(bytes, "UNIQUE_CHECKS=0", "UNIQUE_CHECKS=1");
}

async function* withSetting(bytes: Bytes, from: string, to: string): Bytes {
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
    const at = whole.indexOf(from);
    if (at < 0 && length < headBytes) continue;
    yield* at < 0 ? [whole] : patched(whole, at, from, to);
    head = undefined;
  }
  if (head !== undefined) yield Buffer.concat(head);
}

function patched(head: Uint8Array, at: number, from: string, to: string): Uint8Array[] {
  return [head.subarray(0, at), Buffer.from(to), head.subarray(at + from.length)];
}
