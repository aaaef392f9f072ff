import { BackupError } from "../../../core/errors.ts";
import { type BinlogEvent, eventTypes } from "./event.ts";
import { isKnown } from "./known.ts";
import type { LoggedQuery } from "./query.ts";
import { readStatement } from "./statement.ts";
import { tableOf } from "./table-map.ts";

// BEGIN_LOAD_QUERY and APPEND_BLOCK, files of LOAD DATA; the settings of a statement.
const ofStatements: readonly number[] = [
  17,
  9,
  eventTypes.executeLoadQuery,
  eventTypes.intvar,
  eventTypes.rand,
  eventTypes.userVar,
];

/**
 * Makes sure that an event can be replayed and leads to the same rows again.
 *
 * @param place where it ends, for people
 * @throws BackupError `dump/cannot-continue`
 */
export function assertFit(
  event: BinlogEvent,
  query: LoggedQuery | undefined,
  place: string,
): void {
  const { type } = event;
  if (ofStatements.includes(type) || (query !== undefined && isChange(query.sql))) {
    throw unfit(
      `${place} has a change as a statement, whose rows may be others when it is run again ` +
        "(a session's binlog_format is not ROW)",
    );
  }
  if (type === eventTypes.xaPrepare || (query !== undefined && /^\s*XA\b/i.test(query.sql))) {
    throw unfit(`${place} has an XA transaction, which is not replayed`);
  }
  if (type === eventTypes.incident) {
    throw unfit(`${place} says that changes may be missing in the log (LOST_EVENTS)`);
  }
  if (type === eventTypes.taggedGtid) {
    throw unfit(`${place} has a GTID with a tag, which is not known here`);
  }
  if (type === eventTypes.tableMap && hasLineBreak(event)) {
    throw unfit(
      `${place} is of a table whose name has a line break, which mysqlbinlog cannot write`,
    );
  }
  if (query !== undefined && readStatement(query.sql).does === "unknown") {
    throw unfit(`${place} has a statement that is not known here: ${headOf(query.sql)}`);
  }
  if (!isKnown(event)) {
    throw unfit(`${place} has an event of type ${type}, which is not known here`);
  }
}

/**
 * Whether a table's or its database's name has a line break. mysqlbinlog, of either flavour, writes
 * names into its remarks as they are: what follows the break would be run as a statement.
 */
export function hasLineBreak(event: BinlogEvent): boolean {
  const { database, table } = tableOf(event);
  return /[\r\n]/.test(database + table);
}

/** Rows that are changed by a statement. Those of a MEMORY table are gone after a restart. */
function isChange(sql: string): boolean {
  const text = sql.replace(/^(?:\s+|\/\*(?!!)[^]*?\*\/)+/, "");
  if (/^DELETE FROM `(?:[^`]|``)+`\.`(?:[^`]|``)+`\s*(?:\/\*[^]*\*\/\s*)?$/i.test(text)) {
    return false;
  }
  return /^(?:INSERT|UPDATE|DELETE|REPLACE|LOAD|CALL|WITH|DO|SELECT)\b/i.test(text);
}

/** How a statement begins, for people: it may hold data further on. */
function headOf(sql: string): string {
  return sql.trim().split(/\s+/).slice(0, 3).join(" ").slice(0, 60);
}

function unfit(reason: string): BackupError {
  return new BackupError("dump/cannot-continue", reason);
}
