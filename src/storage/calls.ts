import type { Abortable, ByteRange, Bytes } from "../core/bytes.ts";
import { type Patience, type RetryPolicy, retryPolicyOf, withRetry } from "../core/retry.ts";
import type { Runtime } from "../core/runtime.ts";
import { type OpenRead, readResumably } from "./read.ts";
import { createWaiting, type Told } from "./waiting.ts";

/** The one place where what is asked of a store over a network is asked again. */
export interface Calls {
  /**
   * Calls the store, again where that may help.
   *
   * @param run gets the signal that ends this try, and which it is, from 1
   * @throws the last error of `run`; BackupError `storage/unavailable`; the signal's reason
   */
  call<T>(run: (signal: AbortSignal, nth: number) => Promise<T>, o: CallOptions): Promise<T>;
  /**
   * Streams an object, again from where it broke off. See {@link readResumably}.
   *
   * @param open asks for the bytes from some place on
   * @param o.name for messages: `s3://bucket/key`
   */
  read(
    open: (
      from: ByteRange & { tag?: string },
      signal: AbortSignal,
    ) => Promise<OpenRead | undefined>,
    o: Abortable & { readonly range?: ByteRange; readonly name: string },
  ): Bytes;
  /** What a driver says of an error unless a call says otherwise. */
  readonly judge: Told["judge"];
}

/** Options of {@link Calls.call}. */
export interface CallOptions extends Abortable {
  /** How many bytes have to pass before the answer. */
  readonly bytes?: number | undefined;
  /** Longest time in milliseconds of one try, besides what its bytes take; default 60,000. */
  readonly timeoutMs?: number | undefined;
  /** Says of an error whether it is worth another try; default by its code. */
  readonly judge?: Told["judge"] | undefined;
}

/**
 * Makes the calls of one open store. The SDKs' own retrying is off: two layers of it would multiply.
 *
 * @param o.location for what people are told while it does not answer
 * @param o.policy default by the patience
 * @param o.timeoutMs longest time of any try and of a read without a byte, where it is set
 */
export function createCalls(o: {
  readonly location: string;
  readonly runtime: Pick<Runtime, "log" | "now" | "random">;
  readonly patience?: Patience | undefined;
  readonly policy?: RetryPolicy | undefined;
  readonly timeoutMs?: number | undefined;
}): Calls {
  const { runtime, policy = retryPolicyOf(o.patience) } = o;
  const waiting = createWaiting(o.location, o);
  return {
    call: (run, { signal, judge = waiting.told.judge, ...limits }) =>
      withRetry(run, { signal, runtime, policy, ...waiting.attempt(limits), judge }),
    read: (open, how) =>
      readResumably(open, {
        ...how,
        runtime,
        policy,
        ...waiting.told,
        stallMs: waiting.stallMs,
      }),
    judge: waiting.told.judge,
  };
}
