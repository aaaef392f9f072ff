import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { BackupError, type ErrorCode, systemCode } from "../../core/errors.ts";
import { formatBytes } from "../../core/text.ts";

/**
 * Turns a file system's error into ours; what is ours already, or an abort's reason, stays.
 *
 * @param doing what failed, as the rest of "Cannot …": `write`.
 */
export async function storageError(
  error: unknown,
  doing: string,
  path: string,
): Promise<unknown> {
  const code = systemCode(error);
  if (error instanceof BackupError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) {
    return error;
  }
  const known = meanings[code] ?? { code: "storage/failed", text: code };
  const room = known.code === "storage/full" ? await freeSpace(path) : "";
  return new BackupError(known.code, `Cannot ${doing} "${path}": ${known.text}${room}`, {
    cause: error,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
  });
}

interface Meaning {
  readonly code: ErrorCode;
  readonly text: string;
  readonly hint?: string;
}

const full = "Free some space, prune old backups or name another destination.";
const denied = "Check the owner and mode of the folder, and the user that dbbackup runs as.";
const later = "Look at the network or the disk, then run again.";

const meanings: Readonly<Record<string, Meaning>> = {
  ENOENT: { code: "storage/not-found", text: "it does not exist" },
  ENOTDIR: {
    code: "storage/not-found",
    text: "a part of the path is not a folder",
    hint: "Correct the path, or move the file away that lies where a folder should be.",
  },
  EEXIST: { code: "storage/exists", text: "it exists already" },
  EISDIR: { code: "storage/failed", text: "it is a folder" },
  EACCES: { code: "storage/denied", text: "permission denied", hint: denied },
  EPERM: { code: "storage/denied", text: "not permitted", hint: denied },
  ENOSPC: { code: "storage/full", text: "no space left", hint: full },
  EDQUOT: { code: "storage/full", text: "the disk quota is used up", hint: full },
  EROFS: {
    code: "storage/read-only",
    text: "the file system is read-only",
    hint: "Mount it for writing; a disk that turned read-only by itself may be failing.",
  },
  EFBIG: {
    code: "storage/full",
    text: "the file system takes no file this large",
    hint: "Set the job's volumeBytes below the file system's limit.",
  },
  ENAMETOOLONG: { code: "storage/bad-key", text: "the name is too long" },
  ELOOP: {
    code: "storage/bad-key",
    text: "it is a symbolic link, which dbbackup does not follow below a destination's folder",
  },
  EIO: { code: "storage/failed", text: "input/output error", hint: "The disk may be failing." },
  ETIMEDOUT: { code: "storage/unavailable", text: "timed out", hint: later },
  ESTALE: { code: "storage/unavailable", text: "the network file system lost it", hint: later },
  EHOSTDOWN: { code: "storage/unavailable", text: "the file server is down", hint: later },
  ENOTCONN: { code: "storage/unavailable", text: "the mount is not connected", hint: later },
  EBUSY: { code: "storage/unavailable", text: "it is in use", hint: later },
};

/** How much room there is in all, as the rest of a sentence; empty where it cannot be told. */
async function freeSpace(path: string): Promise<string> {
  // The file may be gone, so look at the nearest folder that is there.
  for (let folder = dirname(path);; folder = dirname(folder)) {
    try {
      const { bsize, blocks } = await statfs(folder);
      // What is free now says little: a file that did not fit has been removed.
      return ` (the file system has ${formatBytes(blocks * bsize)})`;
    } catch {
      if (folder === dirname(folder)) return "";
    }
  }
}

/** True for the error of a file, or of a folder above it, that is not there. */
export function isGone(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "");
}
