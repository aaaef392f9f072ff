import { buildsOn, parentOf, resolveBackup } from "../../catalog/catalog.ts";
import { parseMarkName } from "../../catalog/mark-names.ts";
import { addMark } from "../../catalog/marks.ts";
import { standingOf } from "../../catalog/standing.ts";
import { manifestName } from "../../contracts/manifest.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { cleanUpAfterCrash, cleanUpRun } from "../shared/clean-up.ts";
import { SourceFailure, transfer } from "./copy-folder.ts";
import { isSamePlace, type OpenDestination, withDestinations } from "../shared/destinations.ts";
import { type History, openHistory } from "../shared/history.ts";
import { backupsAt, findBackups, type FoundBackup } from "../shared/find.ts";
import { withBackupsKept } from "../shared/lock.ts";
import {
  type Copy,
  isDamage,
  markSuspect,
  readOnceMore,
  undamagedFirst,
} from "../shared/damaged-copy.ts";
import { createMeter, type Meter } from "../shared/progress.ts";
import type { CopyBackups, CopyResult } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** Copies backups to a destination that lacks them. See {@link CopyBackups}. */
export const copyBackups: CopyBackups = (request, o) =>
  withDestinations([request.to], o, async ([target], [unreachable]) => {
    if (target === undefined) throw unreachable!.error;
    const definitions = [...request.sources, ...request.fallbacks ?? []];
    return await withDestinations(definitions, o, async (open, unopened) => {
      if (open.length > 0 && open.every(({ storage }) => isSamePlace(storage, target.storage))) {
        throw samePlace(target);
      }
      const { found, failed } = await findBackups(open, o);
      const unread = [...unopened, ...failed];
      const isUnread = ({ name }: { name: string }) => unread.some((one) => one.name === name);
      if (request.sources.every(isUnread)) throw unread[0]!.error;
      for (const { name, error } of unread) {
        o.runtime.log.warn("Destination {destination} is left out: {error}", {
          destination: name,
          error: error.message,
        });
      }
      const there = new Map((await backupsAt(target, o)).map((ref) => [ref.prefix, ref]));
      const names = new Set(request.sources.map(({ name }) => name));
      return await copyAll(choose(found, names, request.wanted), target, there, o);
    });
  });

function samePlace({ name, storage }: OpenDestination): BackupError {
  return new BackupError(
    "usage/same-place",
    `There is nothing to copy from: "${name}" (${storage.location}) is the only place that is named`,
    { hint: "Name another destination with --from." },
  );
}

async function copyAll(
  chosen: readonly FoundBackup[],
  target: OpenDestination,
  there: Map<string, BackupRef>,
  o: CopyContext,
): Promise<CopyResult[]> {
  const history = await openHistory(o);
  try {
    const resumed = new Set(chosen.map(({ ref }) => ref.prefix));
    for (const job of new Set(chosen.map(({ ref }) => ref.job))) {
      await cleanUpAfterCrash(job, [target], history, { ...o, resumed });
    }
    const meter = createMeter(o);
    const results: CopyResult[] = [];
    for (const one of chosen) {
      const result = await copyOne(one, { target, there, history }, meter, o);
      results.push(result);
      o.onResult?.(result);
    }
    return results;
  } finally {
    history.close();
  }
}

type CopyContext = Parameters<CopyBackups>[1];

/** Where it is copied to, and what is there. */
export interface Scene {
  readonly target: OpenDestination;
  /** By prefix; what is copied is added. */
  readonly there: Map<string, BackupRef>;
  readonly history: History;
}

/** What the sources have and is wanted, and all that it builds on, parents before children. */
function choose(
  found: readonly FoundBackup[],
  sources: ReadonlySet<string>,
  wanted: readonly string[],
): FoundBackup[] {
  const offered = found.filter(({ copies }) =>
    copies.some(({ destination }) => sources.has(destination.name))
  );
  const chosen = new Set<FoundBackup>();
  const add = (one: FoundBackup) => {
    if (chosen.has(one)) return;
    chosen.add(one);
    const parent = found.find(({ ref }) => buildsOn(one.ref, ref));
    if (parent === undefined) return;
    add(parent);
    // A set keeps the order of adding, and the parent must come first.
    chosen.delete(one);
    chosen.add(one);
  };
  for (const one of wanted.length === 0 ? offered : wantedOf(offered, wanted)) add(one);
  return [...chosen];
}

function wantedOf(found: readonly FoundBackup[], wanted: readonly string[]): FoundBackup[] {
  const refs = found.map(({ ref }) => ref);
  return wanted.flatMap((word) => {
    const ofJob = found.filter(({ ref }) => ref.job === word);
    if (ofJob.length > 0) return ofJob;
    const { prefix } = resolveBackup(refs, word);
    return found.filter(({ ref }) => ref.prefix === prefix);
  });
}

/**
 * Brings one backup to where it lacks, or is damaged; what it builds on has to be there already. A
 * failure is in the result.
 */
export async function copyOne(
  { ref, copies }: FoundBackup,
  scene: Scene,
  meter: Meter,
  o: JobContext,
): Promise<CopyResult> {
  const { target, there } = scene;
  const base = { id: ref.id, job: ref.job, bytes: 0 };
  const locations = [target, ...copies.map(({ destination }) => destination)]
    .map(({ storage }) => storage.location);
  try {
    return await withBackupsKept(
      { job: ref.job, locations: [...new Set(locations)] },
      o,
      async () => {
        const before = there.get(ref.prefix);
        const isHeld = copies.some((copy) => copy.ref.marks.some(({ type }) => type === "hold"));
        if (before !== undefined && isWhole(before, copies)) {
          if (isHeld) await addMark(target.storage, before, { type: "hold" }, o);
          return { ...base, status: "present" as const };
        }
        await assertParent(ref, there, target, o);
        const { from, bytes } = await recorded(
          ref,
          scene,
          o,
          () => fromAny(copies, target, meter, o),
        );
        if (isHeld) await addMark(target.storage, ref, { type: "hold" }, o);
        there.set(ref.prefix, { ...ref, marks: [] });
        const status = before === undefined ? "copied" as const : "healed" as const;
        return { ...base, status, from, bytes };
      },
    );
  } catch (error) {
    o.signal.throwIfAborted();
    if (!(error instanceof SourceFailure)) {
      return { ...base, status: "failed", error: toBackupError(error) };
    }
    return { ...base, status: "failed", error: toBackupError(error.cause), isOfSource: true };
  }
}

/**
 * Notes that the folder is incomplete for as long as it is, so that the next copy, run or prune finds
 * it even if this process is killed. What another copy can go on with stays where it is.
 */
async function recorded<T>(
  { id, job, prefix }: BackupRef,
  { target: { storage }, there, history }: Scene,
  o: JobContext,
  use: () => Promise<T>,
): Promise<T> {
  history.begin(id, job, storage.location, prefix, o.runtime.now());
  try {
    const result = await use();
    history.settle(id, storage.location);
    return result;
  } catch (error) {
    const reason = error instanceof SourceFailure ? error.cause : error;
    const canGoOn = o.signal.aborted || hasCode(reason, "storage/unavailable") ||
      hasCode(reason, "storage/stalled");
    if (!canGoOn && !there.has(prefix)) await cleanUpRun(id, prefix, storage, history, o);
    throw error;
  }
}

/** As far as a LIST tells: nothing said against it, and with the files of a copy elsewhere. */
function isWhole(there: BackupRef, copies: FoundBackup["copies"]): boolean {
  const standing = standingOf(there.marks);
  if (standing === "damaged" || standing === "suspect") return false;
  return copies.some(({ ref }) =>
    [...ref.files].every(([name, bytes]) =>
      parseMarkName(name) !== undefined || there.files.get(name) === bytes
    )
  );
}

/** A backup without what it builds on cannot be restored, so it is no backup there. */
async function assertParent(
  ref: BackupRef,
  there: ReadonlyMap<string, BackupRef>,
  { storage }: OpenDestination,
  o: JobContext,
): Promise<void> {
  const { id, parentId } = ref;
  if (parentId === undefined) return;
  const parent = parentOf(ref, [...there.values()]);
  // Asked again, because it may have been pruned since it was listed.
  const manifest = parent && await storage.stat(parent.prefix + manifestName, o);
  if (manifest !== undefined) return;
  throw new BackupError(
    "verification/broken-chain",
    `Backup ${id} was not copied, because ${parentId}, which it builds on, is not there`,
    { hint: `Copy ${parentId} first, from wherever it is whole.` },
  );
}

/** Takes the first copy that turns out whole; those that are damaged at a second look are marked. */
async function fromAny(
  copies: FoundBackup["copies"],
  target: OpenDestination,
  meter: Meter,
  o: JobContext,
): Promise<{ from: string; bytes: number }> {
  let failure: SourceFailure | undefined;
  for (const copy of undamagedFirst(copies)) {
    const { destination, ref } = copy;
    const attempt = () => transfer(destination.storage, target.storage, ref, meter, o);
    try {
      return { from: destination.name, bytes: await twice(attempt, copy, o) };
    } catch (error) {
      if (!(error instanceof SourceFailure)) throw error;
      o.signal.throwIfAborted();
      failure = error;
      o.runtime.log.warn("The copy of {id} at {destination} cannot be used: {error}", {
        id: ref.id,
        destination: destination.name,
        error: toBackupError(error.cause).message,
      });
    }
  }
  throw failure;
}

/** Goes on after a bad read of the source that turns out well when it is read again. */
async function twice<T>(attempt: () => Promise<T>, copy: Copy, o: JobContext): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof SourceFailure) || !isDamage(error.cause)) throw error;
    o.signal.throwIfAborted();
    if (await readOnceMore(copy, error.cause, error.again, o) === undefined) throw error;
  }
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof SourceFailure && isDamage(error.cause)) await markSuspect(copy, o);
    throw error;
  }
}
