import { chmod, chown, link, rename, rm, writeFile } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BackupError, systemCode } from "../../core/errors.ts";
import type { RestoreStep } from "../../contracts/restore.ts";
import { type Database, openDatabase, sqliteCodes, SqliteError } from "./database.ts";
import {
  fileError,
  holdersOf,
  moveSidecars,
  readHeaderBytes,
  removeDatabase,
  statOrNone,
  syncFolderOf,
  syncPath,
} from "./files.ts";
import { keepingOf } from "./leftovers.ts";
import { isSqlite, type SourceOptions } from "./source.ts";
import { parseHeader } from "./header.ts";
import { inUse } from "./target.ts";
import { inTurn } from "./turn.ts";

/** Options of {@link install}. */
export type InstallOptions = SourceOptions & { readonly backupId: string };

/**
 * Puts a checked database in the target's place. Whatever happens, the path shows the old content
 * or the new one, whole.
 *
 * Over a database the new pages go through SQLite's own backup, in one transaction of the target: a
 * crash rolls back, and owner, group, mode, links and the file itself stay. A rename would not do:
 * a program that has the file open without a lock would go on in the old one, and leave a journal
 * beside the new one, which destroys it. Programs that hold a lock are refused all the same, since
 * what they have in memory would be of another time.
 *
 * Where the old file is no database any more, there is nobody to lock against, so it is renamed,
 * together with its log and journal: a log that is left beside the new file would be replayed into it.
 *
 * @throws BackupError `restore/in-use`, `restore/failed`, `connection/denied`
 */
export async function install(beside: string, step: RestoreStep, o: InstallOptions): Promise<void> {
  try {
    if (step.mode === "create") await create(beside, step.to, o);
    else await inTurn(step.to, () => replace(beside, step, o));
  } catch (error) {
    throw installError(step.to, error);
  }
}

async function create(beside: string, path: string, o: InstallOptions): Promise<void> {
  // What lies beside a database that is gone was its own, and must not get into the new one.
  await moveSidecars(path, `${path}_before_${o.backupId}`);
  // A link, unlike a rename, never replaces a file that came up meanwhile.
  await link(beside, path);
  await rm(beside);
  await syncFolderOf(path);
}

async function replace(beside: string, step: RestoreStep, o: InstallOptions): Promise<void> {
  const stats = await statOrNone(step.to);
  if (stats === undefined) return await create(beside, step.to, o);
  if (stats.size === 0n) await moveSidecars(step.to, `${step.to}_before_${o.backupId}`);
  // SQLite would delete the log and the journal of a file that it cannot make sense of.
  const isNone = stats.size > 0n && parseHeader(await readHeaderBytes(step.to)) === undefined;
  const claimed = isNone ? undefined : await claim(step.to, o);
  if (claimed === undefined) return await replaceBroken(beside, step, stats);
  try {
    await keep(claimed, step, stats, o);
    await allowPageSize(claimed, step.to, beside, o);
  } finally {
    await claimed.close();
  }
  try {
    await copyInto(beside, step.to, o);
  } catch (error) {
    // SQLite rolled back, so the old content is still in place and its copy is not needed.
    if (step.keptAs !== undefined) await rm(step.keptAs, { force: true });
    throw error;
  }
}

/** Takes the database for us alone; undefined when it is none. */
async function claim(path: string, o: SourceOptions): Promise<Database | undefined> {
  const database = await openDatabase(path, "rw", o);
  try {
    // In WAL mode an idle connection counts, too, once it has read anything.
    await database.exec("PRAGMA locking_mode = EXCLUSIVE");
    await waiting(o, () => database.exec("BEGIN EXCLUSIVE; ROLLBACK"));
    return database;
  } catch (error) {
    await database.close();
    const isNone = isSqlite(error, sqliteCodes.notADatabase) ||
      isSqlite(error, sqliteCodes.corrupt);
    if (isNone) return undefined;
    throw error;
  }
}

/** Long enough for a query that is just ending, short enough to tell a person. */
const claimTimeoutMs = 2_000;

async function waiting(o: SourceOptions, attempt: () => Promise<void>): Promise<void> {
  const until = performance.now() + Math.min(claimTimeoutMs, o.busyTimeoutMs);
  while (true) {
    try {
      return await attempt();
    } catch (error) {
      if (!isSqlite(error, sqliteCodes.busy) || performance.now() >= until) throw error;
      await sleep(50, undefined, { signal: o.signal });
    }
  }
}

/**
 * Copies the old database, log included, as its owner's from the first byte. Only the whole copy gets
 * the name that it is kept under, so that nobody takes a part of it for the database.
 */
async function keep(
  database: Database,
  { to, keptAs }: RestoreStep,
  stats: BigIntStats,
  { backupId }: InstallOptions,
): Promise<void> {
  if (keptAs === undefined) return;
  const copy = keepingOf(to, backupId);
  await writeFile(copy, "", { flag: "wx", mode: 0o600 });
  try {
    await giveAway(copy, stats);
    await database.backupTo(copy);
    await syncPath(copy);
    // A link, unlike a rename, never replaces a file that came up meanwhile.
    await link(copy, keptAs);
  } finally {
    await removeDatabase(copy);
  }
  await syncFolderOf(keptAs);
}

/** Backup cannot change the page size of a database in WAL mode. */
async function allowPageSize(
  database: Database,
  path: string,
  beside: string,
  o: SourceOptions,
): Promise<void> {
  const staged = await openDatabase(beside, "ro", o);
  try {
    const [[ours], [theirs]] = await Promise.all([
      staged.all("PRAGMA page_size"),
      database.all("PRAGMA page_size"),
    ]);
    if (ours?.["page_size"] === theirs?.["page_size"]) return;
    await database.all("PRAGMA journal_mode = DELETE");
    // An exclusive connection has no use for the log's index, so it does not remove it either.
    await rm(`${path}-shm`, { force: true });
  } finally {
    await staged.close();
  }
}

async function copyInto(beside: string, path: string, o: SourceOptions): Promise<void> {
  const staged = await openDatabase(beside, "ro", o);
  try {
    await waiting(o, () => staged.backupTo(path));
  } finally {
    await staged.close();
  }
}

async function replaceBroken(
  beside: string,
  { to, keptAs }: RestoreStep,
  stats: BigIntStats,
): Promise<void> {
  if (keptAs === undefined || (await holdersOf(to)).length > 0) throw inUse(to);
  await giveAway(beside, stats);
  await link(to, keptAs);
  await moveSidecars(to, keptAs);
  try {
    await rename(beside, to);
  } catch (error) {
    await moveSidecars(keptAs, to);
    await rm(keptAs);
    throw error;
  }
  await syncFolderOf(to);
}

/** Gives a file the owner, group and mode of another. */
async function giveAway(path: string, { uid, gid, mode }: BigIntStats): Promise<void> {
  await chown(path, Number(uid), Number(gid));
  await chmod(path, Number(mode) & 0o7777);
}

function installError(path: string, error: unknown): unknown {
  if (error instanceof SqliteError) {
    if (error.code === sqliteCodes.busy) return inUse(path, error);
    return new BackupError("restore/failed", `SQLite cannot write "${path}": ${error.message}`, {
      cause: error,
      hint: "The old content is still in place. Check the disk's space and who may write there.",
    });
  }
  const code = systemCode(error);
  if (error instanceof BackupError || code === undefined) return error;
  if (code === "EEXIST") {
    return new BackupError("restore/not-empty", `"${path}" came up during the restore`, {
      cause: error,
      hint: "Restore to another path, or pass --overwrite.",
    });
  }
  return fileError(path, error);
}
