import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { escapeName } from "../catalog/names.ts";
import { BackupError } from "../core/errors.ts";
import { type Lock, tryLock } from "../core/lock.ts";
import type { JobContext } from "./types.ts";

/** What a lock is about. */
export interface LockScope {
  readonly job: string;
  /** The connector's location: a restore into the same database meets the job's own lock. */
  readonly location: string;
  /** The run that takes it, for the message that others get. */
  readonly run: string;
}

/**
 * Runs `use` while holding the lock of a job and its database. The kernel frees the lock when this
 * process ends in any way.
 *
 * When the state folder cannot be used (full, read-only), the lock is taken in the system's
 * temporary folder instead, with a warning: a broken state disk must not stop a backup.
 *
 * @throws BackupError `locked/job` when another run has it
 */
export async function withJobLock<T>(
  scope: LockScope,
  o: JobContext,
  use: () => Promise<T>,
): Promise<T> {
  const name = lockName(scope);
  const { lock, path } = await lockSomewhere(name, o);
  if (lock === undefined) throw await lockedError(scope, path);
  const holder = `${path}.holder`;
  const facts = { pid: process.pid, host: hostname(), run: scope.run, since: o.runtime.now() };
  // Only for the message that others get; the lock itself is the kernel's.
  await writeFile(holder, JSON.stringify(facts), { mode: 0o600 }).catch(() => {});
  try {
    return await use();
  } finally {
    await rm(holder, { force: true }).catch(() => {});
    lock.release();
  }
}

async function lockSomewhere(
  name: string,
  o: JobContext,
): Promise<{ lock: Lock | undefined; path: string }> {
  const folder = join(o.stateDir, "locks");
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, name);
    return { lock: await tryLock(path), path };
  } catch (error) {
    o.runtime.log.warn("Cannot lock in {folder}, so the lock is in the temporary folder: {error}", {
      folder,
      error: String(error),
    });
  }
  const fallback = join(tmpdir(), `dbbackup-locks-${userInfo().uid}`);
  const path = join(fallback, name);
  try {
    await mkdir(fallback, { recursive: true, mode: 0o700 });
    return { lock: await tryLock(path), path };
  } catch (cause) {
    throw new BackupError("locked/unavailable", `Cannot make a lock file, "${path}"`, {
      cause,
      hint: `Make "${o.stateDir}" writable for this user, or set stateDir to a folder that is.`,
    });
  }
}

function lockName(scope: LockScope): string {
  const digest = createHash("sha256").update(scope.location).digest("hex").slice(0, 8);
  return `${escapeName(scope.job)}-${digest}.lock`;
}

async function lockedError(scope: LockScope, path: string): Promise<BackupError> {
  const holder = await readFile(`${path}.holder`, "utf8").then(JSON.parse).catch(() => undefined);
  const who = holder === undefined
    ? "Another process"
    : `Run ${holder.run} (process ${holder.pid}, since ${holder.since})`;
  return new BackupError("locked/job", `${who} holds the lock of job "${scope.job}"`, {
    hint: "Wait for it to end, or stop it; the lock is freed by itself when its process ends.",
    details: { lock: path },
  });
}
