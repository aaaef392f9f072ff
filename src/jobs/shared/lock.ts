import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { z } from "zod";
import { escapeName } from "../../catalog/names.ts";
import { BackupError, hasCode, systemCode } from "../../core/errors.ts";
import { type Lock, tryLock, tryShare } from "../../core/lock.ts";
import { makeOwnFolder } from "../../core/own-folder.ts";
import { sleep } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { ownUid } from "../../core/user.ts";
import type { JobContext } from "./context.ts";

/** What a lock is about. */
export interface LockScope {
  readonly job: string;
  /** The connector's location: jobs of one name, of other configs, do not meet. */
  readonly location: string;
  /** The run that takes it, for the message that others get. */
  readonly run: string;
}

/** A lock that is held. */
export interface Held {
  release(): Promise<void>;
}

/**
 * Takes the lock of a job and its database. The kernel frees it when this process ends in any way.
 *
 * When the state folder cannot be used (full, read-only), the lock is taken in the system's
 * temporary folder instead, with a warning: a broken state disk must not stop a backup.
 *
 * @throws BackupError `locked/job` when another run has it; `config/lock-folder`,
 * `config/foreign-folder` where no lock can be made
 */
export async function holdJob(scope: LockScope, o: JobContext): Promise<Held> {
  const { lock, path, holder } = await takeNoted(lockName(scope), {
    run: scope.run,
    what: `backup of job "${scope.job}"`,
  }, o);
  if (lock === undefined) throw lockedError(scope, path, holder);
  return lock;
}

/** Who has a lock. */
export interface Holder {
  readonly run: string;
  /** `backup of job "shop"`. */
  readonly what: string;
}

const holderSchema = z.looseObject({
  run: z.string(),
  what: z.string(),
  pid: z.number(),
  since: z.string(),
});
/** What the note beside a lock says; undefined where there is none that can be read. */
export type HolderNote = z.infer<typeof holderSchema> | undefined;

/** A holder, for the message that others get. */
export function holderText(note: HolderNote): string {
  return note === undefined
    ? "another process"
    : `run ${note.run} (${note.what}, process ${note.pid}, since ${note.since})`;
}

/**
 * Takes a lock alone and notes beside it who has it, only for the message that others get: the lock
 * itself is the kernel's. Where another has it, says who.
 */
export async function takeNoted(
  name: string,
  { run, what }: Holder,
  o: JobContext,
): Promise<{
  lock: Held | undefined;
  path: string;
  holder?: HolderNote;
}> {
  const { lock, path } = await lockSomewhere(name, tryLock, o);
  const note = `${path}.holder`;
  if (lock === undefined) {
    const text = await readFile(note, "utf8").then(JSON.parse).catch(() => undefined);
    return { lock, path, holder: holderSchema.safeParse(text).data };
  }
  const facts = { pid: process.pid, host: hostname(), run, what, since: o.runtime.now() };
  await writeHolder(note, JSON.stringify(facts)).catch(() => {});
  const release = async () => {
    await rm(note, { force: true }).catch(() => {});
    lock.release();
  };
  return { lock: { release }, path };
}

/** A new file in any case: what somebody put there may be a link to another. */
async function writeHolder(path: string, text: string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, text, { mode: 0o600, flag: "wx" });
}

/** The backups of a job at some destinations. */
export interface KeepScope {
  readonly job: string;
  /** Of the storages. */
  readonly locations: readonly string[];
}

// The first prune of ten thousand backups over a slow network takes its time, and a backup that waits
// is better than none. Each of a prune's requests has a limit of its own, so that it ends.
const longestPruneMs = 60 * 60_000;
const askEveryMs = 100;

/**
 * Runs `use` while nothing of a job's backups can be pruned at these destinations, by any process of
 * this machine and user. Any number of backups, restores, checks and copies share this; while a prune
 * is under way, they wait for it.
 *
 * @throws BackupError `locked/prune` when it lasts longer than an hour
 */
export async function withBackupsKept<T>(
  { job, locations }: KeepScope,
  o: JobContext,
  use: () => Promise<T>,
): Promise<T> {
  const lock = await keepBackups({ job, locations }, o);
  try {
    return await use();
  } finally {
    lock.release();
  }
}

/** As {@link withBackupsKept}, until the lock is released. */
export async function keepBackups({ job, locations }: KeepScope, o: JobContext): Promise<Lock> {
  const locks: Lock[] = [];
  const release = () => locks.forEach((lock) => lock.release());
  try {
    for (const location of [...new Set(locations)].sort()) {
      locks.push(await shareWithPatience(job, location, o));
    }
    return { release };
  } catch (error) {
    release();
    throw error;
  }
}

async function shareWithPatience(job: string, location: string, o: JobContext): Promise<Lock> {
  const deadline = performance.now() + longestPruneMs;
  for (let asked = 0;; asked++) {
    const { lock, path } = await lockSomewhere(keepLockName(job, location), tryShare, o);
    if (lock !== undefined) return lock;
    if (asked === 0) {
      o.runtime.log.info("Waiting for the prune of {pruned} at {location}", {
        pruned: job,
        location,
      });
    }
    if (performance.now() > deadline) {
      throw new BackupError("locked/prune", `Backups of job "${job}" are being pruned`, {
        hint: "Wait for it to end, or stop it; the lock is freed by itself when its process ends.",
        details: { lock: path },
      });
    }
    await sleep(askEveryMs, o.signal);
  }
}

/**
 * Runs `use` while no backup, restore, verify or copy of a job is under way at a destination, by any
 * process of this machine and user.
 *
 * @throws BackupError `locked/backups` when one is
 */
export async function withPruneLock<T>(
  { job, location }: { readonly job: string; readonly location: string },
  o: JobContext,
  use: () => Promise<T>,
): Promise<T> {
  const { lock, path } = await lockSomewhere(keepLockName(job, location), tryLock, o);
  if (lock === undefined) {
    throw new BackupError(
      "locked/backups",
      `A backup, restore, verify or copy of job "${job}" is under way at ${location}`,
      { hint: "Prune again when it has ended.", details: { lock: path } },
    );
  }
  try {
    return await use();
  } finally {
    lock.release();
  }
}

function keepLockName(job: string, location: string): string {
  return `keep-${lockName({ job, location })}`;
}

// A run takes several locks, and its state folder is one.
const warned = new WeakSet<Runtime>();

/** In the state folder, or where that cannot be used in a folder of one's own. */
export async function lockSomewhere(
  name: string,
  take: (path: string) => Promise<Lock | undefined>,
  o: JobContext,
): Promise<{ lock: Lock | undefined; path: string }> {
  const folder = join(o.stateDir, "locks");
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, name);
    return { lock: await take(path), path };
  } catch (error) {
    if (!warned.has(o.runtime)) {
      warned.add(o.runtime);
      o.runtime.log.warn(
        "The state folder {stateDir} cannot be used ({error}), so locks are in the temporary folder",
        { stateDir: o.stateDir, error: systemCode(error) ?? String(error) },
      );
    }
  }
  const fallback = join(tmpdir(), `dbbackup-locks-${ownUid() ?? "user"}`);
  const path = join(fallback, name);
  try {
    await makeOwnFolder(fallback);
    return { lock: await take(path), path };
  } catch (cause) {
    if (hasCode(cause, "config/foreign-folder")) throw cause;
    throw new BackupError(
      "config/lock-folder",
      `Cannot lock in "${folder}", nor in "${fallback}": ${systemCode(cause) ?? String(cause)}`,
      {
        cause,
        hint: `Make "${o.stateDir}" writable for this user, or set stateDir to a folder that is.`,
      },
    );
  }
}

function lockName(scope: Pick<LockScope, "job" | "location">): string {
  const digest = createHash("sha256").update(scope.location).digest("hex").slice(0, 8);
  return `${escapeName(scope.job)}-${digest}.lock`;
}

function lockedError(scope: LockScope, path: string, holder: HolderNote): BackupError {
  const who = holderText(holder);
  return new BackupError(
    "locked/job",
    `${who[0]!.toUpperCase()}${who.slice(1)} holds the lock of job "${scope.job}"`,
    {
      hint: "Wait for it to end, or stop it; the lock is freed by itself when its process ends.",
      details: { lock: path },
    },
  );
}
