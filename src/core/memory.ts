import { bun } from "./bun.ts";

// Measured on 1 GB of SQL text: a collection every 32 MiB costs no time that can be measured, one
// every 16 MiB does; every 64 MiB, an upload that is not compressed peaks 10 MiB higher.
const collectEveryBytes = 32 * 1024 * 1024;

/**
 * Keeps memory flat under a stream: told of bytes as they pass, it has the garbage collected now and
 * then. The buffers that libraries return live outside the heap, where the collector does not see
 * how large they are, and would pile up.
 */
export function createCollector(): (chunk: Uint8Array) => void {
  let passed = 0;
  return (chunk) => {
    passed += chunk.byteLength;
    if (passed < collectEveryBytes) return;
    passed = 0;
    bun?.gc(true);
  };
}

/**
 * Gives the memory of a chunk back at once, instead of at the next collection: for producers of
 * chunks that are fresh each time, once the consumer has asked for the next. The chunk is empty from
 * then on. One that is only a part of its buffer is left alone, for the rest may be in use.
 *
 * Measured on 1 GB from a child's output: a peak of 50 MB instead of 80, and less time.
 */
export function release(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}
