import type { Abortable, ByteRange, Bytes } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { type RetryOptions, type Verdict, withRetry } from "../core/retry.ts";

/** A store's answer to one ranged request. */
export interface OpenRead {
  /** What the answer brings. Ending its iteration closes the connection. */
  readonly bytes: Bytes;
  /** How many bytes it should bring, as the answer's head says. */
  readonly length: number;
  /** Names the version of the object, such as its ETag or generation. */
  readonly tag: string;
}

/** Options of {@link readResumably}. */
export interface ReadOptions
  extends Abortable, Pick<RetryOptions, "runtime" | "policy" | "judge" | "onRetry" | "onAnswer"> {
  readonly range?: ByteRange;
  /** For messages: `s3://bucket/key`. */
  readonly name: string;
  /** An answer that brings nothing for this long is stalled, and asked for anew. */
  readonly stallMs: number;
}

/**
 * Streams an object, or a range of it. A read that breaks, stalls or ends early is taken up where it
 * stopped, as long as the object is still the same version. The tries are counted anew after each
 * byte that came.
 *
 * @param open asks for the bytes from `from.start` on, of version `from.tag` when one is given
 * (`If-Match`); undefined when the object has no byte there. Its signal ends the answer, too.
 * @throws what `open` throws for good; BackupError `storage/failed` when the object has changed,
 * `storage/unavailable`; the signal's reason
 */
export async function* readResumably(
  open: (from: ByteRange & { tag?: string }, signal: AbortSignal) => Promise<OpenRead | undefined>,
  o: ReadOptions,
): Bytes {
  let position = o.range?.start ?? 0;
  const end = o.range?.end ?? Infinity;
  let tag: string | undefined;
  let read: Reading | undefined;

  /** The next chunk, out of the answer that is open or of a new one. */
  async function next(signal: AbortSignal, nth: number): Promise<Uint8Array | undefined> {
    if (nth > 1) await close();
    // The answer outlives this call: only its own end aborts it.
    read ??= await openReading(signal);
    return await read?.next();
  }

  async function openReading(signal: AbortSignal): Promise<Reading | undefined> {
    const life = createLife(o.signal);
    const abort = () => life.end(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      const from = {
        start: position,
        ...(end === Infinity ? {} : { end }),
        ...(tag === undefined ? {} : { tag }),
      };
      const answer = await open(from, life.signal);
      // This try may have been given up meanwhile.
      signal.throwIfAborted();
      if (answer === undefined) {
        life.end();
        return undefined;
      }
      if (tag !== undefined && answer.tag !== tag) throw new ChangedError(o.name);
      tag = answer.tag;
      return startReading(answer, life, o.name);
    } catch (error) {
      life.end();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  function judge(error: unknown): Verdict {
    if (error instanceof ShortError) return "retry";
    return error instanceof ChangedError ? "final" : o.judge(error);
  }

  async function close(): Promise<void> {
    const closing = read;
    read = undefined;
    await closing?.close();
  }

  try {
    while (position <= end) {
      const chunk = await withRetry(next, { ...o, judge, attemptTimeoutMs: o.stallMs });
      if (chunk === undefined) return;
      position += chunk.byteLength;
      yield chunk;
      if (read?.isDone() === true) return;
    }
  } finally {
    await close();
  }
}

/** How long one answer is read: until it is ended, or the reader's signal aborts. */
interface Life {
  readonly signal: AbortSignal;
  end(reason?: unknown): void;
}

/** Linked by hand, as each read has one and AbortSignal.any leaves its links to the collector. */
function createLife(whole: AbortSignal): Life {
  const life = new AbortController();
  const end = (reason?: unknown) => {
    whole.removeEventListener("abort", stop);
    life.abort(reason);
  };
  const stop = () => end(whole.reason);
  whole.addEventListener("abort", stop);
  if (whole.aborted) stop();
  return { signal: life.signal, end };
}

interface Reading {
  next(): Promise<Uint8Array | undefined>;
  /** True once all came that was announced. */
  isDone(): boolean;
  close(): Promise<void>;
}

function startReading(answer: OpenRead, life: Life, name: string): Reading {
  const source = answer.bytes[Symbol.asyncIterator]();
  let left = answer.length;
  let isAsking = false;

  async function ask(): Promise<IteratorResult<Uint8Array>> {
    isAsking = true;
    try {
      return await source.next();
    } finally {
      isAsking = false;
    }
  }

  return {
    async next() {
      while (left > 0) {
        const { done, value } = await ask();
        if (done) {
          throw new ShortError(name, left);
        }
        left -= value.byteLength;
        if (value.byteLength > 0) return value;
      }
      return undefined;
    },
    isDone: () => left <= 0,
    async close() {
      life.end();
      const closing = Promise.resolve(source.return?.()).catch(() => {});
      // One that hangs hears of its end only after that; do not wait for it.
      if (!isAsking) await closing;
    },
  };
}

/** An answer that ended before its announced length. */
class ShortError extends BackupError {
  constructor(name: string, missing: number) {
    super("storage/unavailable", `The answer for "${name}" ended ${missing} bytes early`, {
      hint: "Look at the network and at the server, then run again.",
    });
  }
}

/** The object is no longer the version whose first bytes were read. */
class ChangedError extends BackupError {
  constructor(name: string) {
    super("storage/failed", `The object "${name}" changed while it was read`, {
      hint: "dbbackup never rewrites an object; find out what else writes to this destination.",
    });
  }
}
