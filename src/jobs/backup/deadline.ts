import { BackupError } from "../../core/errors.ts";

// A longer timer fires at once; no run lasts 24 days.
const longestTimerMs = 2 ** 31 - 1;

/**
 * Runs `use` under a signal that aborts with the given one, or with `dump/timeout` once the job's
 * time is over.
 */
export async function withDeadline<T>(
  signal: AbortSignal,
  timeoutMs: number | undefined,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (timeoutMs === undefined) return await use(signal);
  const late = new AbortController();
  const timer = setTimeout(() =>
    late.abort(
      new BackupError(
        "dump/timeout",
        `The run took longer than its timeout, ${timeoutMs / 1000} s`,
        {
          hint: "Raise the job's timeout, or find out what was slow with --log-level debug.",
        },
      ),
    ), Math.min(timeoutMs, longestTimerMs));
  try {
    return await use(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
