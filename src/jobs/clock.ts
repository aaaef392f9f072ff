import { newBackupId, scratchKey } from "../catalog/names.ts";
import type { Storage } from "../contracts/storage.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { BackupError, toBackupError } from "../core/errors.ts";
import { formatDuration } from "../core/text.ts";
import type { JobContext } from "./types.ts";

// What Kerberos and AWS signatures tolerate, 5 to 15 minutes, is what machines can be relied on for.
const mostSkewMs = 15 * 60_000;

/** True for moments that two clocks may call the same. */
export function isNear(one: Date, other: Date): boolean {
  return Math.abs(one.getTime() - other.getTime()) <= mostSkewMs;
}

/**
 * Makes sure that the clock is not behind a backup, which would make every age wrong.
 *
 * @throws BackupError `storage/clock-behind`
 */
export function assertNotBehind(backups: readonly BackupRef[], now: Date): void {
  const newest = backups.reduce((ms, { createdAt }) => Math.max(ms, createdAt.getTime()), 0);
  if (newest <= now.getTime()) return;
  const at = new Date(newest).toISOString();
  throw new BackupError(
    "storage/clock-behind",
    `This machine's clock says ${now.toISOString()}, and the newest backup is of ${at}`,
    { hint: "Set the clock right; nothing is deleted while ages cannot be told." },
  );
}

/**
 * Makes sure that this machine and the store agree on what time it is, by a small object that is put
 * and deleted.
 *
 * @throws BackupError `storage/clock-skew` when they are more than 15 minutes apart
 */
export async function assertStoreClock(storage: Storage, job: string, o: JobContext) {
  const key = scratchKey(job, newBackupId(o.runtime.random));
  const put = await storage.put(key, new TextEncoder().encode("clock\n"), {
    ...o,
    retainUntil: "none",
  });
  const now = o.runtime.now();
  try {
    // The store's own word, where a put only repeats what it was told.
    const stored = await storage.stat(key, o) ?? put;
    const skewMs = now.getTime() - stored.modifiedAt.getTime();
    if (isNear(stored.modifiedAt, now)) return;
    throw new BackupError(
      "storage/clock-skew",
      `This machine's clock is ${formatDuration(Math.abs(skewMs))} ` +
        `${skewMs > 0 ? "ahead of" : "behind"} that of ${storage.location}`,
      { hint: "Set the clock right; nothing is deleted while ages cannot be told." },
    );
  } finally {
    await removeScratch(key, put.version, storage, o);
  }
}

/** A bucket that retains everything keeps this, too; a later prune tries again. */
async function removeScratch(
  key: string,
  version: string | undefined,
  storage: Storage,
  o: JobContext,
): Promise<void> {
  try {
    await storage.delete(key, version === undefined ? o : { ...o, version });
  } catch (error) {
    o.runtime.log.debug("Cannot delete {key}: {error}", {
      key,
      error: toBackupError(error).message,
    });
  }
}
