import { open, readdir, rename, rm, stat } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import { dirname, join } from "node:path";
import { BackupError, systemCode } from "../../core/errors.ts";
import { headerBytes } from "./header.ts";

/** What SQLite keeps beside a database: the write-ahead log, its index, the rollback journal. */
export const sidecarEndings = ["-wal", "-shm", "-journal"] as const;
/** See {@link sidecarEndings}. */
export type SidecarEnding = (typeof sidecarEndings)[number];

/** A file's state, or undefined when there is none. */
export async function statOrNone(path: string): Promise<BigIntStats | undefined> {
  return await stat(path, { bigint: true }).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return undefined;
    throw error;
  });
}

/** Which sidecars of a database are there. */
export async function sidecars(path: string): Promise<SidecarEnding[]> {
  const found = await Promise.all(
    sidecarEndings.map(async (ending) => await statOrNone(path + ending) && ending),
  );
  return found.filter((ending) => ending !== undefined);
}

/** Gives a database's sidecars another name, so that they go with a file that was renamed. */
export async function moveSidecars(from: string, to: string): Promise<void> {
  for (const ending of await sidecars(from)) await rename(from + ending, to + ending);
}

/** Removes a database that is ours, with its sidecars. */
export async function removeDatabase(path: string): Promise<void> {
  for (const ending of ["", ...sidecarEndings]) await rm(path + ending, { force: true });
}

/**
 * Reads the first bytes of a database.
 *
 * Closing any descriptor of a file drops all POSIX locks that this process has on it, so no
 * connection to the file may be open meanwhile; see {@link "./turn.ts"}.
 */
export async function readHeaderBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const bytes = new Uint8Array(headerBytes);
    const { bytesRead } = await handle.read(bytes, 0, headerBytes, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Makes a file's content, or the entries of a folder, durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the names in a file's folder durable. */
export async function syncFolderOf(path: string): Promise<void> {
  await syncPath(dirname(path));
}

/**
 * Processes that have a file open, as far as this user may see (Linux): for the one case in which
 * SQLite's locks cannot be asked, a file that is no longer a database.
 */
export async function holdersOf(path: string): Promise<string[]> {
  const file = await statOrNone(path);
  const processes = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const holders: string[] = [];
  for (const id of processes) {
    const folder = join("/proc", id, "fd");
    for (const descriptor of await readdir(folder).catch(() => [])) {
      const held = await stat(join(folder, descriptor), { bigint: true }).catch(() => undefined);
      if (held?.ino !== file?.ino || held?.dev !== file?.dev || held === undefined) continue;
      holders.push(id);
      break;
    }
  }
  return holders;
}

/** The error of a file that cannot be opened. */
export function fileError(path: string, cause: unknown): BackupError {
  const code = systemCode(cause);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new BackupError("connection/no-database", `There is no database file "${path}"`, {
      cause,
      hint: "Check the path; a relative one starts at the working directory.",
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new BackupError("connection/denied", `This user may not open "${path}"`, {
      cause,
      hint: "Run as the file's owner, or let this user read the file and its folder.",
    });
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new BackupError("restore/no-space", `The disk of "${path}" is full`, {
      cause,
      hint: "Free some space, or restore to a path on a larger disk. Nothing was changed.",
    });
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  return new BackupError("connection/unreachable", `Cannot open "${path}": ${message}`, {
    cause,
    hint: "Check the path, its links, and the disk that it lies on.",
  });
}

/** The error of something that is there and is no file. */
export function notAFile(path: string, stats: { isDirectory(): boolean }): BackupError {
  const what = stats.isDirectory() ? "a folder" : "no file, but a device, pipe or socket";
  return new BackupError("connection/not-a-database", `"${path}" is ${what}`, {
    hint: "Name the database file itself, such as DIR/app.db.",
  });
}
