import { BackupError } from "../../../core/errors.ts";
import { UnknownDiff } from "./diff.ts";
import type { OplogEntry } from "./entry.ts";
import { BrokenTransaction } from "./transactions.ts";

/** What cannot be replayed. */
export class Unreplayable extends Error {
  override readonly name = "Unreplayable";
  constructor(problem: string, readonly hint?: string) {
    super(problem);
  }
}

/** See {@link Unreplayable}. */
export function failed(problem: string, hint?: string): Unreplayable {
  return new Unreplayable(problem, hint);
}

/** What went wrong, with the entry that it went wrong at. */
export function atEntry(error: unknown, { time: { t, i } }: OplogEntry): unknown {
  const isOurs = error instanceof Unreplayable || error instanceof BrokenTransaction ||
    error instanceof UnknownDiff;
  if (!isOurs) return error;
  const when = new Date(t * 1000).toISOString();
  const what = error instanceof BrokenTransaction ? "a transaction is not whole: " : "";
  return new BackupError(
    "restore/failed",
    `The oplog cannot be replayed beyond ${t}:${i} (${when}): ${what}${error.message}`,
    {
      cause: error,
      hint: (error instanceof Unreplayable ? error.hint : undefined) ??
        "Restore to a moment before that with --at, or an older backup.",
    },
  );
}
