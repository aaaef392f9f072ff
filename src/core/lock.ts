import { lstat } from "node:fs/promises";
import type { DatabaseSync } from "node:sqlite";
import { BackupError, systemCode } from "./errors.ts";

/** A lock that is held until released or until this process ends, however it ends. */
export interface Lock {
  release(): void;
}

/**
 * Takes a lock on a file that any number of holders can share and that keeps {@link tryLock} out, or
 * returns undefined when somebody has it exclusively.
 *
 * It is an open read transaction on an empty SQLite file; see {@link tryLock}.
 *
 * @throws the system's error when the file cannot be made or opened; BackupError
 * `config/foreign-file` when it is a link
 */
export function tryShare(path: string): Promise<Lock | undefined> {
  return hold(path, "BEGIN; SELECT count(*) FROM sqlite_schema");
}

/**
 * Takes an exclusive lock on a file, or returns undefined when another process, or another holder
 * in this one, has it.
 *
 * It is an exclusive transaction on an empty SQLite file: the kernel frees it when the holder dies,
 * no process id is compared (ids are reused), and nothing is written, so a full disk is no obstacle.
 *
 * @throws the system's error when the file cannot be made or opened; BackupError
 * `config/foreign-file` when it is a link
 */
export function tryLock(path: string): Promise<Lock | undefined> {
  return hold(path, "BEGIN EXCLUSIVE");
}

/** What is held, whoever forgets it: collected as garbage, a database would free its lock. */
const held = new Set<DatabaseSync>();

async function hold(path: string, transaction: string): Promise<Lock | undefined> {
  await assertNoLink(path);
  // Lazy: commands that lock nothing do not pay for loading SQLite.
  const { DatabaseSync } = await import("node:sqlite");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // In memory, because a journal beside the file would need space on the disk.
    database.exec(`PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; ${transaction}`);
  } catch (error) {
    database?.close();
    if (/database is locked|SQLITE_BUSY/.test(String(error))) return undefined;
    throw error;
  }
  const holder = database;
  held.add(holder);
  return {
    release() {
      if (held.delete(holder)) holder.close();
    },
  };
}

/** SQLite would follow a link, and make or lock a file that is none of ours. */
async function assertNoLink(path: string): Promise<void> {
  const info = await lstat(path).catch((error) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (info === undefined || info.isFile()) return;
  throw new BackupError("config/foreign-file", `Cannot use "${path}" as a lock: it is no file`, {
    hint: "Find out who put it there, and remove it.",
  });
}
