import type { DatabaseSync } from "node:sqlite";

/** A lock that is held until released or until this process ends, however it ends. */
export interface Lock {
  release(): void;
}

/**
 * Takes an exclusive lock on a file, or returns undefined when another process, or another holder
 * in this one, has it.
 *
 * It is an exclusive transaction on an empty SQLite file: the kernel frees it when the holder dies,
 * no process id is compared (ids are reused), and nothing is written, so a full disk is no obstacle.
 *
 * @throws the system's error when the file cannot be made or opened
 */
export async function tryLock(path: string): Promise<Lock | undefined> {
  // Lazy: commands that lock nothing do not pay for loading SQLite.
  const { DatabaseSync } = await import("node:sqlite");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    if (/database is locked|SQLITE_BUSY/.test(String(error))) return undefined;
    throw error;
  }
  const held = database;
  return {
    release() {
      if (held.isOpen) held.close();
    },
  };
}
