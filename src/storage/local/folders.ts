import { chmod, lstat, mkdir, open, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BackupError, systemCode } from "../../core/errors.ts";

/**
 * Makes the folders of a key below the root, and the root itself where only it is missing.
 *
 * @returns the folder, and those that were made, outermost first
 * @throws BackupError `storage/not-found` when the root's parent is missing, `storage/bad-key` when
 * a symbolic link is in the way; else the system's error
 */
export async function makeFolders(
  root: string,
  parts: readonly string[],
): Promise<{ folder: string; made: string[] }> {
  const made: string[] = [];
  if (await makeRoot(root)) made.push(root);
  let folder = root;
  for (const part of parts) {
    folder = join(folder, part);
    if (await makeFolder(folder)) made.push(folder);
  }
  // Each new name must survive a power cut before what lies below it is called durable.
  for (const one of made) await syncFolder(dirname(one));
  return { folder, made };
}

async function makeRoot(root: string): Promise<boolean> {
  try {
    return await makeFolder(root, true);
  } catch (cause) {
    if (systemCode(cause) !== "ENOENT") throw cause;
    throw missingRoot(root, cause);
  }
}

/** The error for a destination's folder that is not there. */
export function missingRoot(root: string, cause?: unknown): BackupError {
  return new BackupError("storage/not-found", `The destination "${root}" does not exist`, {
    cause,
    hint: "Check the path and that its disk is mounted. A backup makes the folder itself, " +
      `but not the folder above it (${dirname(root)}).`,
  });
}

/** Makes one folder of mode 0700; false when it is there already. */
async function makeFolder(path: string, isRoot = false): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    // The umask may have taken bits away.
    await chmod(path, 0o700);
    return true;
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    // The root may be a link: the user named it. Below it, a link could lead anywhere.
    if (!isRoot) await assertFolder(path);
    return false;
  }
}

/**
 * Makes sure that the folders of a key are folders, not links that could lead out of the root.
 *
 * @throws BackupError `storage/bad-key`; the system's error when one is missing
 */
export async function assertInside(root: string, parts: readonly string[]): Promise<void> {
  let folder = root;
  for (const part of parts) {
    folder = join(folder, part);
    await assertFolder(folder);
  }
}

async function assertFolder(path: string): Promise<void> {
  const info = await lstat(path);
  if (info.isDirectory()) return;
  if (!info.isSymbolicLink()) throw Object.assign(new Error("not a folder"), { code: "ENOTDIR" });
  throw new BackupError("storage/bad-key", `Cannot use "${path}": it is a symbolic link`, {
    hint: "dbbackup follows no links below a destination's folder. Move it out of the way.",
  });
}

/** Makes the names in a folder durable, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r").catch((error) => {
    // Windows opens no folders, and one that may be written but not read cannot be synced.
    if (["EISDIR", "EPERM", "EACCES", "EINVAL"].includes(systemCode(error) ?? "")) return undefined;
    throw error;
  });
  if (handle === undefined) return;
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems have no fsync for folders; their server answers for them.
    if (!["EINVAL", "ENOTSUP", "EOPNOTSUPP", "EPERM"].includes(systemCode(error) ?? "")) {
      throw error;
    }
  } finally {
    await handle.close();
  }
}

/** Removes folders that are empty, innermost first, up to the root and without it. */
export async function removeEmptyFolders(root: string, parts: readonly string[]): Promise<void> {
  for (let depth = parts.length; depth > 0; depth--) {
    const folder = join(root, ...parts.slice(0, depth));
    try {
      await rmdir(folder);
    } catch (error) {
      if (systemCode(error) === "ENOENT") continue;
      return;
    }
    await syncFolder(dirname(folder)).catch(() => {});
  }
}
