import { Buffer } from "node:buffer";
import { mkdir, readdir, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { BackupError } from "./errors.ts";
import { formatBytes } from "./text.ts";
import { type Lock, tryLock } from "./lock.ts";
import type { Runtime } from "./runtime.ts";

const prefix = "dbbackup-tmp-";

/** How the folders start that hold a child's secrets for the moment in which it starts. */
export const secretsPrefix = "dbbackup-fd-";

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
  } finally {
    lock?.release();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes the temporary folders of processes that are gone. Failures are left for the next time. */
export async function sweepTempDirs(runtime: Runtime): Promise<void> {
  const names = await readdir(runtime.tempDir).catch(() => []);
  const isOurs = (name: string) => name.startsWith(prefix) || name.startsWith(secretsPrefix);
  for (const name of names.filter(isOurs)) {
    const folder = join(runtime.tempDir, name);
    try {
      // One that is being made this moment is not locked yet.
      if (runtime.now().getTime() - (await stat(folder)).mtimeMs < 60_000) continue;
      const lock = await tryLock(join(folder, "lock"));
      if (lock === undefined) continue;
      lock.release();
      await rm(folder, { recursive: true, force: true });
    } catch {
      // Another user's folder: not ours to remove.
    }
  }
}

async function assertSpace(tempDir: string, needBytes: number): Promise<void> {
  const space = await statfs(tempDir).catch((cause) => {
    throw new BackupError("storage/temp-dir", `Cannot use the temporary folder "${tempDir}"`, {
      cause,
      hint: "Make the folder, or name another with tempDir in the config or TMPDIR.",
    });
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
    throw new BackupError("storage/temp-dir", `Cannot make a folder in "${runtime.tempDir}"`, {
      cause,
      hint: "Check its owner and mode, or name another with tempDir in the config or TMPDIR.",
    });
  }
}
