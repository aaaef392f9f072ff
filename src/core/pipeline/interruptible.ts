import type { Bytes } from "../bytes.ts";
import { abortable } from "../retry.ts";

/**
 * Passes a stream on until the signal aborts, and then ends with the signal's reason at once, whether
 * its source hears the signal or not. A source that hangs is left behind.
 */
export function interruptible(source: Bytes, signal: AbortSignal): Bytes {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]();
      let isPending = false;
      return {
        async next() {
          isPending = true;
          const result = await abortable(iterator.next(), signal);
          isPending = false;
          return result;
        },
        async return() {
          const returning = Promise.resolve(iterator.return?.());
          returning.catch(() => {});
          // One that is asked for a chunk ends only after that chunk, which may never come.
          if (!isPending) await abortable(returning, signal).catch(() => {});
          return { done: true, value: undefined };
        },
      };
    },
  };
}
