import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectInfo } from "../../contracts/storage.ts";
import { isGone, storageError } from "./errors.ts";
import { assertInside } from "./folders.ts";
import { partsOf } from "./key.ts";

/** Describes a file; undefined when there is none. */
export async function statObject(root: string, key: string): Promise<ObjectInfo | undefined> {
  const parts = partsOf(key);
  const path = join(root, ...parts);
  try {
    await assertInside(root, parts.slice(0, -1));
    const info = await lstat(path);
    return info.isFile() ? { key, bytes: info.size, modifiedAt: info.mtime } : undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw await storageError(error, "look at", path);
  }
}
