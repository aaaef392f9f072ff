import { Buffer } from "node:buffer";
import { lstat, mkdir, readdir, rm, statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import { BackupError, systemCode } from "./errors.ts";
import { formatBytes } from "./text.ts";
import { type Lock, tryLock } from "./lock.ts";
import type { Runtime } from "./runtime.ts";
import { ownUid } from "./user.ts";

const prefix = "dbbackup-tmp-";

/** How the files start that hold a child's secrets; they lose their names while they are empty. */
export const secretsPrefix = "dbbackup-fd-";

/** Memory, on Linux: what is written here never reaches a disk. Elsewhere it does not exist. */
export const memoryFolder = "/dev/shm";

/**
 * Runs `use` with a fresh folder of mode 0700 under the runtime's temporary folder, and removes the
 * folder afterwards. Folders that a killed process left are removed first: each holds a lock file
 * that only a living process keeps locked, or is there for less than a second.
 *
 * @param needBytes the space that `use` will need, checked before it starts.
 * @throws BackupError `storage/no-temp-space`, `storage/temp-dir`
 */
export async function withTempDir<T>(
  runtime: Runtime,
  needBytes: number,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  await sweepTempDirs(runtime);
  await assertSpace(runtime.tempDir, needBytes);
  const { folder, lock } = await makeTempDir(runtime);
  try {
    return await use(folder);
  } catch (error) {
    throw isFull(error) ? tempError(runtime.tempDir, error) : error;
  } finally {
    lock?.release();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Removes what processes that are gone left under the temporary folder: folders with copies of data,
 * files that were to hold a secret. Only this user's own are looked at, and no link is followed.
 * Failures are left for the next time.
 */
export async function sweepTempDirs(
  { tempDir, now }: Pick<Runtime, "tempDir" | "now">,
): Promise<void> {
  for (const folder of new Set([tempDir, memoryFolder])) {
    const names = await readdir(folder).catch(() => []);
    const isOurs = (name: string) => name.startsWith(prefix) || name.startsWith(secretsPrefix);
    for (const name of names.filter(isOurs)) {
      await sweepOne(join(folder, name), now()).catch(() => {});
    }
  }
}

async function sweepOne(path: string, now: Date): Promise<void> {
  const info = await lstat(path);
  const uid = ownUid();
  if (uid !== undefined && info.uid !== uid) return;
  // One that is being made this moment is not locked yet.
  if (now.getTime() - info.mtimeMs < freshMs) return;
  if (info.isFile()) return await unlink(path);
  // Others could have put a link named "lock" into a folder that is open to them.
  if (!info.isDirectory() || (uid !== undefined && (info.mode & 0o022) !== 0)) return;
  const lock = await tryLock(join(path, "lock"));
  if (lock === undefined) return;
  lock.release();
  await rm(path, { recursive: true, force: true });
}

const freshMs = 60_000;

async function assertSpace(tempDir: string, needBytes: number): Promise<void> {
  const space = await statfs(tempDir).catch((cause) => {
    throw tempError(tempDir, cause);
  });
  const freeBytes = space.bavail * space.bsize;
  if (freeBytes >= needBytes) return;
  throw new BackupError(
    "storage/no-temp-space",
    `The temporary folder "${tempDir}" has ${formatBytes(freeBytes)} free and ` +
      `${formatBytes(needBytes)} are needed`,
    { hint: "Free some space, or name a folder on a larger disk with tempDir or TMPDIR." },
  );
}

async function makeTempDir(
  runtime: Runtime,
): Promise<{ folder: string; lock: Lock | undefined }> {
  const id = Buffer.from(runtime.random(8)).toString("hex");
  const folder = join(runtime.tempDir, prefix + id);
  try {
    await mkdir(folder, { mode: 0o700 });
    return { folder, lock: await tryLock(join(folder, "lock")) };
  } catch (cause) {
    throw tempError(runtime.tempDir, cause);
  }
}

/** The error for a temporary folder that cannot be used, by the system's error. */
export function tempError(tempDir: string, cause: unknown): BackupError {
  if (isFull(cause)) {
    return new BackupError("storage/no-temp-space", `The temporary folder "${tempDir}" is full`, {
      cause,
      hint: "Free some space, or name a folder on a larger disk with tempDir or TMPDIR.",
    });
  }
  const code = systemCode(cause) ?? "";
  return new BackupError(
    "storage/temp-dir",
    `Cannot use the temporary folder "${tempDir}": ${reasons[code] ?? code}`,
    {
      cause,
      hint: "Make it a folder that this user can write, or name another with tempDir in the " +
        "config or TMPDIR.",
    },
  );
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist",
  ENOTDIR: "it is no folder",
  EACCES: "permission denied",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
};

/** A full disk, as the system says it or as SQLite does: SQLITE_FULL is 13. */
function isFull(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof BackupError) return false;
  if (["ENOSPC", "EDQUOT", "EFBIG"].includes(systemCode(error) ?? "")) return true;
  return error.name === "SqliteError" && Reflect.get(error, "code") === 13;
}
