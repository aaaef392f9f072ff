import { access, constants } from "node:fs/promises";
import { delimiter, isAbsolute, join, sep } from "node:path";
import type { Environment } from "./environment.ts";

/**
 * The first executable of this name in PATH, or undefined: the look-up that a shell does. A name
 * with a slash is taken as a path.
 */
export async function findProgram(name: string, env: Environment): Promise<string | undefined> {
  if (isAbsolute(name) || name.includes(sep)) return (await isExecutable(name)) ? name : undefined;
  for (const folder of (env["PATH"] ?? "").split(delimiter)) {
    if (folder === "") continue;
    const path = join(folder, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

/** True for a file that this user may execute. */
export async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(() => true, () => false);
}
