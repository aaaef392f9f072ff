import { readCatalog } from "../../catalog/catalog.ts";
import { goodBackups } from "../../catalog/choose.ts";
import { isAhead } from "../../catalog/moment.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { hasCode, toBackupError } from "../../core/errors.ts";
import type { OpenDestination } from "../shared/destinations.ts";
import type { JobContext } from "../shared/context.ts";

/**
 * What a next backup may build on: the good backups of a job and source, none from the future, whose whole chain is on every
 * one of these destinations, oldest first. One LIST each.
 *
 * A destination that cannot be listed leaves none, with a warning: then a full backup is taken.
 */
export async function completeHistory(
  { job, sourceTag }: { readonly job: string; readonly sourceTag: string },
  open: readonly OpenDestination[],
  o: JobContext,
): Promise<BackupRef[]> {
  let common: BackupRef[] | undefined;
  for (const { name, storage } of open) {
    try {
      const refs = await readCatalog(storage, { ...o, job });
      const now = o.runtime.now();
      const own = refs.filter((ref) => ref.sourceTag === sourceTag && !isAhead(ref, now));
      const good = goodBackups(own);
      const here = new Set(good.map(({ prefix }) => prefix));
      common = common?.filter(({ prefix }) => here.has(prefix)) ?? good;
    } catch (error) {
      o.signal.throwIfAborted();
      // The first backup makes it.
      if (hasCode(error, "storage/not-found")) return [];
      o.runtime.log.warn(
        "Cannot list destination {destination}: {error}. The run makes a full backup.",
        {
          destination: name,
          error: toBackupError(error).message,
        },
      );
      return [];
    }
  }
  // A chain is whole where each of its links is: good here means with all it builds on.
  return common ?? [];
}
