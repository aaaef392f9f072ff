import type { Dirent } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectInfo } from "../../contracts/storage.ts";
import type { Abortable } from "../../core/bytes.ts";
import { systemCode } from "../../core/errors.ts";
import { isGone, storageError } from "./errors.ts";
import { assertInside, missingRoot } from "./folders.ts";
import { isFitPart, prefixParts } from "./key.ts";

/**
 * Walks the files below a folder. Unfinished files, links and whatever else is no plain file are
 * passed over, and so is what vanishes meanwhile.
 */
export async function* listObjects(
  root: string,
  prefix: string,
  o: Abortable,
): AsyncGenerator<ObjectInfo> {
  const parts = prefixParts(prefix);
  try {
    await lstat(root);
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw missingRoot(root, error);
    throw await storageError(error, "list", root);
  }
  try {
    await assertInside(root, parts);
  } catch (error) {
    if (isGone(error)) return;
    throw await storageError(error, "list", join(root, ...parts));
  }
  yield* walk(root, parts, o.signal);
}

async function* walk(
  root: string,
  parts: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo> {
  for (const entry of await entriesOf(root, parts)) {
    signal.throwIfAborted();
    if (!isFitPart(entry.name)) continue;
    const below = [...parts, entry.name];
    if (entry.isDirectory()) yield* walk(root, below, signal);
    else if (entry.isFile()) yield* describe(root, below);
  }
}

async function entriesOf(root: string, parts: readonly string[]): Promise<Dirent[]> {
  const folder = join(root, ...parts);
  try {
    const entries: Dirent[] = [];
    for await (const entry of await opendir(folder)) entries.push(entry);
    return entries;
  } catch (error) {
    if (parts.length > 0 && isGone(error)) return [];
    // Every ext file system's top folder has one, and only root may look inside.
    const isLostAndFound = parts.length === 1 && parts[0] === "lost+found";
    if (isLostAndFound && systemCode(error) === "EACCES") return [];
    throw await storageError(error, "list", folder);
  }
}

async function* describe(root: string, parts: readonly string[]): AsyncGenerator<ObjectInfo> {
  const path = join(root, ...parts);
  try {
    const info = await lstat(path);
    if (info.isFile()) yield { key: parts.join("/"), bytes: info.size, modifiedAt: info.mtime };
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw await storageError(error, "look at", path);
  }
}
