import { BackupError } from "../core/errors.ts";
import { briefAttemptMs, type Patience, type RetryOptions, type Verdict } from "../core/retry.ts";
import type { Runtime } from "../core/runtime.ts";
import { formatDuration } from "../core/text.ts";
import { verdictOf } from "./verdict.ts";

/** What {@link withRetry} is told of one store, so that people learn what is being waited for. */
export type Told = Required<Pick<RetryOptions, "judge" | "onRetry" | "onAnswer" | "onGivenUp">>;

/** The waiting for one store. */
export interface Waiting {
  readonly told: Told;
  /**
   * The limits of one try, and what is told of it.
   *
   * @param o.bytes how many have to pass before the answer
   * @param o.timeoutMs longest time without them, where the usual 60 s are too short
   */
  attempt(
    o?: { readonly bytes?: number | undefined; readonly timeoutMs?: number | undefined },
  ): Told & Pick<RetryOptions, "attemptTimeoutMs" | "onSilence" | "silenceMs">;
  /** Longest time in milliseconds that a read may be without a byte. */
  readonly stallMs: number;
}

// Stores fail a request now and then, which nobody needs to know.
const toldAfterMs = 3_000;
const toldAgainMs = 60_000;
// A call that brings no bytes is answered in less.
const silenceMs = 15_000;
const briefSilenceMs = 2_000;
// Enough for any answer without a body to speak of.
const callTimeoutMs = 60_000;
// A part gets longer: it may have to go through a line of half a megabit per second, thrice.
const slowestBytesPerMs = 50;
// For a name that never was known: until then it may be the name service that has just started.
const unknownHostMs = 10_000;

/**
 * Watches the tries of one open store. An outage is told on the log once it lasts, then once a minute,
 * and when it is over; to somebody who waits for a look at it, at once.
 */
export function createWaiting(
  location: string,
  { runtime: { log }, patience, timeoutMs }: {
    readonly runtime: Pick<Runtime, "log">;
    readonly patience?: Patience | undefined;
    /** Longest time in milliseconds of any try and of a read without a byte, where it is set. */
    readonly timeoutMs?: number | undefined;
  },
): Waiting {
  const isBrief = patience?.isBrief === true;
  let hasAnswered = false;
  let failingSince: number | undefined;
  let toldAt: number | undefined;

  function onSilence(): void {
    if (toldAt !== undefined) return;
    toldAt = performance.now();
    log.warn("Waiting for {location}, which has not answered yet", { location });
  }

  const longestMs = isBrief ? briefAttemptMs : Infinity;
  const told: Told = {
    judge(error): Verdict {
      const isUnknown = error instanceof BackupError && error.details?.["isUnknownHost"] === true;
      const passedMs = failingSince === undefined ? 0 : performance.now() - failingSince;
      if (isUnknown && !hasAnswered && passedMs >= unknownHostMs) return "final";
      return verdictOf(error);
    },
    onRetry(error, waitMs, leftMs) {
      const message = error instanceof Error ? error.message : String(error);
      log.debug("{message}; next try in {waitMs} ms", { message, waitMs });
      const now = performance.now();
      failingSince ??= now;
      if (!isBrief && now - failingSince < toldAfterMs) return;
      if (toldAt !== undefined && now - toldAt < toldAgainMs) return;
      toldAt = now;
      log.warn("Waiting for {location}, for up to {left} more: {message}", {
        location,
        left: formatDuration(leftMs),
        message,
      });
    },
    onGivenUp(error, triedMs) {
      // Who only looks has no setting for it.
      if (isBrief || !(error instanceof BackupError)) return error;
      const { code, message, hint, details } = error;
      return new BackupError(code, `${message} (tried for ${formatDuration(triedMs)})`, {
        cause: error,
        hint: `${hint === undefined ? "" : `${hint} `}How long it is tried is the job's ` +
          "retryTimeout, or --retry-timeout.",
        ...(details === undefined ? {} : { details }),
      });
    },
    onAnswer() {
      hasAnswered = true;
      if (failingSince === undefined && toldAt === undefined) return;
      if (toldAt !== undefined) log.info("{location} answers again", { location });
      failingSince = undefined;
      toldAt = undefined;
    },
  };

  return {
    told,
    attempt(o = {}) {
      const passingMs = (o.bytes ?? 0) / slowestBytesPerMs;
      const usualMs = (o.timeoutMs ?? callTimeoutMs) + passingMs;
      return {
        ...told,
        onSilence,
        silenceMs: isBrief ? briefSilenceMs : silenceMs + passingMs,
        attemptTimeoutMs: timeoutMs ?? Math.min(longestMs, usualMs),
      };
    },
    stallMs: timeoutMs ?? Math.min(longestMs, callTimeoutMs),
  };
}
