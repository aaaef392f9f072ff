import type { Storage } from "../contracts/storage.ts";
import { type Bytes, bytesOf } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { abortable, timed } from "../core/retry.ts";

// A put that is told to stop has this long to take back what it has sent.
const defaultGraceMs = 15_000;

/**
 * Wraps a storage so that a put which takes no more bytes is given up, and what feeds it is free to
 * go on with others. Only the time counts in which the storage has a chunk, or the whole body, and
 * does not ask for more; never that in which it waits for the next chunk, whoever holds that back.
 *
 * A put that is given up fails with BackupError `storage/stalled`.
 *
 * @param limitMs longest time that it may sit on one chunk
 * @param graceMs how long it may take to clean up after that, default 15,000
 */
export function withStallLimit(
  storage: Storage,
  limitMs: number,
  graceMs: number = defaultGraceMs,
): Storage {
  return {
    location: storage.location,
    async put(key, body, o) {
      const stall = new AbortController();
      const watched = watch(body instanceof Uint8Array ? bytesOf(body) : body, limitMs, () => {
        stall.abort(stalled(storage.location, key, limitMs));
      });
      const putting = storage.put(key, watched.bytes, {
        ...o,
        signal: AbortSignal.any([o.signal, stall.signal]),
      });
      try {
        return await abortable(putting, stall.signal);
      } catch (error) {
        if (!stall.signal.aborted || o.signal.aborted) throw error;
        // The others need not wait for the cleaning.
        await watched.leave();
        await timed(() => putting, graceMs, o.signal).catch(() => {});
        throw stall.signal.reason;
      } finally {
        watched.end();
      }
    },
    get: (key, o) => storage.get(key, o),
    stat: (key, o) => storage.stat(key, o),
    list: (prefix, o) => storage.list(prefix, o),
    delete: (key, o) => storage.delete(key, o),
    sweep: (prefix, o) => storage.sweep(prefix, o),
    close: () => storage.close(),
  };
}

interface Watched {
  readonly bytes: Bytes;
  /** Ends the body, on behalf of a storage that does not. */
  leave(): Promise<void>;
  /** Ends the watching. */
  end(): void;
}

/** Measures how long the consumer of a stream sits on each chunk, the first one being none. */
function watch(body: Bytes, limitMs: number, onStall: () => void): Watched {
  const source = body[Symbol.asyncIterator]();
  let heldSince: number | undefined = performance.now();
  const timer = setInterval(() => {
    if (heldSince !== undefined && performance.now() - heldSince >= limitMs) onStall();
  }, Math.max(10, Math.min(1_000, limitMs / 4)));

  async function next(): Promise<IteratorResult<Uint8Array>> {
    heldSince = undefined;
    try {
      return await source.next();
    } finally {
      heldSince = performance.now();
    }
  }

  async function leave(): Promise<IteratorResult<Uint8Array>> {
    await source.return?.();
    return { done: true, value: undefined };
  }

  return {
    bytes: { [Symbol.asyncIterator]: () => ({ next, return: leave }) },
    async leave() {
      await leave();
    },
    end: () => clearInterval(timer),
  };
}

function stalled(location: string, key: string, limitMs: number): BackupError {
  return new BackupError(
    "storage/stalled",
    `"${location}" took no byte of "${key}" for ${limitMs / 1_000} s`,
    { hint: "Look at the network and the store, or raise the job's destinationStallTimeout." },
  );
}
