import { BackupError } from "../core/errors.ts";
import type { RestoreOptions } from "./restore.ts";

type Only = Pick<RestoreOptions, "onRefusal">;

/**
 * Refuses a restore. Where only its plan is wanted the refusal is noted, and planning goes on as if
 * nothing stood in the way.
 *
 * @throws BackupError the refusal itself
 */
export function refuse(refusal: BackupError, { onRefusal }: Only): void {
  if (onRefusal === undefined) throw refusal;
  onRefusal(refusal);
}

/**
 * Runs a check of a plan that throws what it refuses.
 *
 * @returns undefined where the refusal was noted; see {@link refuse}
 */
export async function checked<T>(
  check: () => T | Promise<T>,
  options: Only,
): Promise<T | undefined> {
  try {
    return await check();
  } catch (error) {
    const isRefusal = error instanceof BackupError && !/^(internal|interrupted)\//.test(error.code);
    if (!isRefusal) throw error;
    refuse(error, options);
    return undefined;
  }
}
