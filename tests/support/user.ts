import { chownSync, readFileSync } from "node:fs";
import os from "node:os";
import process from "node:process";
import { output } from "./run.ts";

/** A user of this machine. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * The user that servers run as which refuse root: `postgres`, or `nobody` where there is none.
 * Undefined when the tests do not run as root, for then their own user will do.
 */
export function serverUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readUsers();
  return users.find(({ name }) => name === "postgres") ??
    users.find(({ name }) => name === "nobody");
}

/** The name of the user that the tests run as. $USER may be somebody else's, after sudo. */
export function ownName(): string {
  const uid = process.getuid?.();
  return readUsers().find((user) => user.uid === uid)?.name ?? os.userInfo().username;
}

function readUsers(): User[] {
  return readFileSync("/etc/passwd", "utf8").split("\n").map((line) => {
    const [name = "", , uid, gid] = line.split(":");
    return { name, uid: Number(uid), gid: Number(gid) };
  });
}

/** Gives a file or folder, with all in it, to a user. Does nothing without one. */
export async function giveTo(user: User | undefined, file: string, isRecursive = false) {
  if (user === undefined) return;
  if (isRecursive) await output("chown", ["-R", `${user.uid}:${user.gid}`, file]);
  else chownSync(file, user.uid, user.gid);
}
