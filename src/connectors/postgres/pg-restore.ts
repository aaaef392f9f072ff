import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { withTempDir } from "../../core/temp.ts";
import type { Address } from "./address.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import { databaseArgument } from "./names.ts";
import {
  failureReader,
  isOfLostConnection,
  lostConnectionHint,
  type ToolFailure,
} from "./tool-failure.ts";
import { complaint, type ToolSet, toolSpec } from "./tools.ts";

/** One run of pg_restore. */
export interface ToolOrder {
  readonly tools: ToolSet;
  readonly address: Address;
  readonly database: string;
  readonly archive: Bytes;
  /** How large `archive` is, for the temporary file of several workers. */
  readonly archiveBytes: number;
  readonly head: ArchiveHead;
  /** Dump ids; undefined for everything. */
  readonly ids: ReadonlySet<number> | undefined;
  readonly jobs: number;
  /** All or nothing; the first failure ends it. Not with several jobs. */
  readonly isOneTransaction: boolean;
  readonly restoreArgs: readonly string[];
  /** Told each failed statement: to stop at it, or to go on. */
  judge(failure: ToolFailure): "stop" | "go on";
}

/** How a run ended. */
export interface ToolRun {
  readonly failures: readonly ToolFailure[];
  /** Ended at the last of them. */
  readonly isStopped: boolean;
}

/**
 * Runs pg_restore and reads what fails, statement by statement.
 *
 * @throws BackupError `restore/failed` where it ended by anything else, and what reading the archive
 * throws
 */
export async function runPgRestore(
  order: ToolOrder,
  o: Abortable & { readonly runtime: Runtime },
): Promise<ToolRun> {
  if (order.jobs === 1) return await run(order, watched(order.archive), o);
  // Parallel workers read a file from several places at once.
  return await withTempDir(o.runtime, order.archiveBytes, async (folder) => {
    const file = join(folder, "archive.pgdump");
    await writeFile(file, order.archive);
    return await run(order, file, o);
  });
}

/** An input that remembers why it failed: that counts more than what the tool says to it. */
interface WatchedInput {
  readonly bytes: Bytes;
  failure?: unknown;
}

function watched(archive: Bytes): WatchedInput {
  const input: { bytes: Bytes; failure?: unknown } = { bytes: follow() };
  async function* follow(): Bytes {
    try {
      yield* archive;
    } catch (error) {
      input.failure = error;
      throw error;
    }
  }
  return input;
}

async function run(
  order: ToolOrder,
  input: WatchedInput | string,
  o: Abortable & { readonly runtime: Runtime },
): Promise<ToolRun> {
  const { tools, address, database, head, ids } = order;
  const spec = toolSpec(tools, "pg_restore", address, database, []);
  // The list is the second file without a name when there is a password, else the first.
  const files = [...spec.secretFiles ?? [], ...ids === undefined ? [] : [listOf(head, ids)]];
  const failures: ToolFailure[] = [];
  const stopping = new AbortController();
  const reader = failureReader(head, order.jobs > 1, (failure) => {
    // It goes on for a moment after it was told to end.
    if (isUnknownParameter(failure) || stopping.signal.aborted) return;
    failures.push(failure);
    if (order.judge(failure) === "stop") stopping.abort();
  });
  try {
    await childText({
      ...spec,
      args: [
        ...spec.args,
        databaseArgument(database),
        // Which entry a failure belongs to is told only so; workers would talk over each other.
        ...order.jobs > 1 ? [] : ["--verbose"],
        ...order.isOneTransaction ? ["--single-transaction"] : [],
        ...order.jobs > 1 ? [`--jobs=${order.jobs}`] : [],
        ...ids === undefined ? [] : [`--use-list=/dev/fd/${2 + files.length}`],
        ...order.restoreArgs,
        ...typeof input === "string" ? [input] : [],
      ],
      // Its messages are read.
      env: { ...spec.env, LC_ALL: "C" },
      secretFiles: files,
      onStderr: reader.push,
      ...typeof input === "string" ? {} : { input: input.bytes },
    }, { ...o, signal: AbortSignal.any([o.signal, stopping.signal]) });
  } catch (error) {
    o.signal.throwIfAborted();
    if (typeof input !== "string" && input.failure !== undefined) throw input.failure;
    reader.end();
    if (stopping.signal.aborted) return { failures, isStopped: true };
    if (!(error instanceof ChildError)) throw error;
    if (/errors ignored on restore: \d+$/m.test(error.exit.stderr)) {
      return { failures, isStopped: false };
    }
    throw new BackupError("restore/failed", `pg_restore failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: isOfLostConnection({ message: complaint(error) })
        ? lostConnectionHint
        : "Its whole output is in the log at --log-level debug. What was there before still is.",
    });
  }
  reader.end();
  return { failures, isStopped: false };
}

/** pg_restore 17 and newer set a parameter that older servers do not know, and go on after that. */
function isUnknownParameter({ entry, message }: ToolFailure): boolean {
  return entry === undefined &&
    message.includes('unrecognized configuration parameter "transaction_timeout"');
}

/** The list of `pg_restore -L`, in the archive's own order: only the ids count. */
function listOf({ entries }: ArchiveHead, ids: ReadonlySet<number>): string {
  return entries.filter(({ dumpId }) => ids.has(dumpId)).map(({ dumpId }) => `${dumpId};\n`)
    .join("");
}

async function writeFile(path: string, bytes: Bytes): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    for await (const chunk of bytes) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}
