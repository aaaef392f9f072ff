import { readCatalog, scanCatalog } from "../../catalog/catalog.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { hasCode, toBackupError } from "../../core/errors.ts";
import type { JobContext } from "./context.ts";
import type { FailedDestination, OpenDestination } from "./destinations.ts";

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
  {
    found: FoundBackup[];
    warnings: string[];
    failed: FailedDestination[];
    /** Folders with a manifest and a name that is no backup's. */
    strays: { readonly destination: OpenDestination; readonly prefix: string }[];
  }
> {
  const places: Place[] = [];
  const warnings: string[] = [];
  const failed: FailedDestination[] = [];
  const strays: { destination: OpenDestination; prefix: string }[] = [];
  for (const destination of open) {
    try {
      const survey = await scanCatalog(destination.storage, { ...o, job });
      strays.push(...survey.strays.map((prefix) => ({ destination, prefix })));
      places.push({ destination, refs: survey.backups });
    } catch (reason) {
      o.signal.throwIfAborted();
      const error = toBackupError(reason);
      failed.push({ name: destination.name, error });
      warnings.push(`Destination "${destination.name}" is left out: ${error.message}`);
    }
  }
  return { found: joinCopies(places), warnings, failed, strays };
}

interface Place {
  readonly destination: OpenDestination;
  readonly refs: Iterable<BackupRef>;
}

/** Joins the copies of each backup, oldest first. */
export function joinCopies(places: readonly Place[]): FoundBackup[] {
  const byPrefix = new Map<string, { destination: OpenDestination; ref: BackupRef }[]>();
  for (const { destination, refs } of places) {
    for (const ref of refs) {
      const copies = byPrefix.get(ref.prefix) ?? [];
      copies.push({ destination, ref });
      byPrefix.set(ref.prefix, copies);
    }
  }
  return [...byPrefix.values()].map((copies) => ({ ref: copies[0]!.ref, copies }))
    .sort((a, b) => a.ref.createdAt.getTime() - b.ref.createdAt.getTime());
}

/** The backups where a next one goes; a folder that is not there yet is made with the first. */
export async function backupsAt(
  { storage }: OpenDestination,
  o: JobContext,
  job?: string,
): Promise<BackupRef[]> {
  try {
    return await readCatalog(storage, { ...o, job });
  } catch (error) {
    if (hasCode(error, "storage/not-found")) return [];
    throw error;
  }
}
