import { lstat, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { BigIntStats } from "node:fs";
import { BackupError, hasCode, systemCode } from "../../core/errors.ts";
import type {
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreStep,
} from "../../contracts/restore.ts";
import { checked, refuse } from "../../contracts/refusal.ts";
import { fileError, notAFile, statOrNone } from "./files.ts";
import { findLeftovers } from "./leftovers.ts";
import { assertSpace } from "./space.ts";
import { type SourceOptions, withSource } from "./source.ts";

/** Finds out what a restore to this path would do. */
export async function planRestore(
  path: string,
  chain: RestorableChain,
  options: RestoreOptions,
  o: SourceOptions,
): Promise<RestorePlan> {
  if (options.only.length > 0) {
    throw new BackupError("restore/only-unsupported", "SQLite restores whole files, no --only", {
      hint: "Restore to another path, then copy the table: ATTACH, CREATE TABLE … AS SELECT.",
    });
  }
  const from = databaseOf(chain, options);
  const file = await realTarget(path);
  const { whole, warnings } = await findLeftovers(file, chain, {
    ...o,
    backupId: options.backupId,
    isAccepted: options.isDifferenceAccepted,
  });
  const stats = await statOrNone(file);
  const step = stats === undefined
    ? { from, to: file, mode: "create" } as const
    : await planOver(from, file, stats, options, o);
  if (options.onRefusal !== undefined) await checked(() => assertSpace(step, chain), options);
  const adopts = options.isDifferenceAccepted && whole !== undefined ? { adopts: whole } : {};
  return {
    steps: [{ ...step, ...adopts }],
    isCheckedFirst: false,
    warnings,
    target: `SQLite file ${file}`,
    locks: [file],
  };
}

/** The name of the backup's one database, which must be among those asked for. */
function databaseOf([full]: RestorableChain, options: RestoreOptions): string {
  const dumps = full?.manifest.artifacts.filter(({ role }) => role === "dump") ?? [];
  const names = dumps.flatMap(({ databases }) => databases);
  const missing = options.databases?.find((name) => !names.includes(name));
  if (names[0] !== undefined && missing === undefined) return names[0];
  throw new BackupError("restore/no-such-object", `The backup has no database "${missing}"`, {
    hint: `It has ${names.join(", ") || "none"}.`,
  });
}

/** The file behind symbolic links, even where the last link leads to a file that is not there. */
async function realTarget(path: string): Promise<string> {
  try {
    const isLink = await lstat(path).then((stats) => stats.isSymbolicLink(), () => false);
    if (!isLink) return join(await realpath(dirname(path)), basename(path));
    return await realTarget(resolve(dirname(path), await readlink(path)));
  } catch (cause) {
    if (systemCode(cause) !== "ENOENT") throw fileError(path, cause);
    throw new BackupError("restore/no-folder", `There is no folder "${dirname(path)}"`, {
      cause,
      hint: `Make it first: mkdir -p '${dirname(path)}'.`,
    });
  }
}

async function planOver(
  from: string,
  file: string,
  stats: BigIntStats,
  options: RestoreOptions,
  o: SourceOptions,
): Promise<RestoreStep> {
  if (!stats.isFile()) {
    throw notAFile(file, stats);
  }
  if (stats.size === 0n || await isEmptyDatabase(file, o)) return { from, to: file, mode: "fill" };
  if (!options.isOverwrite) {
    const hint =
      "Restore to another path, or pass --overwrite: the present file is then kept beside.";
    refuse(
      new BackupError("restore/not-empty", `"${file}" exists and is not empty`, { hint }),
      options,
    );
  }
  return { from, to: file, mode: "swap", keptAs: await freeName(file, options.backupId) };
}

async function isEmptyDatabase(file: string, o: SourceOptions): Promise<boolean> {
  try {
    return await withSource(file, o, async ({ database }) => {
      const [row] = await database.all("SELECT count(*) AS n FROM sqlite_schema");
      return row?.["n"] === 0;
    });
  } catch (error) {
    if (hasCode(error, "dump/busy")) throw inUse(file, error);
    // Damaged, or no database: there is something in it, and a restore may be meant to mend it.
    if (isBroken(error)) return false;
    throw error;
  }
}

/** True for what reading a damaged database, or none, throws. */
export function isBroken(error: unknown): boolean {
  return hasCode(error, "connection/not-a-database") || hasCode(error, "dump/damaged-source");
}

/** The error of a target that another program has open. */
export function inUse(file: string, cause?: unknown): BackupError {
  return new BackupError("restore/in-use", `Another program has "${file}" open`, {
    cause,
    hint: `Stop it and restore again; \`fuser '${file}'\` names it. Nothing was changed.`,
  });
}

async function freeName(file: string, backupId: string): Promise<string> {
  for (let number = 1;; number++) {
    const name = `${file}_before_${backupId}${number === 1 ? "" : `_${number}`}`;
    if (await statOrNone(name) === undefined) return name;
  }
}
