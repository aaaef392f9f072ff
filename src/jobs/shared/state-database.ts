import { mkdir, rename, rm } from "node:fs/promises";
import { renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";

/** A small database in the state folder that may be lost, and is made anew when it is damaged. */
export interface StateDatabase {
  /**
   * Uses it; one that turns out damaged is put aside, and a new one is used.
   *
   * @throws what SQLite throws otherwise
   */
  use<T>(work: (database: DatabaseSync) => T): T;
  close(): void;
}

/**
 * Opens a database of the state folder, making folder, file and tables where needed.
 *
 * @param o.tables statements that make the tables, each `IF NOT EXISTS`
 * @param o.onDamaged told once for each damaged file, with the name that it has now
 * @throws what SQLite and the file system throw
 */
export async function openStateDatabase(
  path: string,
  o: { readonly tables: string; readonly onDamaged: (aside: string) => void },
): Promise<StateDatabase> {
  const { DatabaseSync } = await import("node:sqlite");
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });

  function open(): DatabaseSync {
    const opened = new DatabaseSync(path);
    try {
      opened.exec(o.tables);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  const aside = `${path}.damaged`;
  let database: DatabaseSync;
  try {
    database = open();
  } catch (error) {
    if (!isDamaged(error)) throw error;
    for (const suffix of logs) await rm(path + suffix, { force: true });
    await rename(path, aside);
    o.onDamaged(aside);
    database = open();
  }

  return {
    use(work) {
      try {
        return work(database);
      } catch (error) {
        if (!isDamaged(error)) throw error;
        database.close();
        for (const suffix of logs) rmSync(path + suffix, { force: true });
        renameSync(path, aside);
        o.onDamaged(aside);
        database = open();
        return work(database);
      }
    },
    close: () => database.close(),
  };
}

// SQLite's write-ahead log and its index belong to the file that goes.
const logs = ["-wal", "-shm"];

// https://sqlite.org/rescode.html: SQLITE_CORRUPT and SQLITE_NOTADB, with what they are extended by.
const damageCodes: ReadonlySet<number> = new Set([11, 26]);

function isDamaged(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" &&
    damageCodes.has(error.errcode & 0xff);
}
