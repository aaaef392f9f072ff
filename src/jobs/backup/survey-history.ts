import { chainOf } from "../../catalog/catalog.ts";
import { goodBackups } from "../../catalog/choose.ts";
import { isAhead } from "../../catalog/moment.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { toBackupError } from "../../core/errors.ts";
import type { FailedDestination, OpenDestination } from "../shared/destinations.ts";
import type { JobContext } from "../shared/context.ts";
import { backupsAt, type FoundBackup, joinCopies } from "../shared/find.ts";

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

type There = Map<string, BackupRef>;

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
      const refs = await backupsAt(destination, o, job);
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
  const found = joinCopies(
    listed.map(({ destination, there }) => ({ destination, refs: there.values() })),
  );
  const byPrefix = new Map(found.map((one) => [one.ref.prefix, one]));
  const history = found.map(({ ref }) => ref)
    .filter(({ prefix }) => [...good.values()].some((one) => one.has(prefix)));
  return {
    history,
    found,
    listed,
    unlisted,
    lacking({ name }, ref) {
      return chainOf(history, ref)
        .filter(({ prefix }) => good.get(name)?.has(prefix) !== true)
        .map(({ prefix }) => byPrefix.get(prefix)!);
    },
  };
}
