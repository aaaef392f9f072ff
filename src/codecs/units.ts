import { release } from "../core/memory.ts";
import { blocksAtOnce } from "./parallel.ts";

/** A piece of a compressed stream: one gzip member or one zstd frame. */
export type Unit =
  /** It is in memory and small: it is worked on while the next ones are read. */
  | { readonly type: "block"; readonly content: Promise<Uint8Array> }
  /** Of any size: it is read to its end before the next unit is asked for. */
  | { readonly type: "stream"; readonly content: AsyncIterable<Uint8Array> };

/** Yields the content of every unit in order, with several blocks under way at once. */
export async function* contentOf(units: AsyncIterable<Unit>): AsyncGenerator<Uint8Array> {
  const underWay: Promise<Uint8Array>[] = [];
  async function* oldest(): AsyncGenerator<Uint8Array> {
    const content = await underWay.shift()!;
    yield content;
    release(content);
  }
  for await (const unit of units) {
    if (unit.type === "stream") {
      while (underWay.length > 0) yield* oldest();
      yield* unit.content;
    } else {
      // Its error is thrown when its turn comes; until then it is not an unhandled one.
      unit.content.catch(() => {});
      underWay.push(unit.content);
      if (underWay.length >= blocksAtOnce) yield* oldest();
    }
  }
  while (underWay.length > 0) yield* oldest();
}

/** Buffers that are used again, each at least as large as asked for. */
export interface BufferPool {
  take(bytes: number): Uint8Array;
  give(buffer: Uint8Array): void;
}

/** Makes a {@link BufferPool}. */
export function createBufferPool(): BufferPool {
  const free: Uint8Array[] = [];
  return {
    take(bytes) {
      const index = free.findIndex((buffer) => buffer.byteLength >= bytes);
      if (index >= 0) return free.splice(index, 1)[0]!;
      free.shift();
      // Rounded up, so that blocks of about the same size can share.
      return new Uint8Array(Math.ceil(bytes / 262_144) * 262_144);
    },
    give: (buffer) => void free.push(buffer),
  };
}
