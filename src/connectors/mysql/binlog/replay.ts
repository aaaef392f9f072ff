import { Buffer } from "node:buffer";
import type { Bytes } from "../../../core/bytes.ts";
import { ChildError, childOutput, childText } from "../../../core/child.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Until } from "../../../contracts/changes.ts";
import type { RestorableBackup, RestoreStep } from "../../../contracts/restore.ts";
import { clientSpec } from "../feed.ts";
import type { RestoreContext } from "../restore-context.ts";
import { type ClientTool, complaint } from "../tools.ts";
import { filterLog, type LogPiece } from "./filter.ts";
import { createLineIndex, type LineIndex } from "./line-index.ts";
import { placeOf, textOf } from "./place.ts";
import { readEvents } from "./reader.ts";
import { createStatementFilter, type EventStatus } from "./statement-filter.ts";

/** What is replayed on a restored full backup. */
export interface ReplayRequest {
  /** What builds on it, oldest first. */
  readonly backups: readonly RestorableBackup[];
  readonly steps: readonly RestoreStep[];
  readonly until: Until | undefined;
  /** mysqlbinlog or mariadb-binlog. */
  readonly tool: ClientTool;
  /** Scheduled events as they are to be in the end; those that the log makes are added. */
  readonly events: Map<string, EventStatus>;
}

/**
 * Replays the log on a restored full backup: all of it in one run of the flavour's own mysqlbinlog,
 * whose output the client runs. A statement that fails ends it.
 *
 * @returns what was passed over or may surprise, as sentences
 * @throws BackupError `restore/failed`, and those of reading the artifacts
 */
export async function replay(
  { backups, steps, until, tool, events }: ReplayRequest,
  r: RestoreContext,
): Promise<readonly string[]> {
  const names = new Map(steps.map(({ from, to }) => [from, to]));
  const files: string[] = [];
  const rename = (database: string) => names.get(database);
  const statements = createStatementFilter({ rename }, events);
  const log = filterLog(piecesOf(backups, r), { names: { rename }, statements, until }, files);
  const lines = createLineIndex();
  const text = childOutput({
    command: tool.path,
    args: ["--no-defaults", ...replayArgs(tool), "-"],
    input: joined(log),
    env: { TZ: "UTC" },
  }, r);
  try {
    await childText({ ...clientSpec(r), input: lines.watch(text) }, r);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw replayError(error, { lines, files, tool, client: r.tool });
  }
  return statements.warnings();
}

/** The target gives its transactions numbers of its own; it may be the server that has the log's. */
function replayArgs({ flavour }: ClientTool): string[] {
  return flavour === "MySQL" ? ["--skip-gtids"] : ["--skip-annotate-row-events"];
}

function* piecesOf(backups: readonly RestorableBackup[], r: RestoreContext): Generator<LogPiece> {
  for (const { artifacts } of backups) {
    for (const artifact of artifacts) {
      const from = placeOf(artifact.from);
      if (artifact.role !== "log" || from === undefined) continue;
      yield { from, events: readEvents(artifact.open(r)) };
    }
  }
}

const chunkBytes = 128 * 1024;

/** Small events as larger chunks. */
async function* joined(events: AsyncIterable<Uint8Array>): Bytes {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of events) {
    parts.push(bytes);
    length += bytes.length;
    if (length < chunkBytes) continue;
    yield Buffer.concat(parts);
    [parts, length] = [[], 0];
  }
  if (length > 0) yield Buffer.concat(parts);
}

function replayError(
  error: ChildError,
  { lines, files, tool, client }: {
    readonly lines: LineIndex;
    readonly files: readonly string[];
    readonly tool: ClientTool;
    readonly client: ClientTool;
  },
): BackupError {
  const isReader = error.command === tool.path;
  const what = complaint(error);
  const at = Number(/at line (\d+)/.exec(what)?.[1] ?? NaN);
  const found = isReader || !Number.isFinite(at) ? undefined : lines.placeOf(at);
  const file = found === undefined ? undefined : files[found.file];
  const place = file === undefined ? undefined : textOf({ file, offset: found!.end });
  return new BackupError(
    "restore/failed",
    `Replaying the changes failed${place === undefined ? "" : ` at ${place}`}: ${
      isReader ? tool.name : client.name
    }: ${what}`,
    {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: place === undefined
        ? "Its whole output is in the log at --log-level debug."
        : `What was before it can be restored with --at-position ${place}, or --at an earlier moment.`,
    },
  );
}
