import { chmod, chown, mkdir, readFile } from "node:fs/promises";
import process from "node:process";
import { BackupError } from "../../../core/errors.ts";
import { ownUid } from "../../../core/user.ts";

/** Whom a server runs as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom a server on this machine is to run as: PostgreSQL refuses root. Undefined where we are an
 * ordinary user, as which it then runs.
 *
 * @throws BackupError `restore/failed`
 */
export async function serverUser(): Promise<ServerUser | undefined> {
  if (ownUid() !== 0 || process.platform === "win32") return undefined;
  const users = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n").flatMap(
    (line) => {
      const [name = "", , uid, gid] = line.split(":");
      return uid === undefined || gid === undefined
        ? []
        : [{ name, uid: Number(uid), gid: Number(gid) }];
    },
  );
  const found = users.find(({ name }) => name === "postgres") ??
    users.find(({ name, uid }) => name === "nobody" && uid !== 0);
  if (found !== undefined) return { uid: found.uid, gid: found.gid };
  throw new BackupError(
    "restore/failed",
    "PostgreSQL does not run as root, and there is no other user",
    {
      hint: 'Make a user "postgres", or run the restore as an ordinary user.',
    },
  );
}

/** Makes a folder that only the server can look into; one that is there becomes such. */
export async function makeFolder(path: string, user: ServerUser | undefined): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o700);
  if (user !== undefined) await chown(path, user.uid, user.gid);
}
