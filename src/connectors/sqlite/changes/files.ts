import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../../core/bytes.ts";

/** How much is read, or handed on, at once. */
export const bytesAtOnce = 1024 * 1024;

/** Fills the buffer from a place of a file, or as much of it as there is. */
export async function readAt(
  file: FileHandle,
  buffer: Uint8Array,
  at: number,
): Promise<Uint8Array> {
  let filled = 0;
  while (filled < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** Writes all of some bytes at a place of a file. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    const rest = bytes.subarray(written);
    written += (await file.write(rest, 0, rest.byteLength, at + written)).bytesWritten;
  }
}

/**
 * Reads pieces of a file that lie near one another, in order, in few reads. A piece is at most
 * {@link bytesAtOnce} long, shorter at the file's end, and valid until the next is read.
 */
export function openWindow(file: FileHandle): (at: number, length: number) => Promise<Uint8Array> {
  const buffer = new Uint8Array(bytesAtOnce);
  let start = 0;
  let window: Uint8Array = buffer.subarray(0, 0);
  return async (at, length) => {
    if (at < start || at + length > start + window.byteLength) {
      [start, window] = [at, await readAt(file, buffer, at)];
    }
    return window.subarray(at - start, at - start + length);
  };
}

/** The same bytes in few chunks, where they come in many small ones. */
export async function* joined(bytes: Bytes): Bytes {
  const buffer = new Uint8Array(bytesAtOnce / 4);
  let filled = 0;
  for await (const chunk of bytes) {
    for (let taken = 0; taken < chunk.byteLength;) {
      const some = chunk.subarray(taken, taken + buffer.byteLength - filled);
      buffer.set(some, filled);
      filled += some.byteLength;
      taken += some.byteLength;
      if (filled < buffer.byteLength) break;
      yield buffer;
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
