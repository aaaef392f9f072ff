import type { RetryOptions } from "../core/retry.ts";
import type { Runtime } from "../core/runtime.ts";

/** Tells the log of each try that failed and is made again. */
export function logRetry({ log }: Pick<Runtime, "log">): NonNullable<RetryOptions["onRetry"]> {
  return (error, waitMs) => {
    const message = error instanceof Error ? error.message : String(error);
    log.debug("{message}; next try in {waitMs} ms", { message, waitMs });
  };
}
