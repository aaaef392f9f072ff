import { goodBackups } from "../../catalog/catalog.ts";
import { momentOf } from "../../catalog/moment.ts";
import { sealOf } from "../../catalog/seal.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { BackupError } from "../../core/errors.ts";
import { listed, suggestion } from "../../core/text.ts";
import { anyManifest, type Choice, chooseForMoment, chooseForPosition } from "./choose-moment.ts";
import { aheadWarning, withoutAhead } from "../shared/clock.ts";
import { undamagedFirst } from "../shared/damaged-copy.ts";
import type { FailedDestination } from "../shared/destinations.ts";
import type { FoundBackup } from "../shared/find.ts";
import { resolveReached, unreachedError } from "../shared/resolve-reached.ts";
import type { RestoreRequest } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/**
 * Which backup is meant: by id, or the newest good one of the one job and server there is.
 *
 * @throws BackupError `usage/which-backup`, `usage/which-server`, `usage/too-early`,
 * `usage/no-such-moment`, `storage/no-backup`, those of the id, that of a destination that may have it
 */
export async function chooseBackup(
  found: readonly FoundBackup[],
  unreached: readonly FailedDestination[],
  request: RestoreRequest,
  o: JobContext,
): Promise<Choice> {
  if (request.backup !== undefined) {
    const ref = resolveReached(found.map(({ ref }) => ref), request.backup, unreached);
    return { backup: found.find((one) => one.ref.prefix === ref.prefix)! };
  }
  const good = candidatesOf(found, request);
  const { current, ahead } = withoutAhead(good, ({ ref }) => ref, o.runtime.now());
  if (ahead.length > 0) {
    const warning = aheadWarning(ahead.map(({ ref }) => ref.id), o.runtime.now());
    o.runtime.log.warn("{warning}", { warning });
  }
  const candidates = await inOrder(current, o);
  const [newest] = candidates.slice(-1);
  if (newest === undefined) {
    throw unreachedError("good backup", unreached) ?? noBackup(found, request);
  }
  assertOneSource(candidates, request);
  const choice = request.position !== undefined
    ? await chooseForPosition(candidates, request.position, request, o)
    : request.at !== undefined
    ? listedAt(candidates, request.at) ?? await chooseForMoment(candidates, request.at, o)
    : { backup: newest };
  warnOfNewer(found, good, choice.backup, request.at, o);
  return choice;
}

/** Who gets an older backup than the newest there is learns it with the plan. */
function warnOfNewer(
  found: readonly FoundBackup[],
  good: readonly FoundBackup[],
  { ref }: FoundBackup,
  at: Date | undefined,
  o: JobContext,
): void {
  const { current } = withoutAhead(found, (one) => one.ref, o.runtime.now());
  const passedOver = current.filter((one) =>
    one.ref.job === ref.job && one.ref.sourceTag === ref.sourceTag && !good.includes(one) &&
    momentOf(one.ref) > momentOf(ref) && (at === undefined || momentOf(one.ref) <= at)
  ).map(({ ref: { id } }) => id);
  if (passedOver.length === 0) return;
  o.runtime.log.warn(
    "An older backup is taken, because newer ones are damaged or incomplete: {newer}",
    { newer: listed(passedOver) },
  );
}

function candidatesOf(found: readonly FoundBackup[], { job }: RestoreRequest): FoundBackup[] {
  const jobs = new Set(found.map(({ ref }) => ref.job));
  if (job === undefined && jobs.size > 1) {
    throw new BackupError("usage/which-backup", `There are backups of ${jobs.size} jobs here`, {
      hint: `Name one job (${listed([...jobs].sort())}) or a backup's id; list shows them.`,
    });
  }
  // A backup is as good as the best of its copies, and as those of what it builds on.
  const refs = found.map(({ ref, copies }) => {
    const best = undamagedFirst(copies)[0]!;
    return { ...ref, marks: best.ref.marks };
  });
  const good = new Set(goodBackups(refs).map(({ prefix }) => prefix));
  return found.filter(({ ref }) => (job === undefined || ref.job === job) && good.has(ref.prefix));
}

/** Oldest first; folders' names tell only the second, so those of one second are looked up. */
async function inOrder(
  candidates: readonly FoundBackup[],
  o: JobContext,
): Promise<readonly FoundBackup[]> {
  const second = ({ ref }: FoundBackup) => momentOf(ref).getTime();
  const counts = new Map<number, number>();
  for (const one of candidates) counts.set(second(one), (counts.get(second(one)) ?? 0) + 1);
  const startedMs = new Map<FoundBackup, number>();
  for (const one of candidates) {
    if (counts.get(second(one)) === 1) continue;
    const manifest = await anyManifest(one, o).catch(() => undefined);
    if (manifest !== undefined) startedMs.set(one, new Date(manifest.startedAt).getTime());
  }
  const at = (one: FoundBackup) => startedMs.get(one) ?? second(one);
  return [...candidates].sort((a, b) => at(a) - at(b));
}

/** "The latest" must not jump between two servers that share a prefix. */
function assertOneSource(candidates: readonly FoundBackup[], request: RestoreRequest): void {
  const newest = new Map(candidates.map(({ ref }) => [ref.sourceTag, ref]));
  if (newest.size < 2) return;
  const ids = [...newest.values()].map(({ id, sourceTag, createdAt }) =>
    `${id} (server ${sourceTag}, ${createdAt.toISOString().replace(/\.\d+Z$/, "Z")})`
  );
  throw new BackupError(
    "usage/which-server",
    `Job "${candidates[0]!.ref.job}" has backups of ${newest.size} different servers`,
    {
      hint: `Name the backup: the newest of each are ${listed(ids)}.`,
      details: { job: request.job },
    },
  );
}

function noBackup(found: readonly FoundBackup[], { job, destinations }: RestoreRequest) {
  const places = destinations.map(({ name }) => `"${name}"`).join(", ");
  if (job === undefined || found.some(({ ref }) => ref.job === job)) {
    const what = found.length === 0 ? "There is no backup" : "There is no undamaged backup";
    return new BackupError("storage/no-backup", `${what} at ${places}`, {
      hint: found.length === 0
        ? "Check the destination: it holds nothing, or its disk is not mounted."
        : "`dbbackup list` shows the marks, `dbbackup copy` heals from another destination. " +
          "One that is marked as damaged is tried when its id is given.",
    });
  }
  const jobs = [...new Set(found.map(({ ref }) => ref.job))].sort();
  return new BackupError("storage/no-backup", `There is no backup of job "${job}" at ${places}`, {
    hint: suggestion(job, jobs),
  });
}

/**
 * The backup that a list shows at this very time: it shows whole seconds, and the run took a moment
 * to come to its data. Where a log is kept, a moment is one of the log instead.
 */
function listedAt(candidates: readonly FoundBackup[], at: Date): Choice | undefined {
  if (candidates.some(({ ref }) => isOfLog(ref))) return undefined;
  const second = (time: Date) => Math.floor(time.getTime() / 1000) * 1000;
  const backup = candidates.findLast(({ ref }) => second(momentOf(ref)) === at.getTime());
  return backup === undefined ? undefined : { backup };
}

/** A backup that others build on has its window in its seal, where a log is kept. */
function isOfLog({ parentId, files }: BackupRef): boolean {
  if (parentId === undefined) return false;
  const facts = sealOf(files.keys())?.facts;
  return facts === undefined || facts.window !== undefined;
}
