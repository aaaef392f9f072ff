import { lstat, readdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemCode } from "../../core/errors.ts";
import { storageError } from "./errors.ts";
import { assertInside, removeEmptyFolders, syncFolder } from "./folders.ts";
import { isFitPart, partsOf, prefixParts, temporaryPrefix } from "./key.ts";

/** Deletes a file, and the folders that it leaves empty. */
export async function deleteObject(root: string, key: string): Promise<void> {
  const parts = partsOf(key);
  const path = join(root, ...parts);
  try {
    await assertInside(root, parts.slice(0, -1));
    await unlink(path);
    await syncFolder(dirname(path));
    await removeEmptyFolders(root, parts.slice(0, -1));
  } catch (error) {
    if (isGone(error)) return;
    throw await storageError(error, "delete", path);
  }
}

/**
 * Deletes the unfinished files under a prefix, and the folders that this leaves empty.
 *
 * @param before only files that were last written to before this moment
 * @returns how many files there were
 */
export async function sweepFolder(root: string, prefix: string, before?: Date): Promise<number> {
  const parts = prefixParts(prefix);
  const folder = join(root, ...parts);
  let removed = 0;
  try {
    await assertInside(root, parts);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name.startsWith(temporaryPrefix)) {
        const path = join(folder, entry.name);
        if (before !== undefined && (await lstat(path)).mtime >= before) continue;
        await unlink(path);
        removed++;
      } else if (entry.isDirectory() && isFitPart(entry.name)) {
        removed += await sweepFolder(root, `${prefix}${entry.name}/`, before);
      }
    }
    await removeEmptyFolders(root, parts);
    return removed;
  } catch (error) {
    if (isGone(error)) return removed;
    throw await storageError(error, "delete", folder);
  }
}

function isGone(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "");
}
