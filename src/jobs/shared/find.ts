import { scanCatalog } from "../../catalog/catalog.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { toBackupError } from "../../core/errors.ts";
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
  const byPrefix = new Map<string, { destination: OpenDestination; ref: BackupRef }[]>();
  const warnings: string[] = [];
  const failed: FailedDestination[] = [];
  const strays: { destination: OpenDestination; prefix: string }[] = [];
  for (const destination of open) {
    try {
      const survey = await scanCatalog(destination.storage, { ...o, job });
      strays.push(...survey.strays.map((prefix) => ({ destination, prefix })));
      for (const ref of survey.backups) {
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
  return { found, warnings, failed, strays };
}
