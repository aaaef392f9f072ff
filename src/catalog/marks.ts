import { manifestName } from "../contracts/manifest.ts";
import type { Storage } from "../contracts/storage.ts";
import type { BackupRef, Mark } from "../contracts/strategy.ts";
import type { Abortable } from "../core/bytes.ts";
import { BackupError, hasCode } from "../core/errors.ts";
import { markName } from "./mark-names.ts";

/**
 * Marks a backup at one destination; a mark that is there already is fine.
 *
 * @throws BackupError `storage/not-found` when it is no backup any more; those of the storage
 */
export async function addMark(
  storage: Storage,
  { prefix }: Pick<BackupRef, "prefix">,
  mark: Mark,
  o: Abortable,
): Promise<void> {
  // Another machine may have pruned it, and the mark would be all that lies there.
  if (await storage.stat(prefix + manifestName, o) === undefined) {
    throw new BackupError("storage/not-found", `There is no backup at "${prefix}" any more`, {
      hint: "It was pruned since it was listed: `dbbackup list` shows what there is.",
    });
  }
  try {
    // A line for people: some stores and tools treat empty objects as folders.
    const body = new TextEncoder().encode(`${markName(mark)}\n`);
    // A mark has to go again: a released hold, a damaged copy that was healed.
    await storage.put(prefix + markName(mark), body, { ...o, retainUntil: "none" });
  } catch (error) {
    if (!hasCode(error, "storage/exists")) throw error;
  }
}

/** Takes a mark away, on a versioned bucket the version itself; a missing one is fine. */
export async function removeMark(
  storage: Storage,
  { prefix }: Pick<BackupRef, "prefix">,
  mark: Mark,
  o: Abortable,
): Promise<void> {
  const info = await storage.stat(prefix + markName(mark), o);
  if (info === undefined) return;
  await storage.delete(info.key, info.version === undefined ? o : { ...o, version: info.version });
}
