import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { isDamage } from "../shared/damaged-copy.ts";
import type { JobContext } from "../shared/context.ts";

// From the quickest to the most thorough, in whatever order they came to an end.
const checkOrder = ["sizes", "digests", "structure", "native-tool"] as const;

/** What was looked at. */
export type Check = (typeof checkOrder)[number];

/** What came to light of one copy so far. */
export interface Findings {
  readonly checks: Set<Check>;
  /** What a restore would fail on. */
  readonly problems: BackupError[];
  /** What is not as it was stored, and no restore needs. */
  readonly flaws: BackupError[];
  readonly notes: string[];
  /** Something could not be read at all, which says nothing about the backup. */
  isUnread: boolean;
  /** Something is encrypted and no key opened it. */
  isClosed: boolean;
}

/** Nothing so far. */
export function noFindings(): Findings {
  return {
    checks: new Set(),
    problems: [],
    flaws: [],
    notes: [],
    isUnread: false,
    isClosed: false,
  };
}

/** The checks of a copy in one order. */
export function checksOf({ checks }: Findings): Check[] {
  return checkOrder.filter((name) => checks.has(name));
}

/** Damage is a finding; a store that cannot be read now is a note; a stop is neither. */
export function sortFinding(reason: unknown, findings: Findings, o: JobContext): void {
  o.signal.throwIfAborted();
  const error = toBackupError(reason);
  const isForeign = foreign.has(error.code);
  if (hasCode(error, "verification/") && !isForeign) {
    findings.problems.push(error);
  } else if (error.code === "storage/not-found") {
    findings.problems.push(
      new BackupError("verification/missing-object", error.message, { cause: error }),
    );
  } else if (hasCode(error, "storage/") || isForeign) {
    findings.isUnread = true;
    findings.notes.push(error.message);
  } else {
    throw error;
  }
}

// What a newer dbbackup or one with a plugin reads well.
const foreign: ReadonlySet<string> = new Set([
  "verification/newer-format",
  "verification/unknown-codec",
  "verification/unknown-format",
]);

/**
 * Looks a second time where the first look found damage, and believes the second.
 *
 * @throws what the second look throws
 */
export async function lookTwice(
  look: () => Promise<void>,
  findings: Findings,
  o: JobContext,
): Promise<void> {
  try {
    await look();
  } catch (error) {
    o.signal.throwIfAborted();
    if (!isDamage(error)) throw error;
    await look();
    noteOnce(error, findings);
  }
}

/** Notes what only the first look found. */
export function noteOnce({ message }: BackupError, { notes }: Findings): void {
  notes.push(`It was read wrong once, and right the second time: ${message}`);
}
