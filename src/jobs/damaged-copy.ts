import { addMark } from "../catalog/marks.ts";
import { type BackupError, hasCode, toBackupError } from "../core/errors.ts";
import type { FoundBackup } from "./list.ts";
import type { JobContext } from "./types.ts";

/** One backup at one destination. */
export type Copy = FoundBackup["copies"][number];

/** The copies of a backup, those that are marked damaged last. */
export function undamagedFirst(copies: readonly Copy[]): Copy[] {
  const isDamaged = ({ ref }: Copy) => ref.marks.some(({ type }) => type === "damaged");
  return [...copies].sort((a, b) => Number(isDamaged(a)) - Number(isDamaged(b)));
}

/** True where reading a copy showed that it is not what was stored. */
export function isDamage(error: unknown): error is BackupError {
  return hasCode(error, "verification/") && !noDamage.has(error.code);
}

// A newer dbbackup, or one with a plugin, reads the same bytes well.
const noDamage = new Set([
  "verification/newer-format",
  "verification/unknown-codec",
  "verification/broken-chain",
]);

/** Marks a copy that turned out damaged while it was read; a mark that cannot be put is only logged. */
export async function markDamaged(
  { destination, ref }: Copy,
  o: JobContext,
): Promise<void> {
  try {
    await addMark(destination.storage, ref, { type: "damaged", at: o.runtime.now() }, o);
  } catch (error) {
    o.runtime.log.warn("The copy of {id} at {destination} cannot be marked as damaged: {error}", {
      id: ref.id,
      destination: destination.name,
      error: toBackupError(error).message,
    });
  }
}
