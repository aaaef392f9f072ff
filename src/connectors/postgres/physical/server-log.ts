import type { Abortable } from "../../../core/bytes.ts";
import { sleep } from "../../../core/retry.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Client } from "../client.ts";
import { sqlState } from "../failure.ts";
import { formatLsn, type LogPosition, parseLsn, segmentStart } from "./lsn.ts";

/** A server's write-ahead log, as it stands. */
export interface ServerLog {
  readonly position: LogPosition;
  readonly segmentBytes: number;
}

/** A moment of a server, with the place in its log that all commits up to then are before. */
export interface Moment extends LogPosition {
  /** By the server's clock, in whole milliseconds. */
  readonly at: Date;
}

const flushLimitMs = 10_000;
const flushPollMs = 50;

/** Asks a primary where its log stands. @param system its system identifier */
export async function readServerLog(
  client: Client,
  place: string,
  system: string,
  o: Abortable,
): Promise<ServerLog> {
  const [row] = await client.rows(
    place,
    // The control file learns of a new timeline only at the next checkpoint.
    `SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS lsn,
            pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) AS segment,
            (SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size')::text
              AS bytes`,
    o,
  );
  return {
    position: {
      lsn: parseLsn(String(row?.["lsn"])),
      timeline: Number.parseInt(String(row?.["segment"]).slice(0, 8), 16),
      system,
    },
    segmentBytes: Number(row?.["bytes"]),
  };
}

/**
 * Notes a moment. Whatever was committed by then is in the log before its place; and a commit after it
 * is, too, so that a recovery up to any moment before finds where to stop.
 *
 * The place is the end of a segment where this user may end one (`pg_switch_wal`), so that the next
 * increment begins with a new one.
 *
 * @throws BackupError `dump/failed`
 */
export async function noteMoment(
  client: Client,
  place: string,
  log: ServerLog,
  o: Abortable,
): Promise<Moment> {
  const [clock] = await client.rows(
    place,
    "SELECT floor(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::float8 AS ms",
    o,
  );
  const at = new Date(Number(clock?.["ms"]));
  // A transaction with an id leaves its commit, with the time, in the log.
  await client.rows(place, "SELECT pg_catalog.txid_current()", o);
  const end = await endSegment(client, place, log, o) ??
    { lsn: await flushed(client, place, o) };
  return { ...log.position, ...end, at };
}

/** Begins a new segment. @returns where; undefined where this user may not */
async function endSegment(
  client: Client,
  place: string,
  { segmentBytes }: ServerLog,
  o: Abortable,
): Promise<Pick<LogPosition, "lsn" | "previous"> | undefined> {
  try {
    const [row] = await client.rows(place, "SELECT pg_catalog.pg_switch_wal()::text AS lsn", o);
    const lsn = parseLsn(String(row?.["lsn"]));
    const start = segmentStart(lsn, segmentBytes);
    // It returns the byte after its own record; the rest of the segment stays empty.
    if (start === lsn) return { lsn };
    const isInOnePage = lsn % smallestPage >= switchRecordBytes + longestPageHead;
    return {
      lsn: start + BigInt(segmentBytes),
      ...isInOnePage ? { previous: lsn - switchRecordBytes } : {},
    };
  } catch (error) {
    if (sqlState(error) !== insufficientPrivilege) throw error;
    return undefined;
  }
}

// XLogRecord without data.
const switchRecordBytes = 24n;
// One that begins on the page before, begins earlier by the head of its own; pages have 1 to 64 KiB.
const smallestPage = 1024n;
const longestPageHead = 40n;

const insufficientPrivilege = "42501";

/** Waits until the server has written what is in its log by now. */
async function flushed(client: Client, place: string, o: Abortable): Promise<bigint> {
  const read = async (which: "insert" | "flush") => {
    const query = `SELECT pg_catalog.pg_current_wal_${which}_lsn()::text AS lsn`;
    return parseLsn(String((await client.rows(place, query, o))[0]?.["lsn"]));
  };
  const wanted = atPageEnd(await read("insert"));
  const until = performance.now() + flushLimitMs;
  for (let tries = 0; await read("flush") < wanted; tries++) {
    if (performance.now() > until) {
      throw new BackupError(
        "dump/failed",
        `The server has not written its log up to ${formatLsn(wanted)} in ${flushLimitMs / 1000} s`,
        { hint: "Let this user end a segment: GRANT EXECUTE ON FUNCTION pg_switch_wal() TO …." },
      );
    }
    // A commit that changed something is waited for; nothing else writes the last page.
    if (tries === 3) {
      await client.rows(
        place,
        "BEGIN; SET LOCAL synchronous_commit = local; SET LOCAL transaction_read_only = off; " +
          "CREATE TEMPORARY TABLE dbbackup_flush () ON COMMIT DROP; COMMIT",
        o,
      ).catch(() => client.rows(place, "ROLLBACK", o).catch(() => {}));
    }
    await sleep(flushPollMs, o.signal);
  }
  return wanted;
}

/** Where the next record begins may be after the head of a page that nobody has written to yet. */
function atPageEnd(lsn: bigint): bigint {
  const inPage = lsn % 8192n;
  return inPage === 24n || inPage === 40n ? lsn - inPage : lsn;
}
