import type { Buffer } from "node:buffer";
import type { Until } from "../../../contracts/changes.ts";
import { type BinlogEvent, eventTypes, hasChecksums, magic } from "./event.ts";
import { isRemark } from "./known.ts";
import { unpacked } from "./payload.ts";
import { createCursor } from "./piece.ts";
import type { Place } from "./place.ts";
import type { ReplayNames, StatementFilter } from "./statement-filter.ts";
import { createTransactionFilter } from "./transaction-filter.ts";
import { createTracker } from "./transactions.ts";
import { isPast } from "./until.ts";

/** One piece of the log, opened. */
export interface LogPiece {
  readonly from: Place;
  readonly events: AsyncIterable<BinlogEvent>;
}

/** How a log is replayed. */
export interface Replay {
  readonly names: ReplayNames;
  readonly statements: StatementFilter;
  /** Where to stop; absent: at the end. */
  readonly until: Until | undefined;
}

/**
 * What of a log is to be replayed, as one log that mysqlbinlog reads: rows and statements of the
 * databases that are restored, under their new names. Transactions without any are left out, as is
 * what only concerns the log; a transaction is whole or not there.
 *
 * @param files gets those whose events are handed on, in the order of their descriptions
 * @throws BackupError `restore/failed`, and those of reading the pieces
 */
export async function* filterLog(
  pieces: Iterable<LogPiece>,
  { names, statements, until }: Replay,
  files: string[],
): AsyncGenerator<Buffer> {
  for (const { from, events } of pieces) {
    const tracker = createTracker();
    const cursor = createCursor(from, from.server);
    let filter = createTransactionFilter(names, statements, false);
    let hasChecksum = false;
    for await (const event of events) {
      const at = cursor.at();
      const step = tracker.see(event);
      if (step.begins && until !== undefined && isPast(until, event, cursor.place())) return;
      cursor.see(from.file, event);
      if (event.type === eventTypes.description) {
        hasChecksum = hasChecksums(event);
        filter = createTransactionFilter(names, statements, hasChecksum);
        if (files.length === 0) yield magic;
        files.push(from.file);
        yield event.bytes;
        continue;
      }
      if (isRemark(event)) continue;
      for (const one of unpacked(event, hasChecksum)) yield* filter.take(one, at);
      if (step.ends) filter.end();
    }
  }
}
