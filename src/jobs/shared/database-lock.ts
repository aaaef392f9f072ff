import { createHash } from "node:crypto";
import type { RestorePlan } from "../../contracts/restore.ts";
import type { SourceInfo } from "../../contracts/source.ts";
import { BackupError } from "../../core/errors.ts";
import { type Lock, tryShare } from "../../core/lock.ts";
import { sleep } from "../../core/retry.ts";
import {
  type Held,
  type Holder,
  type HolderNote,
  holderText,
  lockSomewhere,
  takeNoted,
} from "./lock.ts";
import type { JobContext } from "./context.ts";

/** One thing to hold while a database is used. */
export interface DatabaseHold {
  readonly id: string;
  /** Any number may share it; it only keeps out who wants it alone. */
  readonly isShared: boolean;
}

// Each lock is an open file, of which a process may have about a thousand.
const mostDatabases = 200;

/** What a backup holds: each of its databases, and a share in their server. */
export function backupHolds(
  { sourceId, locks }: SourceInfo,
  databases: readonly string[],
  location: string,
): DatabaseHold[] {
  const server = sourceId ?? location;
  return [
    ...holdsOf(server, locks ?? namesAt(server, databases)),
    // A restore whose connector cannot tell the server takes the place alone.
    { id: `place ${location}`, isShared: true },
  ];
}

/** What a restore holds: each database that it makes, fills or replaces. */
export function restoreHolds(
  { sourceId, locks, steps }: RestorePlan,
  location: string,
): DatabaseHold[] {
  if (sourceId === undefined && locks === undefined) {
    return [{ id: `place ${location}`, isShared: false }];
  }
  const server = sourceId ?? location;
  const names = steps.map(({ to }) => to);
  return [
    ...holdsOf(server, locks ?? namesAt(server, names)),
    { id: `place ${location}`, isShared: true },
  ];
}

function namesAt(server: string, names: readonly string[]): string[] {
  return names.map((name) => JSON.stringify([server, name]));
}

/** Where there are too many databases for a lock each, the server is held alone. */
function holdsOf(server: string, databases: readonly string[]): DatabaseHold[] {
  const isTooMany = databases.length > mostDatabases;
  const each = databases.map((id) => ({ id: `database ${id}`, isShared: false }));
  return [{ id: `server ${server}`, isShared: !isTooMany }, ...isTooMany ? [] : each];
}

/** Who uses the databases, for the message that others get. */
export interface DatabaseUse extends Holder {
  readonly holds: readonly DatabaseHold[];
}

// A full backup of the same database by another job takes its time, and a backup that waits is better
// than none.
const longestWaitMs = 60 * 60_000;
const askEveryMs = 250;

/** How another run that has a database is dealt with. */
export interface HoldOptions extends JobContext {
  /** Told once, when another run is waited for; absent, nothing is waited for. */
  readonly onWait?: (who: string) => void;
}

/**
 * Runs `work` while no other run of this machine and user goes into or out of the same databases,
 * whatever its job and however it spells their server.
 *
 * @throws as {@link holdDatabases}
 */
export async function withDatabases<T>(
  use: DatabaseUse,
  o: HoldOptions,
  work: () => Promise<T>,
): Promise<T> {
  const held = await holdDatabases(use, o);
  try {
    return await work();
  } finally {
    await held.release();
  }
}

/**
 * Keeps other runs away from the databases, until it is released.
 *
 * @throws BackupError `locked/database` when another run has one of them, for longer than an hour where
 * it is waited for
 */
export async function holdDatabases(use: DatabaseUse, o: HoldOptions): Promise<Held> {
  const deadline = performance.now() + longestWaitMs;
  for (let asked = 0;; asked++) {
    const { release, busy } = await tryAll(use, o);
    if (busy === undefined) return { release };
    if (o.onWait === undefined || performance.now() > deadline) throw inUse(busy);
    if (asked === 0) o.onWait(busy.who);
    await sleep(askEveryMs, o.signal);
  }
}

/** Takes all or none, so that no two runs wait for each other. */
async function tryAll(use: DatabaseUse, o: JobContext): Promise<{
  release: () => Promise<void>;
  busy?: { readonly who: string; readonly path: string };
}> {
  const taken: { release(): void | Promise<void> }[] = [];
  const release = async () => {
    for (const lock of taken.reverse()) await lock.release();
  };
  try {
    for (const { id, isShared } of use.holds) {
      const { lock, path, holder } = isShared
        ? await shared(id, o)
        : await takeNoted(fileName(id), use, o);
      if (lock === undefined) {
        await release();
        return { release, busy: { who: holderText(holder), path } };
      }
      taken.push(lock);
    }
    return { release };
  } catch (error) {
    await release();
    throw error;
  }
}

async function shared(
  id: string,
  o: JobContext,
): Promise<{ lock: Lock | undefined; path: string; holder?: HolderNote }> {
  return await lockSomewhere(fileName(id), tryShare, o);
}

function fileName(id: string): string {
  const digest = createHash("sha256").update(id).digest("hex").slice(0, 32);
  return `${id.slice(0, id.indexOf(" "))}-${digest}.lock`;
}

function inUse({ who, path }: { readonly who: string; readonly path: string }): BackupError {
  return new BackupError("locked/database", `The database is in use by ${who}`, {
    hint: "Wait for it to end, or stop it; the lock is freed by itself when its process ends.",
    details: { lock: path },
  });
}
