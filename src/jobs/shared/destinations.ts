import type { Storage } from "../../contracts/storage.ts";
import { defaultStallTimeoutMs, type DestinationDefinition } from "../../config/model.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import { timed } from "../../core/retry.ts";
import { withStallLimit } from "../../storage/stall-limit.ts";
import { withUploadLimit } from "../../storage/upload-limit.ts";
import { forPlugin, type JobContext } from "./context.ts";

// Somebody sits before the terminal; a mount that hangs does so for ever.
const briefStallMs = 60_000;

/** How destinations are opened. */
export interface OpenOptions extends JobContext {
  /** The longest that a call may take without a sign of life; default 10 minutes, 1 for who is brief. */
  readonly stallMs?: number;
  /** Two that lead to one place are an error of the second; default false: the second is left out. */
  readonly isEachItsOwn?: boolean;
}

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
 * No call of theirs takes longer than `o.stallMs`; see {@link withStallLimit}.
 */
export async function withDestinations<T>(
  definitions: readonly DestinationDefinition[],
  o: OpenOptions,
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
  o: OpenOptions,
): Promise<{ open: OpenDestination[]; failed: FailedDestination[] }> {
  const open: OpenDestination[] = [];
  const failed: FailedDestination[] = [];
  for (const definition of definitions) {
    const { name } = definition;
    try {
      const storage = await openDestination(definition, o);
      const same = open.find((one) => isSamePlace(one.storage, storage));
      if (same === undefined) {
        open.push({ name, storage });
        continue;
      }
      await storage.close();
      // Who reads looks there once; who writes has one copy less than was asked for.
      if (o.isEachItsOwn === true) failed.push({ name, error: samePlace(name, same) });
    } catch (error) {
      failed.push({ name, error: toBackupError(error) });
    }
  }
  return { open, failed };
}

/**
 * Opens one destination, no call of which takes longer than `o.stallMs`; who calls it closes it.
 *
 * @throws BackupError `storage/stalled`, and those of the kind's `open`
 */
export async function openDestination(
  { name, kind, options, uploadBytesPerSecond }: DestinationDefinition,
  o: Pick<OpenOptions, "signal" | "runtime" | "patience" | "stallMs">,
): Promise<Storage> {
  const limitMs = o.stallMs ??
    (o.patience?.isBrief === true ? briefStallMs : defaultStallTimeoutMs);
  const opening = (async () => await kind.open(options, forPlugin(o)))();
  const late = (ms: number) =>
    new BackupError("storage/stalled", `Destination "${name}" did not open within ${ms / 1000} s`, {
      hint: "Look at the network and the store.",
    });
  try {
    const storage = withStallLimit(await timed(() => opening, limitMs, o.signal, late), limitMs);
    return uploadBytesPerSecond === undefined
      ? storage
      : withUploadLimit(storage, uploadBytesPerSecond);
  } catch (error) {
    // One that opens after all has nobody to close it.
    opening.then((storage) => storage.close()).catch(() => {});
    throw error;
  }
}

/** True where two destinations are one. */
export function isSamePlace(one: Storage, other: Storage): boolean {
  return one.place !== undefined && one.place === other.place;
}

function samePlace(name: string, { name: other, storage }: OpenDestination): BackupError {
  return new BackupError(
    "config/same-place",
    `Destination "${name}" is the same place as "${other}" (${storage.location})`,
    { hint: `There is one copy, at "${other}". Give "${name}" a place of its own.` },
  );
}

/** Closes destinations; a failure to close loses nothing and is not told. */
export async function closeDestinations(open: readonly OpenDestination[]): Promise<void> {
  await Promise.allSettled(open.map(({ storage }) => storage.close()));
}
