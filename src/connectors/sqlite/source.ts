import { access, constants, realpath, stat } from "node:fs/promises";
import process from "node:process";
import type { BigIntStats } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import {
  type Database,
  openDatabase,
  type OpenMode,
  sqliteCodes,
  SqliteError,
} from "./database.ts";
import { fileError, notAFile, readHeaderBytes, sidecars, statOrNone } from "./files.ts";
import { type Header, parseHeader } from "./header.ts";
import { inTurn } from "./turn.ts";

/** An open database file with what was learned before it was opened. */
export interface Source {
  readonly database: Database;
  /** The file itself, behind symbolic links. */
  readonly path: string;
  /** Undefined for a file of 0 bytes, which is an empty database. */
  readonly header: Header | undefined;
  /** Bytes of the file and its log together: the most that a copy can need. */
  readonly bytes: number;
}

/** Options of {@link withSource}. */
export type SourceOptions = Abortable & { readonly busyTimeoutMs: number };

/**
 * Opens a database to read, inside one read transaction, and leaves the file as it was found:
 *
 * - without a log, or with one that is in use, read only;
 * - in WAL mode but closed, read and write: a read-only connection would leave an empty `-wal` and a
 *   `-shm` behind, while the last one to write removes both;
 * - the same where this user cannot write, as immutable: no log can be there, and one that appears
 *   meanwhile, like any change of the file, fails the run.
 *
 * Only a database whose last writer crashed is changed: its log is recovered, as its own program
 * would on its next start.
 *
 * @throws BackupError `connection/no-database`, `connection/denied`, `connection/not-a-database`,
 * `dump/busy`, `dump/changed`, `dump/needs-recovery`
 */
export async function withSource<T>(
  path: string,
  o: SourceOptions,
  use: (source: Source) => Promise<T>,
): Promise<T> {
  const real = await realpath(path).catch((cause) => {
    throw fileError(path, cause);
  });
  return await inTurn(real, async () => {
    const before = await examine(real);
    const mode = await chooseMode(real, before);
    const database = await openForReading(real, mode, o);
    try {
      const result = await use({ ...before, database, path: real });
      if (mode === "immutable") await assertUnchanged(real, before.stats);
      return result;
    } catch (error) {
      throw databaseError(real, error);
    } finally {
      await database.close();
    }
  });
}

interface Examined {
  readonly header: Header | undefined;
  readonly bytes: number;
  readonly stats: BigIntStats;
}

async function examine(path: string): Promise<Examined> {
  try {
    const stats = await stat(path, { bigint: true });
    const log = await statOrNone(`${path}-wal`);
    const bytes = Number(stats.size + (log?.size ?? 0n));
    if (!stats.isFile()) throw notAFile(path, stats);
    if (stats.size === 0n) return { header: undefined, bytes, stats };
    const header = parseHeader(await readHeaderBytes(path));
    if (header === undefined) throw notADatabase(path);
    return { header, bytes, stats };
  } catch (error) {
    throw error instanceof BackupError ? error : fileError(path, error);
  }
}

async function chooseMode(path: string, { header, stats }: Examined): Promise<OpenMode> {
  const beside = await sidecars(path);
  if (header?.isWal !== true || beside.includes("-shm")) return "ro";
  if (!beside.includes("-wal")) return (await isWritable(path)) ? "rw" : "immutable";
  // To read a log without its index is to make the index, and it would belong to us: the database's
  // own user could not use it.
  const user = process.getuid?.();
  if (user === undefined || user === 0 || BigInt(user) === stats.uid) return "ro";
  throw new BackupError("dump/needs-recovery", `"${path}-wal" is there without its "-shm" file`, {
    hint: "The program that wrote it has crashed. Start it once, or run as the file's owner.",
  });
}

async function isWritable(path: string): Promise<boolean> {
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  const both = [path, folder].map((place) => access(place, constants.W_OK));
  return await Promise.all(both).then(() => true, () => false);
}

async function openForReading(path: string, mode: OpenMode, o: SourceOptions): Promise<Database> {
  const first = await openDatabase(path, mode, o);
  try {
    await beginReading(first, path, o);
    return first;
  } catch (error) {
    await first.close();
    // A journal that a crash left can only be rolled back by a connection that may write.
    if (!isSqlite(error, sqliteCodes.readOnly) || mode !== "ro") throw databaseError(path, error);
  }
  const second = await openDatabase(path, "rw", o);
  try {
    await beginReading(second, path, o);
    return second;
  } catch (error) {
    await second.close();
    throw databaseError(path, error);
  }
}

/** Starts the transaction; its first read fixes the snapshot. */
async function beginReading(database: Database, path: string, o: SourceOptions): Promise<void> {
  await whenFree(path, o, async () => {
    await database.exec("BEGIN");
    try {
      await database.all("SELECT count(*) FROM sqlite_schema");
    } catch (error) {
      await database.exec("ROLLBACK");
      throw error;
    }
  });
}

/**
 * Tries again while the database is locked.
 *
 * @throws BackupError `dump/busy` when it is still locked after the timeout
 */
export async function whenFree<T>(
  path: string,
  { signal, busyTimeoutMs }: SourceOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  const until = performance.now() + busyTimeoutMs;
  while (true) {
    try {
      return await attempt();
    } catch (error) {
      if (!isSqlite(error, sqliteCodes.busy)) throw error;
      if (performance.now() < until) {
        await sleep(50, undefined, { signal });
        continue;
      }
      throw new BackupError(
        "dump/busy",
        `"${path}" was locked by another program for ${busyTimeoutMs / 1000} s`,
        { cause: error, hint: "Wait for its long transaction, or raise busyTimeoutMs." },
      );
    }
  }
}

async function assertUnchanged(path: string, before: BigIntStats): Promise<void> {
  const now = await stat(path, { bigint: true });
  const isSame = now.size === before.size && now.mtimeNs === before.mtimeNs &&
    now.ctimeNs === before.ctimeNs && now.ino === before.ino;
  if (isSame && (await sidecars(path)).length === 0) return;
  throw new BackupError("dump/changed", `"${path}" was written while it was read without locks`, {
    hint:
      "Let this user write the file and its folder, so that SQLite can lock, or run as its owner.",
  });
}

/** True for SQLite's error of this primary result code. */
export function isSqlite(error: unknown, code: number): boolean {
  return error instanceof SqliteError && error.code === code;
}

/** The error of a file that is no SQLite database. */
export function notADatabase(path: string, cause?: unknown): BackupError {
  return new BackupError("connection/not-a-database", `"${path}" is not a SQLite database`, {
    cause,
    hint: "It is another kind of file, damaged at its start, or encrypted (SQLCipher, SEE).",
  });
}

/** Turns what SQLite says about a database that is read into what the user should know. */
export function databaseError(path: string, error: unknown): unknown {
  if (!(error instanceof SqliteError)) return error;
  const options = { cause: error };
  switch (error.code) {
    case sqliteCodes.notADatabase:
      return notADatabase(path, error);
    case sqliteCodes.corrupt:
      return new BackupError("dump/damaged-source", `The database "${path}" is damaged`, {
        ...options,
        hint: "Nothing was backed up. Restore an earlier backup, or try `sqlite3 FILE .recover`.",
      });
    case sqliteCodes.busy:
      return new BackupError("dump/busy", `"${path}" is locked by another program`, {
        ...options,
        hint: "Wait for its long transaction, or raise busyTimeoutMs.",
      });
    case sqliteCodes.permission:
    case sqliteCodes.readOnly:
    case sqliteCodes.cannotOpen:
      return new BackupError(
        "connection/denied",
        `This user may not open "${path}" as SQLite must`,
        {
          ...options,
          hint:
            "Run as the file's owner; SQLite also needs to write beside a database in WAL mode.",
        },
      );
    case sqliteCodes.full:
      // Reading needs no space: it is the copy's folder, whose owner tells of it.
      return error;
    default:
      return new BackupError("dump/failed", `SQLite cannot read "${path}": ${error.message}`, {
        ...options,
        hint: "Check the disk, and the file with `sqlite3 FILE 'PRAGMA integrity_check'`.",
      });
  }
}
