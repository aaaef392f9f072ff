import type { Storage } from "../contracts/storage.ts";
import { defaultStallTimeoutMs, type DestinationDefinition } from "../config/model.ts";
import { BackupError, toBackupError } from "../core/errors.ts";
import { timed } from "../core/retry.ts";
import { withStallLimit } from "../storage/stall-limit.ts";
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
 *
 * No call of theirs takes longer than `o.stallMs`, default 10 minutes; see {@link withStallLimit}.
 */
export async function withDestinations<T>(
  definitions: readonly DestinationDefinition[],
  o: JobContext & { readonly stallMs?: number },
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
  o: JobContext & { readonly stallMs?: number },
): Promise<{ open: OpenDestination[]; failed: FailedDestination[] }> {
  const open: OpenDestination[] = [];
  const failed: FailedDestination[] = [];
  for (const definition of definitions) {
    const { name } = definition;
    try {
      open.push({ name, storage: await openLimited(definition, o) });
    } catch (error) {
      failed.push({ name, error: toBackupError(error) });
    }
  }
  return { open, failed };
}

async function openLimited(
  { name, kind, options }: DestinationDefinition,
  o: JobContext & { readonly stallMs?: number },
): Promise<Storage> {
  const limitMs = o.stallMs ?? defaultStallTimeoutMs;
  const opening = (async () => await kind.open(options, o))();
  const late = (ms: number) =>
    new BackupError("storage/stalled", `Destination "${name}" did not open within ${ms / 1000} s`, {
      hint: "Look at the network and the store.",
    });
  try {
    return withStallLimit(await timed(() => opening, limitMs, o.signal, late), limitMs);
  } catch (error) {
    // One that opens after all has nobody to close it.
    opening.then((storage) => storage.close()).catch(() => {});
    throw error;
  }
}

/** Closes destinations; a failure to close loses nothing and is not told. */
export async function closeDestinations(open: readonly OpenDestination[]): Promise<void> {
  await Promise.allSettled(open.map(({ storage }) => storage.close()));
}
