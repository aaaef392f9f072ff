import { manifestName } from "../../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../../contracts/storage.ts";
import { hasCode, toBackupError } from "../../core/errors.ts";
import { mapSome } from "../../core/map-some.ts";
import type { History } from "../shared/history.ts";
import type { PruneOutcome } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

const requestsAtOnce = 8;

/**
 * Deletes a folder, whole or not at all as far as the store allows: first every object is asked
 * whether it is retained, then the manifest goes, then the rest. The folder is noted before, so that
 * after a crash the next run or prune finishes it.
 *
 * @throws those of the storage; then the note stays
 */
export async function dropFolder(
  { prefix, id, job, objects }: {
    readonly prefix: string;
    readonly id: string;
    readonly job: string;
    readonly objects: ReadonlyMap<string, ObjectInfo>;
  },
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<PruneOutcome> {
  const now = o.runtime.now();
  const infos = await mapSome(
    [...objects.values()],
    requestsAtOnce,
    ({ key }) => storage.stat(key, o),
  );
  const present = infos.filter((info) => info !== undefined);
  const until = Math.max(0, ...present.map(({ retainedUntil }) => retainedUntil?.getTime() ?? 0));
  if (until > now.getTime()) return { status: "retained", until: new Date(until) };

  const manifest = present.find(({ key }) => key === prefix + manifestName);
  const others = present.filter((info) => info !== manifest);
  history.begin(id, job, storage.location, prefix, now);
  if (manifest !== undefined) await deleteFirst(manifest, id, storage, history, o);
  await mapSome(others, requestsAtOnce, (info) => remove(info, storage, o));
  await storage.sweep(prefix, o);
  history.settle(id, storage.location);
  return { status: "dropped" };
}

/** Runs what drops a folder; what it throws is its outcome, unless the signal is why. */
export async function outcomeOf(
  run: () => Promise<PruneOutcome>,
  { signal }: JobContext,
): Promise<PruneOutcome> {
  try {
    return await run();
  } catch (error) {
    signal.throwIfAborted();
    return { status: "failed", error: toBackupError(error) };
  }
}

/** While the manifest is there, nothing has happened, and there is nothing to finish. */
async function deleteFirst(
  manifest: ObjectInfo,
  id: string,
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<void> {
  try {
    await remove(manifest, storage, o);
  } catch (error) {
    if (hasCode(error, "storage/retained")) history.settle(id, storage.location);
    throw error;
  }
}

/** On a versioned bucket the version itself: a plain delete would only hide it. */
async function remove({ key, version }: ObjectInfo, storage: Storage, o: JobContext) {
  await storage.delete(key, version === undefined ? o : { ...o, version });
}
