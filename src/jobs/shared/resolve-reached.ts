import { resolveBackup } from "../../catalog/catalog.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { FailedDestination } from "./destinations.ts";

/**
 * The backup that an id means, see {@link resolveBackup}. One that is not found may be where nobody
 * could look, and that is the error then.
 *
 * @throws BackupError `usage/no-such-backup`, `usage/ambiguous-backup`, that of a destination
 */
export function resolveReached(
  refs: readonly BackupRef[],
  idOrStart: string,
  unreached: readonly FailedDestination[],
): BackupRef {
  try {
    return resolveBackup(refs, idOrStart);
  } catch (error) {
    if (!hasCode(error, "usage/no-such-backup")) throw error;
    throw unreachedError(`backup "${idOrStart}"`, unreached) ?? error;
  }
}

/** What is missing may be at a destination that could not be looked at; undefined without any. */
export function unreachedError(
  what: string,
  [first]: readonly FailedDestination[],
): BackupError | undefined {
  if (first === undefined) return undefined;
  const { code, message, hint } = first.error;
  return new BackupError(
    code,
    `There is no ${what} elsewhere, and "${first.name}" could not be looked at: ${message}`,
    { hint, cause: first.error },
  );
}
