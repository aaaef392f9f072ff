import type { Buffer } from "node:buffer";
import { BackupError } from "../../../core/errors.ts";
import { type BinlogEvent, eventTypes, isRows } from "./event.ts";
import { type LogPlace, textOf } from "./place.ts";
import { plainQuery, queryOf, withQuery } from "./query.ts";
import type { ReplayNames, StatementFilter } from "./statement-filter.ts";
import { asLast, endsStatement, inDatabase, tableIdOf, tableOf } from "./table-map.ts";
import { hasLineBreak } from "./unfit.ts";
import { isGtid, isQuery, isStandalone } from "./transactions.ts";

/** Lets through what of each transaction belongs to what is restored. */
export interface TransactionFilter {
  /**
   * Takes the next event, and gives those that are let through by now.
   *
   * @param place where it starts
   * @throws BackupError `restore/failed`
   */
  take(event: BinlogEvent, place: LogPlace): Generator<Buffer>;
  /** A transaction is over. */
  end(): void;
}

/** Makes a filter for one file, whose events have checksums or not. */
export function createTransactionFilter(
  names: ReplayNames,
  statements: StatementFilter,
  hasChecksum: boolean,
): TransactionFilter {
  /** What a transaction begins with, until something of it is let through. */
  let opening: Buffer[] = [];
  let isUsed = false;
  /** The tables of the statement under way whose rows are let through. */
  const tables = new Set<number>();
  /** Rows that may be the last of their statement that are let through. */
  let held: BinlogEvent | undefined;

  function* pass(event: BinlogEvent): Generator<Buffer> {
    yield* opening;
    opening = [];
    isUsed = true;
    if (held !== undefined) yield held.bytes;
    held = undefined;
    yield event.bytes;
  }

  function* take(event: BinlogEvent, place: LogPlace): Generator<Buffer> {
    const { type } = event;
    if (isGtid(type)) open(event);
    else if (isQuery(type)) yield* takeQuery(event, place);
    else if (type === eventTypes.tableMap) yield* takeTable(event);
    else if (isRows(type)) yield* takeRows(event);
    else if (isUsed) yield* pass(event);
  }

  function open(event: BinlogEvent): void {
    isUsed = false;
    if (event.type !== eventTypes.mariadbGtid) opening = [event.bytes];
    // The target gives numbers of its own: with the log's it would refuse, or mislead its replicas.
    else opening = isStandalone(event) ? [] : [plainQuery(event, "BEGIN", hasChecksum).bytes];
  }

  function* takeQuery(event: BinlogEvent, place: LogPlace): Generator<Buffer> {
    const query = queryOf(event);
    const word = /^\s*(BEGIN|COMMIT|ROLLBACK\s+TO|ROLLBACK|SAVEPOINT|RELEASE)\b/i.exec(query.sql);
    if (word !== null) {
      if (isUsed) yield* pass(event);
      // A savepoint, or the beginning, of a transaction of which something may follow.
      else if (!/^(?:COMMIT|ROLLBACK)$/i.test(word[1]!)) opening.push(event.bytes);
      return;
    }
    const taken = statements.take(query, textOf(place));
    if (taken === undefined) return;
    const isSame = taken.sql === query.sql && taken.database === query.database;
    yield* pass(isSame ? event : withQuery(event, taken, hasChecksum));
  }

  function* takeTable(event: BinlogEvent): Generator<Buffer> {
    const { id, database, table } = tableOf(event);
    const name = names.rename(database);
    if (name === undefined) return;
    if (hasLineBreak(event)) {
      throw new BackupError("restore/failed", `A table's name has a line break: ${table}`, {
        hint: "mysqlbinlog would write it so that a part of it is run. Restore to a moment before.",
      });
    }
    tables.add(id);
    yield* pass(name === database ? event : inDatabase(event, name, hasChecksum));
  }

  function* takeRows(event: BinlogEvent): Generator<Buffer> {
    const isLast = endsStatement(event);
    if (tables.has(tableIdOf(event.body))) {
      if (isLast) yield* pass(event);
      else {
        const before = held;
        held = undefined;
        if (before !== undefined) yield* pass(before);
        held = event;
      }
    } else if (isLast && held !== undefined) {
      const last = asLast(held, hasChecksum);
      held = undefined;
      yield* pass(last);
    }
    if (isLast) tables.clear();
  }

  return {
    take,
    end() {
      isUsed = false;
      opening = [];
    },
  };
}
