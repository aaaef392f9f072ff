import { lstat, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { isGone, storageError } from "./errors.ts";
import { assertInside, removeEmptyFolders } from "./folders.ts";
import { isFitPart, prefixParts, temporaryPrefix } from "./key.ts";

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
