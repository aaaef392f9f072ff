import { goodBackups } from "../../catalog/catalog.ts";
import { chooseChain, type Reachable } from "../../catalog/choose-chain.ts";
import { readManifest } from "../../catalog/manifest.ts";
import { momentOf } from "../../catalog/moment.ts";
import type { Until } from "../../contracts/changes.ts";
import type { Manifest, Position } from "../../contracts/manifest.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { canonicalJson } from "../../core/json.ts";
import { mapSome } from "../../core/map-some.ts";
import { listed, suggestion } from "../../core/text.ts";
import { aheadWarning, withoutAhead } from "../shared/clock.ts";
import { undamagedFirst } from "../shared/damaged-copy.ts";
import type { FailedDestination } from "../shared/destinations.ts";
import type { FoundBackup } from "../shared/find.ts";
import { manifestsAtOnce } from "../shared/manifest-cache.ts";
import { resolveReached, unreachedError } from "../shared/resolve-reached.ts";
import type { RestoreRequest } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** The backup that is restored, with all that it builds on. */
export interface Choice {
  readonly backup: FoundBackup;
  /** Where to stop in it; absent for its end. */
  readonly until?: Until;
}

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
    ? await chooseForMoment(candidates, request.at, o)
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
 * What restores a moment. Families are read newest first, until one reaches it: the manifests say
 * what the folders' names do not, from when to when.
 */
async function chooseForMoment(
  candidates: readonly FoundBackup[],
  at: Date,
  o: JobContext,
): Promise<Choice> {
  const known: Dated[] = [];
  let failure: unknown;
  let missed: unknown;
  const families = familiesOf(candidates);
  // A folder's name tells when the run began, and the data is never older than that.
  const first = families.findIndex(([root]) => momentOf(root!.ref) <= at);
  // The one after it only tells the nearest moment.
  for (const family of families.slice(Math.max(0, first - 1))) {
    const read = await readDated(family, o);
    known.push(...read.dated);
    failure ??= read.failure;
    if (first < 0 || momentOf(family[0]!.ref) > at) continue;
    try {
      const { chain, until } = chooseChain(known, { at });
      return { backup: chain.at(-1)!.found, ...until === undefined ? {} : { until } };
    } catch (error) {
      if (hasCode(error, "usage/no-such-moment")) {
        // Older families may reach into the time of this one, but hardly.
        if (missed !== undefined) throw missed;
        missed = error;
      } else if (!hasCode(error, "usage/too-early")) throw error;
    }
  }
  if (failure !== undefined || missed !== undefined) throw failure ?? missed;
  const oldest = candidates[0]!.ref;
  throw new BackupError("usage/too-early", `No backup is as old as ${at.toISOString()}`, {
    hint: `The oldest is ${oldest.id}, of ${oldest.createdAt.toISOString()}.`,
  });
}

/** What restores a position: families newest first, until one reaches it. */
async function chooseForPosition(
  candidates: readonly FoundBackup[],
  position: Position,
  { target }: RestoreRequest,
  o: JobContext,
): Promise<Choice> {
  const compare = target.kind.positions?.compare ??
    ((a, b) => canonicalJson(a) === canonicalJson(b) ? 0 : undefined);
  const known: Dated[] = [];
  let failure: unknown;
  for (const family of familiesOf(candidates)) {
    const read = await readDated(family, o);
    known.push(...read.dated);
    failure = read.failure ?? failure;
    try {
      const { chain, until } = chooseChain(known, { position, compare });
      return { backup: chain.at(-1)!.found, ...until === undefined ? {} : { until } };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** What the manifests say; what cannot be read is passed over, with a warning. */
async function readDated(
  family: readonly FoundBackup[],
  o: JobContext,
): Promise<{ dated: Dated[]; failure: unknown }> {
  let failure: unknown;
  const all = await mapSome(family, manifestsAtOnce, async (one) => {
    try {
      return [dated(one, await anyManifest(one, o))];
    } catch (error) {
      o.signal.throwIfAborted();
      failure ??= error;
      const { message } = toBackupError(error);
      o.runtime.log.warn("Backup {id} is passed over for an older one: {message}", {
        id: one.ref.id,
        message,
      });
      return [];
    }
  });
  return { dated: all.flat(), failure };
}

/** A backup as its manifest tells it. */
interface Dated extends Reachable {
  readonly found: FoundBackup;
}

function dated(found: FoundBackup, { window, ...manifest }: Manifest): Dated {
  return {
    found,
    id: manifest.id,
    parentId: manifest.parent?.id,
    consistentAt: new Date(manifest.consistentAt),
    position: manifest.position,
    ...window === undefined
      ? {}
      : { window: { from: new Date(window.from), to: new Date(window.to) } },
  };
}

/** Each full backup with all that builds on it, newest full one first. */
function familiesOf(candidates: readonly FoundBackup[]): FoundBackup[][] {
  const byId = new Map(candidates.map((one) => [one.ref.id, one]));
  const rootOf = (one: FoundBackup): FoundBackup => {
    let root = one;
    for (let steps = 0; root.ref.parentId !== undefined && steps < byId.size; steps++) {
      root = byId.get(root.ref.parentId) ?? root;
    }
    return root;
  };
  const families = Map.groupBy(candidates, rootOf);
  return [...families].map(([root, all]) => [root, ...all.filter((one) => one !== root)])
    .sort(([a], [b]) => momentOf(b!.ref).getTime() - momentOf(a!.ref).getTime());
}

/** The manifest, from the first destination where it can be read. */
async function anyManifest({ copies }: FoundBackup, o: JobContext): Promise<Manifest> {
  let failure: unknown;
  for (const { destination, ref } of undamagedFirst(copies)) {
    try {
      return await readManifest(destination.storage, ref, o);
    } catch (error) {
      o.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}
