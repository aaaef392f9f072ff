import type { MongoClient } from "mongodb";
import type { RestoreStep } from "../../contracts/restore.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import type { RestoreContext } from "./context.ts";
import { unmark } from "./leftover.ts";
import type { Selection } from "./selection.ts";
import { collectionNames } from "./target.ts";

/** Drops what a step replaces; a database that the server needs itself, collection by collection. */
export async function clear(
  client: MongoClient,
  step: RestoreStep,
  selection: Selection,
): Promise<void> {
  const db = client.db(step.to);
  if (!selection.isPartial && step.to !== "admin") {
    await db.dropDatabase();
    return;
  }
  await unmark(db);
  for (const name of await collectionNames(client, step.to)) {
    if (!selection.isPartial || selection.has(step.from, name)) await db.dropCollection(name);
  }
}

/** Removes what a failed restore left where nothing was before. */
export async function undo(steps: readonly RestoreStep[], r: RestoreContext): Promise<void> {
  // After an abort, too: the server is asked for as long as it answers.
  const o = { signal: new AbortController().signal };
  for (const step of steps) {
    if (step.mode === "replace") continue;
    // The failure itself matters more than one to clean up, which may have the same cause.
    await r.client.ask((driver) => clear(driver, step, r.selection), o).catch((error) => {
      r.runtime.log.warn('Database "{to}" could not be emptied again: {error}', {
        ...{ to: step.to, error: toBackupError(error).message },
      });
    });
  }
}

/** Undoes what can be undone, and says what holds a part only. */
export async function withTheRest(
  error: unknown,
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<unknown> {
  const details = error instanceof BackupError ? error.details?.["failed"] : undefined;
  const failed = Array.isArray(details) ? steps.filter(({ to }) => details.includes(to)) : steps;
  await undo(failed, r);
  const parts = failed.filter(({ mode }) => mode === "replace").map(({ to }) => `"${to}"`);
  if (parts.length > 0) {
    r.runtime.log.warn(
      "{names} was emptied for this restore and holds only a part of the backup, if anything: " +
        "restore again with --overwrite",
      { names: parts.join(", ") },
    );
  }
  return error;
}
