import { lstat, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BackupError, systemCode } from "../core/errors.ts";
import type { Environment } from "../core/runtime.ts";

/** What the search for a config depends on. */
export interface Surroundings {
  readonly env: Environment;
  /** The working directory. */
  readonly cwd: string;
  /** The user's home folder. */
  readonly home: string;
  /** The user's number; undefined where there is none (Windows). */
  readonly uid: number | undefined;
  /** The system's temporary folder. */
  readonly tempDir: string;
  /** The place for everybody. @default {"/etc/dbbackup"} */
  readonly systemDir?: string;
}

/** The names of a config, in the order in which they are looked for. */
export const configNames = ["ts", "mts", "js", "mjs", "yaml", "yml"]
  .map((ending) => `backup.config.${ending}`);

/** The folders that are searched, in this order. */
export function searchedFolders(o: Surroundings): string[] {
  const user = o.env["XDG_CONFIG_HOME"] || join(o.home, ".config");
  return [o.cwd, join(user, "dbbackup"), o.systemDir ?? "/etc/dbbackup"];
}

/**
 * The config's path: the one that is named, else the first that is found in the working directory,
 * the user's folder and the system's. A found one must be safe, because it is code that nobody asked
 * for by name; see {@link assertSafe}.
 *
 * @throws BackupError `config/not-found`, `config/ambiguous`, `config/unsafe`
 */
export async function findConfig(named: string | undefined, o: Surroundings): Promise<string> {
  if (named !== undefined) {
    const path = resolve(o.cwd, named);
    const info = await stat(path).catch((error) => {
      if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
      throw unreadable(path, error);
    });
    // A pipe will do, too: --config <(…).
    if (info !== undefined && !info.isDirectory()) return path;
    if (info !== undefined) throw unreadable(path);
    throw new BackupError("config/not-found", `There is no config at "${path}"`, {
      hint: "Check --config, or write a first one with `dbbackup config init`.",
    });
  }
  for (const folder of searchedFolders(o)) {
    const found = await configsIn(folder);
    if (found.length > 1) {
      throw new BackupError(
        "config/ambiguous",
        `There are ${found.length} configs: ${found.join(", ")}`,
        {
          hint: "Remove all but one, or name one with --config.",
        },
      );
    }
    if (found[0] === undefined) continue;
    await assertSafe(found[0], o.uid);
    return found[0];
  }
  throw new BackupError(
    "config/not-found",
    `No config was found in ${searchedFolders(o).join(", ")}`,
    {
      hint: "Write a first one with `dbbackup config init`, name one with --config PATH, or use " +
        "none: `dbbackup backup --from URL --to PATH`, then `dbbackup list --from PATH`.",
    },
  );
}

/**
 * Checks what sshd checks of its key files: the file, its folder and every folder above belong to
 * root or to the user, and nobody else can write them. A folder with the sticky bit (/tmp) may be
 * above, since nobody can replace another's entries there, but the config's own folder may not be
 * one, since others can put files into it that the config would import.
 *
 * @throws BackupError `config/unsafe`
 */
export async function assertSafe(path: string, uid: number | undefined): Promise<void> {
  if (uid === undefined) return;
  const real = await realpath(path);
  assertOwn(path, await stat(real), uid, "The config");
  let folder = dirname(real);
  assertOwn(folder, await stat(folder), uid, "The config's folder");
  // The link itself may lie elsewhere than what it leads to.
  const link = dirname(resolve(path));
  if ((await lstat(path)).isSymbolicLink()) {
    assertOwn(link, await stat(link), uid, "The folder of the link to the config");
  }
  while (dirname(folder) !== folder) {
    folder = dirname(folder);
    assertOwn(folder, await stat(folder), uid, "A folder above the config", 0o1000);
  }
}

async function configsIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of configNames) {
    if (await isFile(join(folder, name))) found.push(join(folder, name));
  }
  return found;
}

/** Of a folder that may not be looked into nobody knows whether it has a config. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (["EACCES", "EPERM", "ELOOP", "EIO"].includes(systemCode(error) ?? "")) {
      throw unreadable(path, error);
    }
    return false;
  }
}

function unreadable(path: string, cause?: unknown): BackupError {
  const why = cause === undefined ? "it is a folder" : systemCode(cause) ?? String(cause);
  return new BackupError("config/unreadable", `Cannot look at the config "${path}": ${why}`, {
    cause,
    hint: cause === undefined
      ? "Name the file itself."
      : "Let this user look into its folder, or name another config with --config.",
  });
}

function assertOwn(
  path: string,
  info: { uid: number; mode: number },
  uid: number,
  what: string,
  pardonedBit = 0,
): void {
  const fix = "Or name it: with --config PATH it is loaded as it is.";
  if (info.uid !== 0 && info.uid !== uid) {
    throw new BackupError(
      "config/unsafe",
      `${what}, "${path}", belongs to user ${info.uid}, who could run any code through it`,
      { hint: `Make it yours or root's (chown). ${fix}` },
    );
  }
  const isPardoned = pardonedBit !== 0 && (info.mode & pardonedBit) !== 0;
  if ((info.mode & 0o022) === 0 || isPardoned) return;
  const mode = (info.mode & 0o7777).toString(8).padStart(4, "0");
  throw new BackupError(
    "config/unsafe",
    `${what}, "${path}", can be written by others (mode ${mode}), who could run any code through it`,
    { hint: `Run: chmod go-w "${path}". ${fix}` },
  );
}
