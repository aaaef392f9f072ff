import { randomBytes } from "node:crypto";
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "./errors.ts";
import { memoryFolder, secretsPrefix, tempError } from "./temp.ts";

/**
 * Opens one file for each content, for a child to read by its descriptor, as `/dev/fd/3`. Each is a
 * regular file of mode 0600, which is what `PGPASSFILE` has to be, and loses its name while it is
 * still empty: whenever this process is killed, no secret lies in any folder.
 *
 * @param tempDir used where there is no `/dev/shm`
 * @returns descriptors, to be closed by the caller once the child has them
 * @throws BackupError `storage/temp-dir`, `storage/no-temp-space`
 */
export function openSecretFiles(contents: readonly string[], tempDir: string): number[] {
  const opened: number[] = [];
  try {
    for (const content of contents) opened.push(openSecretFile(content, tempDir));
    return opened;
  } catch (error) {
    opened.forEach((fd) => closeSync(fd));
    throw error;
  }
}

function openSecretFile(content: string, tempDir: string): number {
  try {
    return openNamelessIn(memoryFolder, content);
  } catch {
    // A container may have none, or a tiny one.
  }
  try {
    return openNamelessIn(tempDir, content);
  } catch (error) {
    throw systemCode(error) === undefined ? error : tempError(tempDir, error);
  }
}

/**
 * Opens one such file in a folder.
 *
 * @throws the system's error
 */
export function openNamelessIn(folder: string, content: string): number {
  const path = join(folder, secretsPrefix + randomBytes(12).toString("hex"));
  // Exclusive, so that no link that somebody put there is followed.
  const fd = openSync(path, "wx+", 0o600);
  try {
    unlinkSync(path);
    const bytes = new TextEncoder().encode(content);
    // At given places, because a child may share the descriptor's own position.
    for (let at = 0; at < bytes.byteLength;) {
      at += writeSync(fd, bytes, at, bytes.byteLength - at, at);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
