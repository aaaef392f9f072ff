import { mkdir, rename, rm } from "node:fs/promises";
import { renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { BackupError } from "../../core/errors.ts";

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

/** How a database of the state folder is opened. */
export interface StateDatabaseOptions {
  /** Statements for each opening, such as `PRAGMA journal_mode = WAL;`. */
  readonly pragmas: string;
  /**
   * What makes each version of the schema from the one before, oldest first: never changed, only added
   * to. The version is SQLite's `user_version`, 0 for a new file.
   */
  readonly migrations: readonly string[];
  /** Told once for each damaged file, with the name that it has now. */
  readonly onDamaged: (aside: string) => void;
}

/**
 * Opens a database of the state folder, making folder and file where needed, and brings its schema to
 * the newest version.
 *
 * @throws BackupError `config/newer-state` for one of a newer program; what SQLite and the file system
 * throw
 */
export async function openStateDatabase(
  path: string,
  o: StateDatabaseOptions,
): Promise<StateDatabase> {
  const { DatabaseSync } = await import("node:sqlite");
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });

  function open(): DatabaseSync {
    const opened = new DatabaseSync(path);
    try {
      opened.exec(o.pragmas);
      migrate(opened, path, o.migrations);
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

/** One transaction, so that a crash leaves the version before; another process may be first. */
function migrate(database: DatabaseSync, path: string, migrations: readonly string[]): void {
  if (versionOf(database) === migrations.length) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = versionOf(database);
    if (version > migrations.length) throw newerState(path, version, migrations.length);
    for (const statements of migrations.slice(version)) database.exec(statements);
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
}

function newerState(path: string, version: number, known: number): BackupError {
  return new BackupError(
    "config/newer-state",
    `"${path}" is of version ${version}, and this dbbackup knows up to ${known}`,
    { hint: "Use the dbbackup that made it or a newer one, or another stateDir." },
  );
}

// SQLite's write-ahead log and its index belong to the file that goes.
const logs = ["-wal", "-shm"];

// https://sqlite.org/rescode.html: SQLITE_CORRUPT and SQLITE_NOTADB, with what they are extended by.
const damageCodes: ReadonlySet<number> = new Set([11, 26]);

function isDamaged(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" &&
    damageCodes.has(error.errcode & 0xff);
}
