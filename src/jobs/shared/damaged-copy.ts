import { addMark } from "../../catalog/marks.ts";
import { standingOf } from "../../catalog/standing.ts";
import { type BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import type { FoundBackup } from "./find.ts";
import type { JobContext } from "./context.ts";

/** One backup at one destination. */
export type Copy = FoundBackup["copies"][number];

/** The copies of a backup: first those that nothing is said against, last those marked damaged. */
export function undamagedFirst(copies: readonly Copy[]): Copy[] {
  const rank = ({ ref }: Copy) => ranks[standingOf(ref.marks)];
  return [...copies].sort((a, b) => rank(a) - rank(b));
}

const ranks = { verified: 0, unknown: 0, suspect: 1, damaged: 2 } as const;

/**
 * What is read of the first copy where it can be, those that nothing is said against first.
 *
 * @throws what the first one failed with, where none can be read
 */
export async function readAny<T>(
  copies: readonly Copy[],
  o: JobContext,
  read: (copy: Copy) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const copy of undamagedFirst(copies)) {
    try {
      return await read(copy);
    } catch (error) {
      o.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

/** True for errors of what is stored, not of the target or of what was asked for. */
export function isOfReading(error: unknown): error is BackupError {
  return hasCode(error, "verification/") || hasCode(error, "storage/");
}

/** True where reading a copy showed that it is not what was stored. */
export function isDamage(error: unknown): error is BackupError {
  return hasCode(error, "verification/") && !noDamage.has(error.code);
}

// A newer dbbackup, or one with a plugin, reads the same bytes well; and a backup that builds on
// what is missing or changed is itself what was stored.
const noDamage = new Set([
  "verification/newer-format",
  "verification/unknown-codec",
  "verification/unknown-kind",
  "verification/unknown-format",
  "verification/broken-chain",
  "verification/gap",
]);

/**
 * Reads what turned out damaged a second time, because a cable or memory that fails once is no
 * damage, and marks the copy where it is damaged again. A mark that cannot be put is only logged.
 *
 * @param again reads the same from the destination anew
 * @returns what `again` returned; undefined where the copy is not to be used
 */
export async function readOnceMore<T>(
  copy: Copy,
  error: BackupError,
  again: () => Promise<T>,
  o: JobContext,
): Promise<{ readonly value: T } | undefined> {
  const place = { id: copy.ref.id, destination: copy.destination.name };
  try {
    const value = await again();
    o.runtime.log.warn(
      "The copy of {id} at {destination} was read wrong once and right the second time: {error}",
      { ...place, error: error.message },
    );
    return { value };
  } catch (second) {
    o.signal.throwIfAborted();
    if (isDamage(second)) await mark(copy, "damaged", o);
    return undefined;
  }
}

/** Leaves word that a copy is to be looked into; a mark that cannot be put is only logged. */
export async function markSuspect(copy: Copy, o: JobContext): Promise<void> {
  await mark(copy, "suspect", o);
}

async function mark(
  { destination, ref }: Copy,
  type: "suspect" | "damaged",
  o: JobContext,
): Promise<void> {
  try {
    await addMark(destination.storage, ref, { type, at: o.runtime.now() }, o);
  } catch (error) {
    o.runtime.log.warn("The copy of {id} at {destination} cannot be marked as {type}: {error}", {
      id: ref.id,
      destination: destination.name,
      type,
      error: toBackupError(error).message,
    });
  }
}
