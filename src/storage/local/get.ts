import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { Abortable, ByteRange, Bytes } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { storageError } from "./errors.ts";
import { assertInside } from "./folders.ts";
import { partsOf } from "./key.ts";

const mostBufferBytes = 1024 * 1024;

/** Streams a file, one read ahead of the consumer. A range beyond the end gives what there is. */
export async function* getObject(
  root: string,
  key: string,
  o: Abortable & { range?: ByteRange },
): Bytes {
  const parts = partsOf(key);
  const path = join(root, ...parts);
  o.signal.throwIfAborted();
  const { handle, length } = await openFile(root, parts, path);
  try {
    // A manifest needs no more than its own length: of ten thousand, whole buffers pile up.
    const bufferBytes = Math.max(1, Math.min(mostBufferBytes, length));
    yield* readAhead(handle, { ...o.range ?? { start: 0 }, bufferBytes }, o.signal);
  } catch (error) {
    throw await storageError(error, "read", path);
  } finally {
    await handle.close();
  }
}

async function openFile(
  root: string,
  parts: readonly string[],
  path: string,
): Promise<{ readonly handle: FileHandle; readonly length: number }> {
  let handle: FileHandle | undefined;
  try {
    await assertInside(root, parts.slice(0, -1));
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    const info = await handle.stat();
    if (info.isFile()) return { handle, length: info.size };
    throw new BackupError("storage/not-found", `Cannot read "${path}": it is not a file`);
  } catch (error) {
    await handle?.close();
    throw await storageError(error, "read", path);
  }
}

async function* readAhead(
  handle: FileHandle,
  { bufferBytes, ...range }: ByteRange & { readonly bufferBytes: number },
  signal: AbortSignal,
): Bytes {
  const buffers = [new Uint8Array(bufferBytes), new Uint8Array(bufferBytes)];
  const after = range.end === undefined ? Infinity : range.end + 1;
  let position = range.start;
  let current = 0;

  function read(): Promise<Uint8Array> {
    const buffer = buffers[current]!;
    current = 1 - current;
    const wanted = Math.max(0, Math.min(bufferBytes, after - position));
    const reading = wanted === 0
      ? Promise.resolve(buffer.subarray(0, 0))
      : handle.read(buffer, 0, wanted, position).then(({ bytesRead }) => {
        position += bytesRead;
        return buffer.subarray(0, bytesRead);
      });
    // Its error is thrown when its turn comes; until then it is not an unhandled one.
    reading.catch(() => {});
    return reading;
  }

  let next = read();
  try {
    while (true) {
      const chunk = await next;
      signal.throwIfAborted();
      if (chunk.byteLength === 0) return;
      next = read();
      yield chunk;
    }
  } finally {
    // The handle is closed next: nothing may still be reading from it.
    await next.catch(() => {});
  }
}
