import { chainOf, surveyCatalog, type SurveyedBackup } from "../../catalog/catalog.ts";
import { goodBackups } from "../../catalog/choose.ts";
import { isAhead } from "../../catalog/moment.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { hasCode, toBackupError } from "../../core/errors.ts";
import type { FailedDestination, OpenDestination } from "../shared/destinations.ts";
import type { JobContext } from "../shared/context.ts";
import type { FoundBackup } from "../shared/find.ts";

/** What destinations have of one job and source. */
export interface HistorySurvey {
  /**
   * What a next backup may build on: good where at least one destination has it with its whole chain,
   * none from the future; oldest first.
   */
  readonly history: readonly BackupRef[];
  /** Every backup with its copies, oldest first. */
  readonly found: readonly FoundBackup[];
  /** The destinations that were listed, and what each has, by prefix. */
  readonly listed: readonly { readonly destination: OpenDestination; readonly there: There }[];
  /** Those that could not be. */
  readonly unlisted: readonly FailedDestination[];
  /** The links of a backup's chain that a destination lacks or has damaged, the full one first. */
  lacking(destination: OpenDestination, ref: BackupRef): FoundBackup[];
}

type There = Map<string, SurveyedBackup>;

/** Looks at what destinations have of a job and source. One LIST each. */
export async function surveyHistory(
  { job, sourceTag }: { readonly job: string; readonly sourceTag: string },
  open: readonly OpenDestination[],
  o: JobContext,
): Promise<HistorySurvey> {
  const listed: { destination: OpenDestination; there: There }[] = [];
  const unlisted: FailedDestination[] = [];
  for (const destination of open) {
    try {
      const refs = await backupsAt(destination, job, o);
      const own = refs.filter((ref) => ref.sourceTag === sourceTag);
      listed.push({ destination, there: new Map(own.map((ref) => [ref.prefix, ref])) });
    } catch (error) {
      o.signal.throwIfAborted();
      unlisted.push({ name: destination.name, error: toBackupError(error) });
    }
  }
  const now = o.runtime.now();
  const good = new Map(listed.map(({ destination, there }) => {
    const refs = [...there.values()].filter((ref) => !isAhead(ref, now));
    return [destination.name, new Map(goodBackups(refs).map((ref) => [ref.prefix, ref]))];
  }));
  const found = joined(listed);
  const history = found.map(({ ref }) => ref)
    .filter(({ prefix }) => [...good.values()].some((one) => one.has(prefix)));
  return {
    history,
    found,
    listed,
    unlisted,
    lacking({ name }, ref) {
      const links = chainOf(history, ref);
      return found.filter((one) =>
        links.some(({ prefix }) => prefix === one.ref.prefix) &&
        good.get(name)?.has(one.ref.prefix) !== true
      ).sort((a, b) => depth(links, a.ref) - depth(links, b.ref));
    },
  };
}

/** A folder that is not there yet is made with the first backup. */
async function backupsAt(
  { storage }: OpenDestination,
  job: string,
  o: JobContext,
): Promise<readonly SurveyedBackup[]> {
  try {
    return (await surveyCatalog(storage, { ...o, job })).backups;
  } catch (error) {
    if (hasCode(error, "storage/not-found")) return [];
    throw error;
  }
}

function joined(
  listed: readonly { readonly destination: OpenDestination; readonly there: There }[],
): FoundBackup[] {
  const byPrefix = new Map<string, { destination: OpenDestination; ref: BackupRef }[]>();
  for (const { destination, there } of listed) {
    for (const ref of there.values()) {
      const copies = byPrefix.get(ref.prefix);
      if (copies === undefined) byPrefix.set(ref.prefix, [{ destination, ref }]);
      else copies.push({ destination, ref });
    }
  }
  return [...byPrefix.values()].map((copies) => ({ ref: copies[0]!.ref, copies }))
    .sort((a, b) => a.ref.createdAt.getTime() - b.ref.createdAt.getTime());
}

function depth(links: readonly BackupRef[], { prefix }: BackupRef): number {
  return links.findIndex((link) => link.prefix === prefix);
}
