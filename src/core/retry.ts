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
  /** No new try begins once this many milliseconds have passed since the first failure. */
  readonly totalMs: number;
}

/** How long a store that does not answer is waited for. */
export interface Patience {
  /** Milliseconds since its first failure; default 300,000. */
  readonly retryMs?: number;
  /** True where a person waits for a look: it is told at once, and a try takes at most 10 s. */
  readonly isBrief?: boolean;
}

/** What is waited unless told otherwise: a store that is restarted, a line that is down. */
export const defaultRetryMs = 5 * 60_000;

/** For commands that only look: whoever calls them wants to know now. */
export const briefPatience: Patience = { retryMs: 5_000, isBrief: true };

/** Longest time in milliseconds of one try where the patience is brief. */
export const briefAttemptMs = 10_000;

/** How a store's requests are tried. */
export function retryPolicyOf(patience: Patience | undefined): RetryPolicy {
  const totalMs = patience?.retryMs ?? defaultRetryMs;
  return { attempts: Infinity, baseMs: 200, maxMs: Math.min(10_000, totalMs), totalMs };
}

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
  /** Told before each wait, also for how long it will be tried after that. */
  onRetry?(error: unknown, waitMs: number, leftMs: number): void;
  /** Makes the error that is thrown when it was tried for `triedMs`, in vain. Default: the last. */
  onGivenUp?(error: unknown, triedMs: number): unknown;
  /** Told of each try that ended well. */
  onAnswer?(): void;
  /** Told when a try takes longer than `silenceMs`, and goes on. */
  onSilence?(): void;
  readonly silenceMs?: number;
}

/**
 * Tries something until it works, waiting between the tries for a random time under a bound that
 * doubles ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
 *
 * @param attempt gets a signal that aborts with the caller's or when the try has stalled, and which
 * try this is, from 1. A try that does not end then is left behind.
 * @throws the last try's error, as it is or as `o.onGivenUp` makes it; the signal's reason; BackupError `storage/unavailable` when
 * the last try stalled
 */
export async function withRetry<T>(
  attempt: (signal: AbortSignal, nth: number) => Promise<T>,
  o: RetryOptions,
): Promise<T> {
  let failingSince: number | undefined;
  for (let nth = 1;; nth++) {
    o.signal.throwIfAborted();
    const startedAt = o.runtime.now().getTime();
    const silent = o.onSilence === undefined || o.silenceMs === undefined
      ? undefined
      : setTimeout(o.onSilence, o.silenceMs);
    try {
      const result = await timed((signal) => attempt(signal, nth), o.attemptTimeoutMs, o.signal);
      o.onAnswer?.();
      return result;
    } catch (error) {
      if (o.signal.aborted) throw o.signal.reason;
      const isStalled = error instanceof StalledError;
      const verdict = isStalled ? "retry" : o.judge(error);
      const waitMs = waitAfter(verdict, nth, o);
      const now = o.runtime.now().getTime();
      // Whatever moved before it failed was no outage; a silence was one from its start.
      failingSince ??= isStalled ? startedAt : now;
      const leftMs = o.policy.totalMs - (now - failingSince);
      if (waitMs === undefined || nth >= o.policy.attempts) throw error;
      if (waitMs > leftMs) throw o.onGivenUp?.(error, now - failingSince) ?? error;
      o.onRetry?.(error, waitMs, leftMs);
      await sleep(waitMs, o.signal);
    } finally {
      clearTimeout(silent);
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
