import { unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isGone, storageError } from "./errors.ts";
import { assertInside, removeEmptyFolders, syncFolder } from "./folders.ts";
import { partsOf } from "./key.ts";

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
