import { readCatalog } from "../catalog/catalog.ts";
import type { DestinationDefinition } from "../config/model.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { toBackupError } from "../core/errors.ts";
import { mapSome } from "../core/map-some.ts";
import { type FailedDestination, type OpenDestination, withDestinations } from "./destinations.ts";
import { type ManifestCache, openManifestCache } from "./manifest-cache.ts";
import type { JobContext, ListBackups, ListedBackup } from "./types.ts";

// Small objects over a network: the round trip is what costs, so many are under way at once.
const manifestsAtOnce = 16;

/** Lists the backups of several destinations as one list. See {@link ListBackups}. */
export const listBackups: ListBackups = (definitions, o) =>
  withDestinations(definitions, o, async (open, unopened) => {
    const { found, warnings, failed } = await findBackups(open, o, o.job);
    const unreached = [...unopened, ...failed];
    if (unreached.length > 0 && unreached.length === definitions.length) {
      throw unreached[0]!.error;
    }
    const unopenedWarnings = unopened.map(({ name, error }) =>
      `Destination "${name}" is left out: ${error.message}`
    );
    const backups = await withManifests(found, open, o);
    backups.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1));
    return { backups, warnings: [...unopenedWarnings, ...warnings] };
  });

/** The names of the jobs that have backups at these destinations, sorted. Reads no manifest. */
export const listJobs = (
  definitions: readonly DestinationDefinition[],
  o: JobContext,
): Promise<string[]> =>
  withDestinations(definitions, o, async (open, unopened) => {
    const { found, failed } = await findBackups(open, o);
    const [unreached] = [...unopened, ...failed];
    if (unreached !== undefined) throw unreached.error;
    return [...new Set(found.map(({ ref }) => ref.job))].sort();
  });

async function withManifests(
  found: readonly FoundBackup[],
  open: readonly OpenDestination[],
  o: JobContext & { job?: string },
): Promise<ListedBackup[]> {
  const cache = await openManifestCache(o);
  try {
    const backups = await mapSome(found, manifestsAtOnce, (backup) => listed(backup, cache, o));
    for (const { storage } of o.job === undefined ? open : []) {
      const here = found.filter(({ copies }) =>
        copies.some(({ destination }) => destination.storage === storage)
      );
      // An empty list may be a disk that is not mounted.
      if (here.length > 0) {
        cache.keepOnly(storage.location, new Set(here.map(({ ref }) => ref.prefix)));
      }
    }
    return backups;
  } finally {
    cache.close();
  }
}

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
  { found: FoundBackup[]; warnings: string[]; failed: FailedDestination[] }
> {
  const byPrefix = new Map<string, { destination: OpenDestination; ref: BackupRef }[]>();
  const warnings: string[] = [];
  const failed: FailedDestination[] = [];
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
      failed.push({ name: destination.name, error });
      warnings.push(`Destination "${destination.name}" is left out: ${error.message}`);
    }
  }
  const found = [...byPrefix.values()].map((copies) => ({ ref: copies[0]!.ref, copies }));
  found.sort((a, b) => a.ref.createdAt.getTime() - b.ref.createdAt.getTime());
  return { found, warnings, failed };
}

async function listed(
  { ref, copies }: FoundBackup,
  cache: ManifestCache,
  o: JobContext,
): Promise<ListedBackup> {
  const destinations = copies.map(({ destination }) => destination.name);
  const marks = copies.flatMap((copy) => copy.ref.marks);
  const base = { ...ref, marks, destinations };
  let failure: unknown;
  for (const copy of copies) {
    try {
      const manifest = await cache.read(copy.destination.storage, copy.ref, o);
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
