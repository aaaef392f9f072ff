import {
  type AbandonedFolder,
  type Survey,
  surveyCatalog,
  type SurveyedBackup,
} from "../../catalog/catalog.ts";
import { markName } from "../../catalog/mark-names.ts";
import { jobPrefix } from "../../catalog/names.ts";
import { isOwnFile } from "../../catalog/own-files.ts";
import { applyRetention, type RetentionDecision } from "../../catalog/retention.ts";
import { isKnownKind, manifestName } from "../../contracts/manifest.ts";
import type { Storage } from "../../contracts/storage.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { assertStoreClock, isNear } from "../shared/clock.ts";
import { type OpenDestination, withDestinations } from "../shared/destinations.ts";
import { dropFolder, outcomeOf } from "./drop-folder.ts";
import { type History, openHistory } from "../shared/history.ts";
import { withPruneLock } from "../shared/lock.ts";
import type {
  PruneBackups,
  PrunedBackup,
  PrunedFolder,
  PruneOutcome,
  PruneRequest,
  PruneResult,
} from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** Prunes a job's backups at each of its destinations. See {@link PruneBackups}. */
export const pruneBackups: PruneBackups = (request, o) =>
  withDestinations(request.destinations, o, async (open, unopened) => {
    const results = await pruneOpen(request, open, o);
    for (const { name, error } of unopened) {
      results.push(failedResult(request.job, { name, location: name }, error));
    }
    return results;
  });

/** As {@link pruneBackups}, at destinations that are open already. */
export async function pruneOpen(
  request: PruneRequest,
  open: readonly OpenDestination[],
  o: JobContext,
): Promise<PruneResult[]> {
  const history = await openHistory(o);
  try {
    const results: PruneResult[] = [];
    for (const destination of open) {
      const scope = { job: request.job, location: destination.storage.location };
      const prune = () => pruneOne(request, destination, history, o);
      try {
        // A dry run deletes nothing, so it may run beside anything.
        results.push(await (request.isDryRun ? prune() : withPruneLock(scope, o, prune)));
      } catch (error) {
        o.signal.throwIfAborted();
        const at = { name: destination.name, location: destination.storage.location };
        results.push(failedResult(request.job, at, toBackupError(error)));
      }
    }
    return results;
  } finally {
    history.close();
  }
}

function failedResult(
  job: string,
  { name, location }: { readonly name: string; readonly location: string },
  error: BackupError,
): PruneResult {
  return { job, destination: name, location, backups: [], abandoned: [], swept: 0, error };
}

/** Everything at one destination, from one LIST. */
async function pruneOne(
  request: PruneRequest,
  { name, storage }: OpenDestination,
  history: History,
  o: JobContext,
): Promise<PruneResult> {
  const { job, isDryRun, timezone, retention } = request;
  const now = o.runtime.now();
  const survey = await surveyCatalog(storage, { ...o, job });
  const policy = retention?.destinations.get(name) ?? retention?.policy ?? {};
  const decisions = applyRetention(survey.backups, policy, { now, timezone });
  const own = new Set(history.unfinished(job, storage.location).map(({ prefix }) => prefix));
  const folders = survey.abandoned.map((folder) => judge(folder, own, request, now));
  const planned: PruneResult = {
    job,
    destination: name,
    location: storage.location,
    backups: decisions.map((decision) => ({
      ...decision,
      outcome: plannedOutcome(decision.action),
    })),
    abandoned: folders.map(({ folder, ...verdict }) =>
      folderResult(folder, verdict.reason, plannedOutcome(verdict.action))
    ),
    swept: 0,
  };
  if (isDryRun) return planned;
  const isIdle = [...decisions, ...folders].every(({ action }) => action === "keep");
  if (!isIdle || !hasFreshObject(survey, now)) await assertStoreClock(storage, job, o);

  // First, because it settles notes, and those of what is deleted next must stay if that fails.
  const swept = await sweepLeftovers(request, survey, storage, history, o);
  const dropped = await dropBackups(decisions, survey.abandoned, storage, history, o);
  const removed = await dropAbandoned(folders, storage, history, o);
  const error = [...dropped, ...removed].map(({ outcome }) => outcome)
    .find((outcome) => outcome.status === "failed")?.error;
  return {
    ...planned,
    backups: dropped,
    abandoned: removed,
    swept,
    ...(error === undefined ? {} : { error: undeleted(storage, error) }),
  };
}

/** What was stored a moment ago tells the store's clock, too. */
function hasFreshObject({ backups }: Survey, now: Date): boolean {
  return backups.some(({ objects }) => {
    const storedAt = objects.get(manifestName)?.modifiedAt;
    return storedAt !== undefined && isNear(storedAt, now);
  });
}

function plannedOutcome(action: "keep" | "drop"): PruneOutcome {
  return { status: action === "keep" ? "kept" : "planned" };
}

function undeleted(storage: Storage, cause: BackupError): BackupError {
  const { code, message, hint } = cause;
  return new BackupError(code, `Cannot delete at ${storage.location}: ${message}`, { cause, hint });
}

interface JudgedFolder {
  readonly folder: AbandonedFolder;
  readonly action: "keep" | "drop";
  readonly reason: string;
}

/** Whether a folder without a manifest is left over, or somebody's work under way. */
function judge(
  folder: AbandonedFolder,
  own: ReadonlySet<string>,
  { abandonedAfterMs }: PruneRequest,
  now: Date,
): JudgedFolder {
  const foreign = [...folder.objects.keys()].find((name) => !isOwnFile(name));
  if (foreign !== undefined) {
    return { folder, action: "keep", reason: `has "${foreign}", which is not dbbackup's` };
  }
  if (!isKnownKind(folder.kind)) {
    return { folder, action: "keep", reason: `of kind "${folder.kind}", which is not known here` };
  }
  if (folder.objects.has("hold")) return { folder, action: "keep", reason: "on hold" };
  if (own.has(folder.prefix)) {
    return { folder, action: "drop", reason: "left by a run of this machine" };
  }
  return now.getTime() - folder.newestAt.getTime() > abandonedAfterMs
    ? { folder, action: "drop", reason: "abandoned" }
    : { folder, action: "keep", reason: "may be under way" };
}

function folderResult(
  { prefix, id, newestAt, storedBytes }: AbandonedFolder,
  reason: string,
  outcome: PruneOutcome,
): PrunedFolder {
  return { prefix, id, newestAt, storedBytes, reason, outcome };
}

/** Drops newest first, so that nothing is left without what it builds on. */
async function dropBackups(
  decisions: readonly RetentionDecision<SurveyedBackup>[],
  unfinished: readonly AbandonedFolder[],
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<PrunedBackup[]> {
  const results: PrunedBackup[] = [];
  // What is still there and names a parent keeps that parent, whatever was decided.
  const children = new Map<string, number>();
  // So does what is under way, or still open.
  for (const { parentId } of [...decisions.map(({ ref }) => ref), ...unfinished]) {
    if (parentId !== undefined) children.set(parentId, (children.get(parentId) ?? 0) + 1);
  }
  let hasFailed = false;
  for (const decision of decisions) {
    const { ref, action } = decision;
    if (action === "keep") {
      results.push({ ...decision, outcome: { status: "kept" } });
      continue;
    }
    if ((children.get(ref.id) ?? 0) > 0) {
      const reasons = ["what builds on it is still there"];
      results.push({ ...decision, action: "keep", reasons, outcome: { status: "kept" } });
      continue;
    }
    const outcome: PruneOutcome = hasFailed
      ? { status: "skipped" }
      : await outcomeOf(() => drop(ref, storage, history, o), o);
    // A lock says nothing of the others; anything else would go on failing.
    if (outcome.status === "failed" && outcome.error.code !== "storage/retained") hasFailed = true;
    if (outcome.status === "dropped" && ref.parentId !== undefined) {
      children.set(ref.parentId, children.get(ref.parentId)! - 1);
    }
    results.push({ ...decision, outcome });
  }
  return results;
}

async function drop(
  ref: SurveyedBackup,
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<PruneOutcome> {
  // Somebody on another machine may have put it since the list was taken.
  const hold = await storage.stat(ref.prefix + markName({ type: "hold" }), o);
  if (hold !== undefined) return { status: "kept" };
  return await dropFolder(ref, storage, history, o);
}

async function dropAbandoned(
  folders: readonly JudgedFolder[],
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<PrunedFolder[]> {
  const results: PrunedFolder[] = [];
  for (const { folder, action, reason } of folders) {
    const outcome: PruneOutcome = action === "keep"
      ? { status: "kept" }
      : await outcomeOf(() => dropFolder(folder, storage, history, o), o);
    results.push(folderResult(folder, reason, outcome));
  }
  return results;
}

// A check of the clock takes seconds.
const scratchAfterMs = 3_600_000;

/** Removes what no list shows as a folder. Best effort: it costs space and hides nothing. */
async function sweepLeftovers(
  { job, abandonedAfterMs }: PruneRequest,
  { backups, abandoned, scratch }: Survey,
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<number> {
  const now = o.runtime.now();
  let swept = 0;
  try {
    for (const { key, modifiedAt } of scratch) {
      if (now.getTime() - modifiedAt.getTime() <= scratchAfterMs) continue;
      await storage.delete(key, o).catch((error: unknown) => {
        // A bucket whose own default retains everything keeps these for their time, too.
        if (!hasCode(error, "storage/retained")) throw error;
      });
    }
    const listed = new Set([...backups, ...abandoned].map(({ prefix }) => prefix));
    for (const { run, prefix } of history.unfinished(job, storage.location)) {
      // A run that was killed before its first object was whole left only unfinished uploads.
      if (!listed.has(prefix)) swept += await storage.sweep(prefix, o);
      if (backups.some((ref) => ref.prefix === prefix) || !listed.has(prefix)) {
        history.settle(run, storage.location);
      }
    }
    // Other machines may be writing to this prefix, too.
    const before = new Date(now.getTime() - abandonedAfterMs);
    swept += await storage.sweep(jobPrefix(job), { ...o, before });
  } catch (error) {
    o.signal.throwIfAborted();
    if (!hasCode(error, "storage/")) throw error;
    o.runtime.log.warn("Cannot remove unfinished uploads at {location}: {error}", {
      location: storage.location,
      error: error.message,
    });
  }
  return swept;
}
