import { homedir, userInfo } from "node:os";
import process from "node:process";
import type { Environment } from "./environment.ts";

/** The number of the user that this process acts as; undefined on Windows. */
export function ownUid(): number | undefined {
  return process.geteuid?.();
}

/** The name of that user; undefined where the system has none, as in a container with a bare number. */
export function ownName(): string | undefined {
  try {
    return userInfo().username || undefined;
  } catch {
    return undefined;
  }
}

/** The home folder of that user: HOME, else the system's word, else "/", as containers have it. */
export function ownHome(env: Environment): string {
  if (env["HOME"]) return env["HOME"];
  try {
    return homedir() || "/";
  } catch {
    return "/";
  }
}
