import { setTimeout as pause } from "node:timers/promises";
import { BackupError } from "./errors.ts";
import type { Runtime } from "./runtime.ts";

/** How long and how often something is tried. */
export interface RetryPolicy {
  /** The most times it is tried, the first one included. */
  readonly attempts: number;
  /** Upper bound of the first wait in milliseconds; it doubles with each further one. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly maxMs: number;
  /** No new try begins once this many milliseconds have passed since the first. */
  readonly totalMs: number;
}

/** What storages use unless told otherwise: rides out some minutes without a network. */
export const defaultRetryPolicy: RetryPolicy = {
  attempts: 10,
  baseMs: 200,
  maxMs: 20_000,
  totalMs: 5 * 60_000,
};

/** What is to be done about a failed try. */
export type Verdict =
  /** No other try could end differently. */
  | "final"
  | "retry"
  /** The server said how long to wait (`Retry-After`); the wait is at least this. */
  | { readonly afterMs: number };

/** Options of {@link withRetry}. */
export interface RetryOptions {
  readonly signal: AbortSignal;
  readonly runtime: Pick<Runtime, "now" | "random">;
  readonly policy: RetryPolicy;
  /** Says of an error whether it is worth another try. Each driver knows its own errors. */
  judge(error: unknown): Verdict;
  /** A try that takes longer is stalled: it is aborted, and tried again. Absent: no limit. */
  readonly attemptTimeoutMs?: number;
  /** Told before each wait, for the log. */
  onRetry?(error: unknown, waitMs: number): void;
}

/**
 * Tries something until it works, waiting between the tries for a random time under a bound that
 * doubles ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
 *
 * @param attempt gets a signal that aborts with the caller's or when the try has stalled, and which
 * try this is, from 1. A try that does not end then is left behind.
 * @throws the last try's error as it is; the signal's reason; BackupError `storage/unavailable` when
 * the last try stalled
 */
export async function withRetry<T>(
  attempt: (signal: AbortSignal, nth: number) => Promise<T>,
  o: RetryOptions,
): Promise<T> {
  const startedAt = o.runtime.now().getTime();
  for (let nth = 1;; nth++) {
    o.signal.throwIfAborted();
    try {
      return await timed((signal) => attempt(signal, nth), o.attemptTimeoutMs, o.signal);
    } catch (error) {
      if (o.signal.aborted) throw o.signal.reason;
      const verdict = error instanceof StalledError ? "retry" : o.judge(error);
      const waitMs = waitAfter(verdict, nth, o);
      const passedMs = o.runtime.now().getTime() - startedAt;
      if (
        waitMs === undefined || nth >= o.policy.attempts || passedMs + waitMs > o.policy.totalMs
      ) {
        throw error;
      }
      o.onRetry?.(error, waitMs);
      await sleep(waitMs, o.signal);
    }
  }
}

/**
 * Runs something under a signal that aborts with the given one or after `timeoutMs`, and waits no
 * longer than that for it to end.
 *
 * @param late makes the error when the time is over; default `storage/unavailable`
 * @throws that error; the signal's reason
 */
export async function timed<T>(
  run: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number | undefined,
  signal: AbortSignal,
  late: (timeoutMs: number) => BackupError = (ms) => new StalledError(ms),
): Promise<T> {
  signal.throwIfAborted();
  // Linked by hand: this runs for every chunk of a read, and AbortSignal.any leaves its links to
  // the garbage collector.
  const ending = new AbortController();
  const abort = () => ending.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const timer = timeoutMs === undefined
    ? undefined
    : setTimeout(() => ending.abort(late(timeoutMs)), timeoutMs);
  try {
    return await abortable(run(ending.signal), ending.signal);
  } catch (error) {
    // Drivers dress an abort up as an error of their own.
    throw ending.signal.aborted ? ending.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

/** Settles as the promise does, or rejects with the signal's reason if that comes first. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  // When the signal wins, nobody hears what the promise says later.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Waits until a promise is settled, whichever way, but no longer than this. */
export async function settled(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([promise.then(() => {}, () => {}), late]);
  clearTimeout(timer);
}

/** Waits; an abort ends it with the signal's reason. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch((error) => {
    throw signal.aborted ? signal.reason : error;
  });
}

/**
 * How long an HTTP answer's `Retry-After` asks to wait, in seconds or as a date; undefined when it
 * says nothing that can be read.
 */
export function retryAfterMs(header: string | undefined, now: Date): number | undefined {
  if (header === undefined || header.trim() === "") return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now.getTime();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** A try that took too long. A class of its own, because it is always worth another try. */
class StalledError extends BackupError {
  constructor(timeoutMs: number) {
    super("storage/unavailable", `The server gave no answer within ${timeoutMs / 1000} s`, {
      hint: "Look at the network and at the server, then run again.",
    });
  }
}

function waitAfter(verdict: Verdict, nth: number, o: RetryOptions): number | undefined {
  if (verdict === "final") return undefined;
  const bound = Math.min(o.policy.maxMs, o.policy.baseMs * 2 ** (nth - 1));
  const jitter = Math.floor(bound * unitInterval(o.runtime));
  return verdict === "retry" ? jitter : verdict.afterMs + jitter;
}

/** A random number from 0 up to but not including 1. */
function unitInterval(runtime: Pick<Runtime, "random">): number {
  const bytes = runtime.random(4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) / 2 ** 32;
}
