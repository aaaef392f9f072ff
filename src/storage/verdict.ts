import { BackupError } from "../core/errors.ts";
import type { Verdict } from "../core/retry.ts";

/**
 * The verdict on an error that a driver has already turned into ours: `storage/unavailable` is worth
 * another try, after `details.retryAfterMs` where the server asked for that. Everything else is final.
 */
export function verdictOf(error: unknown): Verdict {
  if (!(error instanceof BackupError) || error.code !== "storage/unavailable") return "final";
  const afterMs = error.details?.retryAfterMs;
  return typeof afterMs === "number" ? { afterMs } : "retry";
}
