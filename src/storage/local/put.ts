import { type FileHandle, link, lstat, open, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectInfo } from "../../contracts/storage.ts";
import { type Abortable, type Bytes, bytesOf } from "../../core/bytes.ts";
import { BackupError, systemCode } from "../../core/errors.ts";
import { storageError } from "./errors.ts";
import { makeFolders, removeEmptyFolders, syncFolder } from "./folders.ts";
import { partsOf, temporaryPrefix } from "./key.ts";
import { writeAll } from "./write.ts";

/**
 * Writes a file all or nothing: under a temporary name in the same folder, made durable, then given
 * its name by a step that fails when the name is taken, then the folder made durable, too.
 *
 * @param freshName unique among the unfinished files of the folder.
 */
export async function putObject(
  root: string,
  key: string,
  body: Bytes | Uint8Array,
  freshName: string,
  o: Abortable & { retainUntil?: Date | "none" },
): Promise<ObjectInfo> {
  const parts = partsOf(key);
  if (o.retainUntil !== undefined && o.retainUntil !== "none") {
    throw new BackupError("storage/retained", "A local folder cannot hold objects until a date", {
      hint: "Use a store with object lock for this job, or drop the retention lock.",
    });
  }
  const path = join(root, ...parts);
  const folders = parts.slice(0, -1);
  try {
    o.signal.throwIfAborted();
    const temporary = join(root, ...folders, temporaryPrefix + freshName);
    const handle = await openTemporary(root, folders, temporary, path);
    try {
      const bytes = await fill(handle, body instanceof Uint8Array ? bytesOf(body) : body, o.signal);
      await commit(temporary, path);
      return { key, bytes, modifiedAt: (await lstat(path)).mtime };
    } finally {
      await rm(temporary, { force: true });
    }
  } catch (error) {
    await removeEmptyFolders(root, folders);
    throw await storageError(error, "write", path);
  }
}

async function openTemporary(
  root: string,
  folders: readonly string[],
  temporary: string,
  path: string,
): Promise<FileHandle> {
  for (let attempt = 1;; attempt++) {
    await makeFolders(root, folders);
    await assertFree(path);
    try {
      const handle = await open(temporary, "wx", 0o600);
      // The umask may have taken bits away.
      await handle.chmod(0o600);
      return handle;
    } catch (error) {
      // A delete of the folder's last object may just have removed the folder.
      if (systemCode(error) !== "ENOENT" || attempt === 3) throw error;
    }
  }
}

/** Tells early that the name is taken; {@link commit} is what makes sure. */
async function assertFree(path: string): Promise<void> {
  const there = await lstat(path).catch((error) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (there !== undefined) throw taken(path);
}

function taken(path: string, cause?: unknown): BackupError {
  return new BackupError("storage/exists", `Cannot write "${path}": it exists already`, {
    cause,
    hint: "Nothing is ever overwritten. Delete it first if it is not needed.",
  });
}

async function fill(handle: FileHandle, body: Bytes, signal: AbortSignal): Promise<number> {
  try {
    const bytes = await writeAll(handle, body, signal);
    signal.throwIfAborted();
    await handle.sync();
    signal.throwIfAborted();
    return bytes;
  } finally {
    await handle.close();
  }
}

async function commit(temporary: string, path: string): Promise<void> {
  try {
    // Unlike a rename, a link never replaces what is there.
    await link(temporary, path);
    await unlink(temporary);
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (code === "EEXIST") throw taken(path, error);
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL"].includes(code)) {
      throw error;
    }
    await renameExclusively(temporary, path);
  }
  await syncFolder(join(path, ".."));
}

/** For file systems without links (FAT, some network shares): who makes the claim may rename. */
async function renameExclusively(temporary: string, path: string): Promise<void> {
  const claim = join(path, "..", `${temporaryPrefix}claim-${path.split(/[\\/]/).at(-1)}`);
  const handle = await open(claim, "wx", 0o600).catch((cause) => {
    if (systemCode(cause) !== "EEXIST") throw cause;
    throw new BackupError("storage/unavailable", `Another process is writing "${path}"`, {
      cause,
      hint: `If none is, delete "${claim}".`,
    });
  });
  try {
    await assertFree(path);
    await rename(temporary, path);
  } finally {
    await handle.close();
    await rm(claim, { force: true });
  }
}
