import { chmod, lstat, mkdir } from "node:fs/promises";
import { BackupError, systemCode } from "./errors.ts";
import { ownUid } from "./user.ts";

/**
 * Makes a folder of mode 0700 at a path that others can guess, or takes the one that is there when it
 * is this user's own. Whoever else made it, or a link in its place, could see and swap what is put
 * there.
 *
 * @throws BackupError `config/foreign-folder`; the system's error when it cannot be made
 */
export async function makeOwnFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error) => {
    if (systemCode(error) !== "EEXIST") throw error;
  });
  const info = await lstat(path);
  const uid = ownUid();
  if (uid === undefined) return;
  const what = info.isSymbolicLink()
    ? "is a symbolic link"
    : !info.isDirectory()
    ? "is no folder"
    : info.uid !== uid
    ? `belongs to user ${info.uid}`
    : undefined;
  if (what !== undefined) {
    throw new BackupError("config/foreign-folder", `Cannot use the folder "${path}": it ${what}`, {
      hint: "Find out who put it there, and remove it; or set TMPDIR to a folder that only this " +
        "user can write.",
    });
  }
  if ((info.mode & 0o077) !== 0) await chmod(path, 0o700);
}
