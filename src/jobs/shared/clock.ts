import { newBackupId, scratchKey } from "../../catalog/names.ts";
import { type Dated, isAhead, mostSkewMs } from "../../catalog/moment.ts";
import type { Storage } from "../../contracts/storage.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import { formatDuration, listed } from "../../core/text.ts";
import type { JobContext } from "./context.ts";

/** True for moments that two clocks may call the same. */
export function isNear(one: Date, other: Date): boolean {
  return Math.abs(one.getTime() - other.getTime()) <= mostSkewMs;
}

/** What is dated later than now, apart from the rest. */
export interface Sorted<R> {
  readonly current: readonly R[];
  /** Made by a machine whose clock was ahead, as far as anybody can tell. */
  readonly ahead: readonly R[];
}

/**
 * Sets aside what is dated later than now, unless the store's own clock bears it out: then it is this
 * machine's that is behind. Nothing else is a witness: a database server often shares its clock with
 * the machine that makes the backups. Where everything is dated so, nothing is set aside.
 */
export function withoutAhead<R>(
  all: readonly R[],
  refOf: (one: R) => Dated,
  now: Date,
): Sorted<R> {
  const isSetAside = (one: R) => refOf(one).storedAt === undefined && isAhead(refOf(one), now);
  const current = all.filter((one) => !isSetAside(one));
  return current.length === 0
    ? { current: all, ahead: [] }
    : { current, ahead: all.filter(isSetAside) };
}

/** What people are told of backups that are dated later than now. */
export function aheadWarning(ids: readonly string[], now: Date): string {
  const what = ids.length === 1 ? `Backup ${ids[0]} is` : `Backups ${listed(ids)} are`;
  const it = ids.length === 1 ? "it" : "each of them";
  return `${what} dated later than now (${
    now.toISOString().replace(/\.\d+Z$/, "Z")
  }) and not taken ` +
    `for the newest: the clock of the machine that made ${it} was ahead, and ` +
    `\`dbbackup delete ID\` removes it; or this machine's clock is behind`;
}

/**
 * Makes sure that this machine and the database server agree on what time it is.
 *
 * @param offsetMs the server's clock minus this machine's; null where it has none
 * @throws BackupError `storage/clock-skew` when they are more than 15 minutes apart
 */
export function assertServerClock(offsetMs: number | null): void {
  if (offsetMs === null || Math.abs(offsetMs) <= mostSkewMs) return;
  throw skewError(-offsetMs, "the database server");
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
    throw skewError(skewMs, storage.location);
  } finally {
    await removeScratch(key, put.version, storage, o);
  }
}

function skewError(skewMs: number, whose: string): BackupError {
  return new BackupError(
    "storage/clock-skew",
    `This machine's clock is ${formatDuration(Math.abs(skewMs))} ` +
      `${skewMs > 0 ? "ahead of" : "behind"} that of ${whose}`,
    { hint: "Set the clock right; nothing is deleted while ages cannot be told." },
  );
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
