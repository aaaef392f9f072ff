import { readCatalog } from "../catalog/catalog.ts";
import { readManifest } from "../catalog/manifest.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { toBackupError } from "../core/errors.ts";
import { type OpenDestination, withDestinations } from "./destinations.ts";
import type { JobContext, ListBackups, ListedBackup } from "./types.ts";

// Small objects over a network: the round trip is what costs, so many are under way at once.
const manifestsAtOnce = 16;

/** Lists the backups of several destinations as one list. See {@link ListBackups}. */
export const listBackups: ListBackups = (definitions, o) =>
  withDestinations(definitions, o, async (open, unopened) => {
    const { found, warnings, errors } = await findBackups(open, o, o.job);
    const reasons = [...unopened.map(({ error }) => error), ...errors];
    if (reasons.length > 0 && reasons.length === definitions.length) throw reasons[0]!;
    const unopenedWarnings = unopened.map(({ name, error }) =>
      `Destination "${name}" is left out: ${error.message}`
    );
    const backups = await mapSome(found, manifestsAtOnce, (backup) => listed(backup, o));
    backups.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1));
    return { backups, warnings: [...unopenedWarnings, ...warnings] };
  });

/** A backup with the destinations that have it. */
export interface FoundBackup {
  readonly ref: BackupRef;
  /** In the order given; never empty. Each with the marks and files as they are there. */
  readonly copies: readonly { readonly destination: OpenDestination; readonly ref: BackupRef }[];
}

/** Reads the catalogs of destinations and joins the copies of each backup, oldest first. */
export async function findBackups(
  open: readonly OpenDestination[],
  o: JobContext,
  job?: string,
): Promise<
  { found: FoundBackup[]; warnings: string[]; errors: ReturnType<typeof toBackupError>[] }
> {
  const byPrefix = new Map<string, { destination: OpenDestination; ref: BackupRef }[]>();
  const warnings: string[] = [];
  const errors: ReturnType<typeof toBackupError>[] = [];
  for (const destination of open) {
    try {
      for (const ref of await readCatalog(destination.storage, { ...o, job })) {
        const copies = byPrefix.get(ref.prefix) ?? [];
        copies.push({ destination, ref });
        byPrefix.set(ref.prefix, copies);
      }
    } catch (reason) {
      o.signal.throwIfAborted();
      const error = toBackupError(reason);
      errors.push(error);
      warnings.push(`Destination "${destination.name}" is left out: ${error.message}`);
    }
  }
  const found = [...byPrefix.values()].map((copies) => ({ ref: copies[0]!.ref, copies }));
  found.sort((a, b) => a.ref.createdAt.getTime() - b.ref.createdAt.getTime());
  return { found, warnings, errors };
}

async function listed({ ref, copies }: FoundBackup, o: JobContext): Promise<ListedBackup> {
  const destinations = copies.map(({ destination }) => destination.name);
  const marks = copies.flatMap((copy) => copy.ref.marks);
  const base = { ...ref, marks, destinations };
  let failure: unknown;
  for (const copy of copies) {
    try {
      const manifest = await readManifest(copy.destination.storage, copy.ref, o);
      // A folder's name tells the start only to the second.
      const createdAt = new Date(manifest.startedAt);
      return { ...base, job: manifest.job, createdAt, manifest };
    } catch (error) {
      o.signal.throwIfAborted();
      failure = error;
    }
  }
  return { ...base, manifest: undefined, error: toBackupError(failure) };
}

/** Maps with at most `limit` calls under way, in order. */
async function mapSome<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await map(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  return results;
}
