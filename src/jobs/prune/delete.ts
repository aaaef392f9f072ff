import {
  buildsOn,
  goodBackups,
  surveyCatalog,
  type SurveyedBackup,
} from "../../catalog/catalog.ts";
import { markName } from "../../catalog/mark-names.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import { listed } from "../../core/text.ts";
import {
  type FailedDestination,
  type OpenDestination,
  withDestinations,
} from "../shared/destinations.ts";
import { dropFolder, outcomeOf } from "./drop-folder.ts";
import { type History, openHistory } from "../shared/history.ts";
import { withPruneLock } from "../shared/lock.ts";
import { resolveReached } from "../shared/resolve-reached.ts";
import type { DeleteBackup, DeletedCopy, DeletePlan, PruneOutcome } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

interface Place {
  readonly destination: OpenDestination;
  /** What goes, what builds on others first. */
  readonly refs: readonly SurveyedBackup[];
}

/** Deletes one backup, and what builds on it where that is wanted, everywhere. */
export const deleteBackup: DeleteBackup = ({ destinations, backup, ...request }, o) =>
  withDestinations(destinations, o, async (open, unopened) => {
    const { surveys, failed } = await surveyAll(open, o);
    const unreached = [...unopened, ...failed];
    if (unreached.length === destinations.length) throw unreached[0]!.error;
    const all = surveys.flatMap(({ refs }) => refs);
    const ref = resolveReached(all, backup, unreached);
    const places = surveys.map(({ destination, refs }) => ({
      destination,
      refs: withDependents(refs, ref),
    })).filter(({ refs }) => refs.length > 0);
    const dependents = idsOf(places).filter((id) => id !== ref.id);
    assertFree(ref, dependents, places, request.isWithDependents);
    const plan: DeletePlan = {
      ref,
      dependents,
      isNewestGood: isNewestGood(ref, all),
      copies: places.flatMap(({ destination: { name, storage: { location } }, refs }) =>
        refs.map((one) => ({ destination: name, location, ref: one }))
      ),
      unreached,
    };
    if (!await request.confirm(plan)) return { plan, copies: undefined };
    const history = await openHistory(o);
    try {
      const copies: DeletedCopy[] = [];
      for (const place of places) copies.push(...await deleteAt(place, history, o));
      return { plan, copies };
    } finally {
      history.close();
    }
  });

async function surveyAll(open: readonly OpenDestination[], o: JobContext) {
  const surveys: { destination: OpenDestination; refs: readonly SurveyedBackup[] }[] = [];
  const failed: FailedDestination[] = [];
  for (const destination of open) {
    try {
      surveys.push({ destination, refs: (await surveyCatalog(destination.storage, o)).backups });
    } catch (error) {
      o.signal.throwIfAborted();
      failed.push({ name: destination.name, error: toBackupError(error) });
    }
  }
  return { surveys, failed };
}

/** The backup and all that builds on it, at one destination, children first. */
function withDependents(refs: readonly SurveyedBackup[], root: BackupRef): SurveyedBackup[] {
  const chosen: SurveyedBackup[] = refs.filter(({ prefix }) => prefix === root.prefix);
  const parents: BackupRef[] = [root];
  for (const parent of parents) {
    for (const child of refs) {
      if (!buildsOn(child, parent) || parents.includes(child)) continue;
      parents.push(child);
      chosen.push(child);
    }
  }
  return chosen.toReversed();
}

function idsOf(places: readonly Place[]): string[] {
  return [...new Set(places.flatMap(({ refs }) => refs).map(({ id }) => id))];
}

function assertFree(
  ref: BackupRef,
  dependents: readonly string[],
  places: readonly Place[],
  isWithDependents: boolean,
): void {
  if (dependents.length > 0 && !isWithDependents) {
    throw new BackupError(
      "usage/has-dependents",
      `${listed(dependents)} ${dependents.length === 1 ? "builds" : "build"} on ${ref.id} and ` +
        "cannot be restored without it",
      { hint: "--with-dependents deletes them, too.", details: { dependents } },
    );
  }
  const held = places.flatMap(({ refs }) => refs)
    .find(({ marks }) => marks.some(({ type }) => type === "hold"));
  if (held === undefined) return;
  throw onHold(held.id);
}

function onHold(id: string): BackupError {
  return new BackupError("usage/on-hold", `Backup ${id} is on hold`, {
    hint: `\`dbbackup release ${id}\` lifts that.`,
  });
}

/** Whether nothing good and newer is left of its job and server when it goes. */
function isNewestGood(ref: BackupRef, all: readonly BackupRef[]): boolean {
  const good = goodBackups(
    all.filter(({ job, sourceTag }) => job === ref.job && sourceTag === ref.sourceTag),
  );
  return !good.some(({ createdAt, prefix }) => prefix !== ref.prefix && createdAt >= ref.createdAt);
}

async function deleteAt(
  { destination: { name, storage }, refs }: Place,
  history: History,
  o: JobContext,
): Promise<DeletedCopy[]> {
  const results: DeletedCopy[] = [];
  const add = (ref: SurveyedBackup, outcome: PruneOutcome) =>
    results.push({ destination: name, location: storage.location, ref, outcome });
  const scope = { job: refs[0]!.job, location: storage.location };
  try {
    await withPruneLock(scope, o, async () => {
      for (const ref of refs) {
        // What builds on it is still there, so it has to stay.
        const isBlocked = results.some(({ outcome }) => outcome.status !== "dropped");
        add(ref, isBlocked ? { status: "skipped" } : await outcomeOf(() => deleteOne(ref), o));
      }
    });
  } catch (error) {
    o.signal.throwIfAborted();
    const outcome = { status: "failed", error: toBackupError(error) } as const;
    for (const ref of refs.slice(results.length)) add(ref, outcome);
  }
  return results;

  async function deleteOne(ref: SurveyedBackup): Promise<PruneOutcome> {
    // Somebody on another machine may have put it since the plan was shown.
    const hold = await storage.stat(ref.prefix + markName({ type: "hold" }), o);
    if (hold !== undefined) throw onHold(ref.id);
    return await dropFolder(ref, storage, history, o);
  }
}
