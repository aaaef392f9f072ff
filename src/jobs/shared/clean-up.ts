import { manifestName } from "../../contracts/manifest.ts";
import type { Storage } from "../../contracts/storage.ts";
import { hasCode } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { OpenDestination } from "./destinations.ts";
import type { History } from "./history.ts";
import { withPruneLock } from "./lock.ts";
import type { JobContext } from "./context.ts";

// Cleaning goes on after an interrupt, so it has a limit of its own.
const cleanUpTimeoutMs = 30_000;

/**
 * Removes what earlier runs and copies of this job left when their process was killed: exactly the folders that
 * this machine's own record names, and only those without a manifest. Where another run or a restore
 * of the job is alive, which may be of another database by the same name, a later run does it.
 */
export async function cleanUpAfterCrash(
  job: string,
  destinations: readonly OpenDestination[],
  history: History,
  o: JobContext & {
    /** Folders that are about to be completed: only what is unfinished in them goes. */
    readonly resumed?: ReadonlySet<string>;
  },
): Promise<void> {
  for (const { storage } of destinations) {
    const { location } = storage;
    const unfinished = history.unfinished(job, location);
    if (unfinished.length === 0) continue;
    try {
      await withPruneLock({ job, location }, o, async () => {
        for (const { run, prefix } of unfinished) {
          if (o.resumed?.has(prefix) === true) await storage.sweep(prefix, o);
          else await settleFolder(run, prefix, storage, history, o);
        }
      });
    } catch (error) {
      if (!hasCode(error, "locked/")) throw error;
      o.runtime.log.debug("Not cleaning up: {reason}", { reason: error.message });
    }
  }
}

/**
 * Removes what a failed run wrote at a destination. It may not throw: when it cannot finish, the
 * record stays and the next run does it.
 */
export async function cleanUpRun(
  run: string,
  prefix: string,
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<void> {
  const patient = { ...o, signal: AbortSignal.timeout(cleanUpTimeoutMs) };
  await settleFolder(run, prefix, storage, history, patient);
}

async function settleFolder(
  run: string,
  prefix: string,
  storage: Storage,
  history: History,
  o: JobContext,
): Promise<void> {
  const { log } = o.runtime;
  try {
    if (await storage.stat(prefix + manifestName, o) === undefined) {
      const removed = await removeFolder(storage, prefix, o);
      if (removed > 0) {
        log.info("Removed {removed} of failed run {run}", {
          removed: counted(removed, "object"),
          run,
        });
      }
    }
    history.settle(run, storage.location);
  } catch (error) {
    // A disk that is not mounted: there is nothing to say that the run's own error does not.
    if (hasCode(error, "storage/not-found")) return;
    log.warn(
      "Cannot remove what run {run} left in {prefix} at {location}: {error}. The next run tries.",
      {
        run,
        location: storage.location,
        prefix,
        error: error instanceof Error ? error.message : String(error),
      },
    );
  }
}

/** Deletes every object under a prefix, finished or not, and says how many. */
async function removeFolder(storage: Storage, prefix: string, o: JobContext): Promise<number> {
  const keys: string[] = [];
  for await (const { key } of storage.list(prefix, o)) keys.push(key);
  for (const key of keys) await storage.delete(key, o);
  return keys.length + await storage.sweep(prefix, o);
}
