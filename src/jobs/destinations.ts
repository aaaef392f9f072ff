import type { DestinationDefinition } from "../config/model.ts";
import type { Storage } from "../contracts/storage.ts";
import { type BackupError, toBackupError } from "../core/errors.ts";
import type { JobContext } from "./types.ts";

/** A destination that is open for use. */
export interface OpenDestination {
  readonly name: string;
  readonly storage: Storage;
}

/** A destination that could not be opened. */
export interface FailedDestination {
  readonly name: string;
  readonly error: BackupError;
}

/**
 * Opens destinations for the time of `use`, and closes them in any case. Those that cannot be opened
 * are handed over as failed: whether that matters is for the caller to say.
 */
export async function withDestinations<T>(
  definitions: readonly DestinationDefinition[],
  o: JobContext,
  use: (open: readonly OpenDestination[], failed: readonly FailedDestination[]) => Promise<T>,
): Promise<T> {
  const { open, failed } = await openDestinations(definitions, o);
  try {
    return await use(open, failed);
  } finally {
    await closeDestinations(open);
  }
}

/** Opens destinations in order; who calls it closes them with {@link closeDestinations}. */
export async function openDestinations(
  definitions: readonly DestinationDefinition[],
  o: JobContext,
): Promise<{ open: OpenDestination[]; failed: FailedDestination[] }> {
  const open: OpenDestination[] = [];
  const failed: FailedDestination[] = [];
  for (const { name, kind, options } of definitions) {
    try {
      open.push({ name, storage: await kind.open(options, o) });
    } catch (error) {
      failed.push({ name, error: toBackupError(error) });
    }
  }
  return { open, failed };
}

/** Closes destinations; a failure to close loses nothing and is not told. */
export async function closeDestinations(open: readonly OpenDestination[]): Promise<void> {
  await Promise.allSettled(open.map(({ storage }) => storage.close()));
}
