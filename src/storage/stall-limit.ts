import type { ObjectInfo, Storage } from "../contracts/storage.ts";
import { type Bytes, bytesOf } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { abortable, settled, timed } from "../core/retry.ts";

// A put that is told to stop has this long to take back what it has sent, and a storage to close.
const defaultGraceMs = 15_000;

/**
 * Wraps a storage so that no call of it holds anybody up for longer than its limit: each ends with
 * the signal's reason as soon as that aborts, or fails with BackupError `storage/stalled`, whether
 * the storage hears the signal or not.
 *
 * Of a put, only the time counts in which the storage has a chunk, or the whole body, and does not
 * ask for more; never that in which it waits for the next chunk, whoever holds that back. Of a read or
 * a list, only that in which the storage is asked for the next piece.
 *
 * @param limitMs longest time that it may sit on one thing
 * @param graceMs how long a put may take to clean up after that, default 15,000
 */
export function withStallLimit(
  storage: Storage,
  limitMs: number,
  graceMs: number = defaultGraceMs,
): Storage {
  const { location } = storage;
  const limited = <T>(
    what: string,
    run: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ) => timed(run, limitMs, signal, (ms) => silent(location, what, ms));

  async function* pulled<T>(
    what: string,
    open: (signal: AbortSignal) => AsyncIterable<T>,
    outer: AbortSignal,
  ): AsyncGenerator<T> {
    outer.throwIfAborted();
    const ending = new AbortController();
    // Linked and timed once, and not for each piece: a list has tens of thousands.
    let pending: { readonly since: number; readonly fail: (reason: unknown) => void } | undefined;
    const abort = () => {
      ending.abort(outer.reason);
      pending?.fail(outer.reason);
    };
    outer.addEventListener("abort", abort, { once: true });
    let timer = setTimeout(watch, limitMs);
    function watch(): void {
      const leftMs = pending === undefined
        ? limitMs
        : limitMs - (performance.now() - pending.since);
      if (leftMs <= 0) pending?.fail(silent(location, what, limitMs));
      else timer = setTimeout(watch, leftMs);
    }
    const iterator = open(ending.signal)[Symbol.asyncIterator]();
    const ask = () =>
      new Promise<IteratorResult<T>>((settle, fail) => {
        pending = { since: performance.now(), fail };
        iterator.next().then(settle, fail);
      });
    try {
      for (;;) {
        const next = await ask();
        pending = undefined;
        outer.throwIfAborted();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      clearTimeout(timer);
      outer.removeEventListener("abort", abort);
      // One that still owes a piece ends only after it, which may never come.
      if (pending !== undefined) ending.abort(outer.reason);
      const returning = Promise.resolve(iterator.return?.());
      returning.catch(() => {});
      if (pending === undefined) await settled(returning, graceMs);
    }
  }

  async function put(
    key: string,
    body: Bytes | Uint8Array,
    o: Parameters<Storage["put"]>[2],
  ): Promise<ObjectInfo> {
    o.signal.throwIfAborted();
    const ending = new AbortController();
    const abort = () => ending.abort(o.signal.reason);
    o.signal.addEventListener("abort", abort, { once: true });
    const watched = watch(body instanceof Uint8Array ? bytesOf(body) : body, limitMs, () => {
      ending.abort(stalled(location, key, limitMs));
    });
    const putting = started(() => storage.put(key, watched.bytes, { ...o, signal: ending.signal }));
    try {
      return await abortable(putting, ending.signal);
    } catch (error) {
      if (!ending.signal.aborted) throw error;
      // What feeds it, and the others, need not wait for the cleaning.
      await watched.leave(ending.signal.reason, graceMs);
      await settled(putting, graceMs);
      // What was acknowledged is there, though nobody waited for it any more.
      if (watched.isRead()) return await abortable(putting, ending.signal);
      throw ending.signal.reason;
    } finally {
      watched.end();
      o.signal.removeEventListener("abort", abort);
    }
  }

  return {
    location,
    ...(storage.hasOwnClock === undefined ? {} : { hasOwnClock: storage.hasOwnClock }),
    ...(storage.place === undefined ? {} : { place: storage.place }),
    ...(storage.partBytes === undefined ? {} : { partBytes: storage.partBytes }),
    ...(storage.remarks === undefined ? {} : { remarks: storage.remarks }),
    put,
    get: (key, o) =>
      pulled(`read "${key}"`, (signal) => storage.get(key, { ...o, signal }), o.signal),
    list: (prefix, o) =>
      pulled(`list "${prefix}"`, (signal) => storage.list(prefix, { ...o, signal }), o.signal),
    stat: (key, o) =>
      limited(`look up "${key}"`, (signal) => storage.stat(key, { ...o, signal }), o.signal),
    delete: (key, o) =>
      limited(`delete "${key}"`, (signal) => storage.delete(key, { ...o, signal }), o.signal),
    sweep: (prefix, o) =>
      limited(`sweep "${prefix}"`, (signal) => storage.sweep(prefix, { ...o, signal }), o.signal),
    async close() {
      await settled(started(() => storage.close()), graceMs);
    },
  };
}

/** A promise of it, also where it throws at once. */
async function started<T>(run: () => Promise<T>): Promise<T> {
  return await run();
}

interface Watched {
  readonly bytes: Bytes;
  /**
   * Breaks the body off, on behalf of a storage that does not, and waits no longer than this for it.
   * Its reader gets the reason, never an end that could be taken for the body's own.
   */
  leave(reason: unknown, timeoutMs: number): Promise<void>;
  /** Whether its reader has seen its end. */
  isRead(): boolean;
  /** Ends the watching. */
  end(): void;
}

/** Measures how long the consumer of a stream sits on each chunk, the first one being none. */
function watch(body: Bytes, limitMs: number, onStall: () => void): Watched {
  const source = body[Symbol.asyncIterator]();
  let heldSince: number | undefined = performance.now();
  const breaking = new AbortController();
  let isRead = false;
  const timer = setInterval(() => {
    if (heldSince !== undefined && performance.now() - heldSince >= limitMs) onStall();
  }, Math.max(10, Math.min(1_000, limitMs / 4)));

  async function next(): Promise<IteratorResult<Uint8Array>> {
    breaking.signal.throwIfAborted();
    heldSince = undefined;
    try {
      const result = await source.next();
      breaking.signal.throwIfAborted();
      isRead ||= result.done === true;
      return result;
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
    async leave(reason, timeoutMs) {
      breaking.abort(reason);
      await settled(leave(), timeoutMs);
    },
    isRead: () => isRead,
    end: () => clearInterval(timer),
  };
}

const hint = "Look at the network and the store, or raise the job's destinationStallTimeout.";

function stalled(location: string, key: string, limitMs: number): BackupError {
  const message = `"${location}" took no byte of "${key}" for ${limitMs / 1_000} s`;
  return new BackupError("storage/stalled", message, { hint });
}

function silent(location: string, what: string, limitMs: number): BackupError {
  const message = `"${location}" was asked to ${what} and has not answered for ${
    limitMs / 1_000
  } s`;
  return new BackupError("storage/stalled", message, { hint });
}
