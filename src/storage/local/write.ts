import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";

// Large enough that the calls cost nothing beside the copying; see the measurements in FORMAT.md's
// neighbour tests/storage. Two of them: one is written while the other fills.
const bufferBytes = 1024 * 1024;

/**
 * Writes a stream to a file from its start, gathering small chunks, with one write under way while
 * the next buffer fills.
 *
 * @returns how many bytes were written
 */
export async function writeAll(
  handle: FileHandle,
  body: Bytes,
  signal: AbortSignal,
): Promise<number> {
  const buffers = [new Uint8Array(bufferBytes), new Uint8Array(bufferBytes)];
  let current = 0;
  let length = 0;
  let position = 0;
  let underWay: Promise<void> = Promise.resolve();

  async function flush(): Promise<void> {
    await underWay;
    signal.throwIfAborted();
    underWay = writeFully(handle, buffers[current]!.subarray(0, length), position);
    // Its error is thrown by the next flush; until then it is not an unhandled one.
    underWay.catch(() => {});
    position += length;
    length = 0;
    current = 1 - current;
  }

  try {
    for await (const chunk of body) {
      for (let offset = 0; offset < chunk.byteLength;) {
        const piece = chunk.subarray(offset, offset + bufferBytes - length);
        buffers[current]!.set(piece, length);
        length += piece.byteLength;
        offset += piece.byteLength;
        if (length === bufferBytes) await flush();
      }
    }
    await flush();
  } finally {
    // The handle is closed next: nothing may still be writing to it.
    await underWay.catch(() => {});
  }
  await underWay;
  return position;
}

/** A write may take fewer bytes than given, on a full disk or after a signal. */
async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength;) {
    const left = bytes.byteLength - offset;
    const { bytesWritten } = await handle.write(bytes, offset, left, position + offset);
    if (bytesWritten === 0) {
      throw new BackupError("storage/full", "The file system takes no more bytes", {
        hint: "Free some space, prune old backups or name another destination.",
      });
    }
    offset += bytesWritten;
  }
}
