import type { Abortable, Bytes } from "../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpSettings } from "../../contracts/source.ts";
import type { Address } from "./address.ts";
import { type ArchiveHead, tocReader } from "./archive/toc.ts";
import { complaint, type ToolSet, toolSpec } from "./tools.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** What pg_dump is told about one database. */
export interface DumpOrder {
  readonly tools: ToolSet;
  readonly address: Address;
  readonly database: string;
  readonly settings: DumpSettings;
  /** Arguments without which pg_dump would fail. */
  readonly omissionArgs: readonly string[];
  readonly snapshot?: string | undefined;
  readonly stallMs?: number;
}

/**
 * pg_dump's output: an archive without compression.
 *
 * @param onStart is awaited with the first bytes, before they are handed on: pg_dump has taken its
 * snapshot over by then
 * @throws BackupError `dump/failed`, `connection/unreachable` and those of childOutput
 */
export async function* dumpArchive(
  order: DumpOrder,
  onStart: () => Promise<void>,
  o: Context,
): Bytes {
  let isStarted = false;
  try {
    for await (const chunk of childOutput(specOf(order), o)) {
      if (!isStarted) await onStart();
      isStarted = true;
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    const { stderr } = error.exit;
    const isConnecting = !isStarted && /connection to server .* failed:/.test(stderr);
    throw new BackupError(
      isConnecting ? "connection/unreachable" : "dump/failed",
      `pg_dump failed: ${complaint(error)}`,
      { cause: error, details: { stderr }, hint: hintFor(stderr) },
    );
  }
}

/**
 * What pg_dump would put into an archive, without the rows: it is stopped where they begin.
 *
 * @throws BackupError as {@link dumpArchive}
 */
export async function previewArchive(order: DumpOrder, o: Context): Promise<ArchiveHead> {
  const reader = tocReader();
  for await (const chunk of dumpArchive(order, () => Promise.resolve(), o)) {
    if (reader.push(chunk) !== undefined) break;
  }
  return reader.head();
}

/**
 * Hands an archive on, and its table of contents to `onHead` before what comes after it. What cannot
 * be read is for the walker to complain of.
 */
export async function* watchHead(
  archive: Bytes,
  onHead: (head: ArchiveHead) => Promise<void>,
): Bytes {
  const reader = tocReader();
  let isReading = true;
  for await (const chunk of archive) {
    if (isReading && isWhole(chunk)) {
      isReading = false;
      await onHead(reader.head());
    }
    yield chunk;
  }

  function isWhole(chunk: Uint8Array): boolean {
    try {
      return reader.push(chunk) !== undefined;
    } catch {
      isReading = false;
      return false;
    }
  }
}

function specOf(order: DumpOrder): ChildSpec {
  const { tools, address, database, settings, omissionArgs, snapshot, stallMs } = order;
  const args = [
    "--format=custom",
    // Compression is ours, and only uncompressed data can be checked and counted as it passes.
    "--compress=0",
    ...snapshot === undefined ? [] : [`--snapshot=${snapshot}`],
    ...settings.schemaOnly === true ? ["--schema-only"] : [],
    ...(settings.exclude ?? []).map((pattern) => `--exclude-table=${pattern}`),
    ...(settings.excludeData ?? []).map((pattern) => `--exclude-table-data=${pattern}`),
    ...omissionArgs,
    ...settings.dumpArgs ?? [],
  ];
  const spec = toolSpec(tools, "pg_dump", address, database, args);
  return stallMs === undefined ? spec : { ...spec, stallMs };
}

function hintFor(stderr: string): string {
  if (/permission denied/.test(stderr)) {
    return "Grant the user what is missing; the role pg_read_all_data covers all tables.";
  }
  if (/due to conflict with recovery/.test(stderr)) {
    return "The standby had to go on: raise max_standby_streaming_delay on it above what a dump " +
      "takes (hot_standby_feedback helps against cleaned-up rows, not against locks), or back up " +
      "the primary.";
  }
  if (/role with OID \d+ does not exist/.test(stderr)) {
    return "Something belongs to a role that is gone: doctor names it. ALTER … OWNER TO gives it to " +
      "another one.";
  }
  if (/could not (access file|load library)/.test(stderr)) {
    return "The server lacks the files of an extension that this needs: install its package there " +
      "again.";
  }
  if (/row-level security/.test(stderr)) return "Give the user BYPASSRLS, or dump as the owner.";
  if (/connection to server .* failed:|server closed the connection/.test(stderr)) {
    return "Look into the server's log for why it let pg_dump go, then run again.";
  }
  if (
    /no matching .* (was|were) found|cross-database references|improper qualified name/.test(stderr)
  ) {
    return "Patterns are pg_dump's: SCHEMA.NAME, with * and ?; names with capitals or dots in double " +
      "quotes.";
  }
  return "Its whole output is in the log at --log-level debug.";
}
