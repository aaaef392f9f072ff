import { Buffer } from "node:buffer";
import type { Bytes } from "../../core/bytes.ts";

// GTID sets of MySQL grow long in the head; the tail holds a few lines.
const keptBytes = 64 * 1024;
const tailBytes = 8 * 1024;

/** Keeps the beginning and the end of a stream, where a dump notes its position. */
export function createEnds() {
  const head = Buffer.alloc(keptBytes);
  let headLength = 0;
  let tail = Buffer.alloc(0);
  return {
    async *watch(bytes: Bytes, onFirst: () => void): Bytes {
      for await (const chunk of bytes) {
        if (headLength === 0) onFirst();
        if (headLength < keptBytes) {
          const part = chunk.subarray(0, keptBytes - headLength);
          head.set(part, headLength);
          headLength += part.length;
        }
        const end = chunk.subarray(-tailBytes);
        tail = Buffer.concat([tail, end]).subarray(-tailBytes);
        yield chunk;
      }
    },
    texts: (): [string, string] => [
      head.toString("utf8", 0, headLength),
      tail.toString("utf8"),
    ],
  };
}
