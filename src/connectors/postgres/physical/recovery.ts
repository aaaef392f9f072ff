import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Abortable } from "../../../core/bytes.ts";
import { ChildError, childText } from "../../../core/child.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import { shellQuote } from "../../../core/text.ts";
import type { Until } from "../../../contracts/changes.ts";
import type { Address } from "../address.ts";
import type { ToolSet } from "../tools.ts";
import { type InstanceSetup, withInstance } from "./instance.ts";
import { formatLsn, type LogPosition, parseLsn } from "./lsn.ts";
import { isSuperuser, nameOfSuperuser } from "./superuser.ts";
import type { ServerUser } from "./server-user.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** Restored files, and how far the log is to be replayed on them. */
export interface Recovery {
  readonly tools: ToolSet;
  readonly dataDir: string;
  /** The segments of the log. */
  readonly walDir: string;
  /** For what the server needs meanwhile. */
  readonly folder: string;
  readonly user: ServerUser | undefined;
  /** Where the last backup ends. */
  readonly end: LogPosition;
  readonly until: Until | undefined;
  /** Whether the files are to last longer than this process. */
  readonly isKept: boolean;
}

/**
 * Starts a private server on restored files, which replays the log up to where it is asked to, and is
 * then used as a superuser. That it came so far is proven: a log that ends before its end is an error.
 *
 * @throws BackupError `restore/failed`
 */
export async function withRecovered<T>(
  recovery: Recovery,
  use: (address: Address) => Promise<T>,
  o: Context,
): Promise<T> {
  const target = targetSettings(recovery.until);
  try {
    return await recoverAnd(recovery, target, use, o);
  } catch (error) {
    if (target === undefined || !hasNoTarget(error)) throw error;
    // Nothing in the log is after the target: its end is the state that was asked for.
    return await recoverAnd(recovery, undefined, use, o);
  }
}

async function recoverAnd<T>(
  recovery: Recovery,
  target: Readonly<Record<string, string>> | undefined,
  use: (address: Address) => Promise<T>,
  o: Context,
): Promise<T> {
  const { tools, dataDir, walDir, folder, user, isKept } = recovery;
  await writeFile(join(dataDir, "recovery.signal"), "");
  await rm(join(dataDir, "standby.signal"), { force: true });
  const setup: InstanceSetup = {
    ...{ tools, dataDir, folder, user },
    settings: {
      ...await limitsOf(tools, dataDir, o),
      ...isKept ? {} : { fsync: "off", full_page_writes: "off", synchronous_commit: "off" },
      // The server takes `%` for itself.
      restore_command: `cp ${shellQuote(walDir).replaceAll("%", "%%")}/%f "%p"`,
      recovery_target_timeline: "current",
      recovery_target_action: "promote",
      ...Object.fromEntries(
        targetNames.filter((name) => target?.[name] === undefined)
          .map((name) => [name, ""]),
      ),
      // Last: one that is emptied after it counts as another.
      ...target,
    },
  };
  const first = await withInstance(setup, async (address) => {
    await assertReached(recovery, target !== undefined);
    return await isSuperuser(address, o) ? { done: await use(address) } : undefined;
  }, o);
  if (first !== undefined) return first.done;
  const name = await nameOfSuperuser(setup, o);
  return await withInstance(setup, (address) => use({ ...address, user: name }), o);
}

/** One of them ends a recovery; the others may stand in the files, of an earlier one. */
const targetNames = [
  ...["recovery_target", "recovery_target_name", "recovery_target_xid"],
  ...["recovery_target_time", "recovery_target_lsn"],
];

/** The settings that end a recovery; undefined where it goes to the end. */
function targetSettings(until: Until | undefined): Record<string, string> | undefined {
  if (until === undefined) return undefined;
  if ("at" in until) return { recovery_target_time: until.at.toISOString().replace("Z", "+00") };
  return {
    recovery_target_lsn: String(until.position["lsn"]),
    // All that is before it, as pg_current_wal_lsn() tells what was there.
    recovery_target_inclusive: "off",
  };
}

function hasNoTarget(error: unknown): boolean {
  return error instanceof BackupError &&
    /recovery ended before configured recovery target was reached/.test(error.message);
}

/**
 * The server notes where it left the log that it was given.
 *
 * @throws BackupError `restore/failed`
 */
async function assertReached({ dataDir, end }: Recovery, isTargeted: boolean): Promise<void> {
  const name = (end.timeline + 1).toString(16).toUpperCase().padStart(8, "0");
  const text = await readFile(join(dataDir, "pg_wal", `${name}.history`), "utf8").catch(() => "");
  const [, lsn = "0/0", reason = ""] =
    text.trim().split("\n").at(-1)?.split("\t").map((one) => one.trim()) ?? [];
  if (isTargeted && /^(before|after) /.test(reason)) return;
  if (parseLsn(lsn) >= end.lsn) return;
  throw new BackupError(
    "restore/failed",
    `The log could be replayed only up to ${lsn}, and the backup ends at ${formatLsn(end.lsn)}`,
    {
      hint:
        "What follows there is not this server's log: files were put in its place between two " +
        "backups. Restore to a moment before.",
    },
  );
}

/** A server takes prepared transactions and locks from the log only with room for them. */
async function limitsOf(
  tools: ToolSet,
  dataDir: string,
  o: Context,
): Promise<Record<string, string>> {
  const { stdout } = await childText({
    command: join(tools.folder, "pg_controldata"),
    args: ["-D", dataDir],
    env: { LC_ALL: "C" },
  }, o);
  const of = (name: string) => new RegExp(`^${name} setting: +(\\S+)$`, "m").exec(stdout)?.[1];
  return {
    max_prepared_transactions: of("max_prepared_xacts") ?? "0",
    max_locks_per_transaction: of("max_locks_per_xact") ?? "64",
    max_worker_processes: of("max_worker_processes") ?? "8",
    track_commit_timestamp: of("track_commit_timestamp") ?? "off",
  };
}

/**
 * Checks unpacked files against the server's own list of them.
 *
 * @throws BackupError `verification/native-check`
 */
export async function verifyFiles(tools: ToolSet, dataDir: string, o: Context): Promise<void> {
  try {
    await childText({
      command: join(tools.folder, "pg_verifybackup"),
      // Not the path: it gives that to pg_waldump in a shell's double quotes, with `$` and `"` as they are.
      args: ["--quiet", "--exit-on-error", "."],
      cwd: dataDir,
      env: { LC_ALL: "C" },
    }, o);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    const said = error.exit.stderr.split("\n").findLast((line) => line.trim() !== "") ??
      error.message;
    throw new BackupError(
      "verification/native-check",
      `The restored files are not those of the backup: ${said.replace(/^pg_verifybackup: /, "")}`,
      { cause: error, hint: "Restore another backup, or another destination's copy of this one." },
    );
  }
}
