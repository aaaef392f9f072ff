import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";
import { binlogError, type BinlogEvent, eventTypes, withBody } from "./event.ts";

/** A statement in the log. */
export interface LoggedQuery {
  /** The session's database; empty for none. */
  readonly database: string;
  /** The text, each byte a character: it is in the character set of its session. */
  readonly sql: string;
  /** Who ran it, where the server notes that: what has no other definer has this one. */
  readonly invoker?: { readonly user: string; readonly host: string } | undefined;
}

// Thread id (4), seconds (4), length of the database (1), error (2), length of the variables (2).
const fixedBytes = 13;

/** Takes a statement's event apart, also MariaDB's compressed one. */
export function queryOf({ type, body }: BinlogEvent): LoggedQuery {
  const { databaseAt, databaseEnd } = partsOf(body);
  const text = body.subarray(databaseEnd + 1);
  const sql = type === eventTypes.mariadbQueryCompressed ? uncompressed(text) : text;
  return {
    database: body.toString("utf8", databaseAt, databaseEnd),
    sql: sql.toString("latin1"),
    invoker: invokerOf(body.subarray(fixedBytes, databaseAt)),
  };
}

/** The event with another text or database; not compressed. */
export function withQuery(
  event: BinlogEvent,
  { database, sql }: LoggedQuery,
  hasChecksum: boolean,
): BinlogEvent {
  const { databaseAt } = partsOf(event.body);
  const name = Buffer.from(database);
  if (name.length > 255) throw binlogError("cannot have a database of so long a name");
  const head = Buffer.from(event.body.subarray(0, databaseAt));
  head[8] = name.length;
  const body = Buffer.concat([head, name, Buffer.from([0]), Buffer.from(sql, "latin1")]);
  return withBody(event, body, hasChecksum, eventTypes.query);
}

/** A statement without any settings of its session, in another event's place. */
export function plainQuery(event: BinlogEvent, sql: string, hasChecksum: boolean): BinlogEvent {
  const body = Buffer.concat([Buffer.alloc(fixedBytes), Buffer.from([0]), Buffer.from(sql)]);
  return withBody(event, body, hasChecksum, eventTypes.query);
}

// The variables that may come before the invoker, with their lengths
// (https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Query__event.html).
const variableBytes: Readonly<Record<number, number>> = {
  0: 4,
  1: 8,
  3: 4,
  4: 6,
  7: 2,
  8: 2,
  9: 8,
  10: 4,
};
const textVariables: readonly number[] = [5, 6];
const invokerVariable = 11;

function invokerOf(variables: Buffer): LoggedQuery["invoker"] {
  for (let at = 0; at < variables.length;) {
    const code = variables[at++]!;
    const bytes = textVariables.includes(code) ? 1 + variables[at]! : variableBytes[code];
    if (code === invokerVariable) {
      const userEnd = at + 1 + variables[at]!;
      const user = variables.toString("utf8", at + 1, userEnd);
      const host = variables.toString("utf8", userEnd + 1, userEnd + 1 + variables[userEnd]!);
      return { user, host };
    }
    if (bytes === undefined) return undefined;
    at += bytes;
  }
  return undefined;
}

function partsOf(body: Buffer): { databaseAt: number; databaseEnd: number } {
  if (body.length < fixedBytes) throw binlogError("has a statement that is none");
  const databaseAt = fixedBytes + body.readUInt16LE(11);
  const databaseEnd = databaseAt + body[8]!;
  if (databaseEnd >= body.length + 1) throw binlogError("has a statement that is none");
  return { databaseAt, databaseEnd };
}

/** MariaDB's compression: a byte whose low three bits say how long the length is, then zlib. */
function uncompressed(bytes: Buffer): Buffer {
  const lengthBytes = bytes[0]! & 0x07;
  return inflateSync(bytes.subarray(1 + lengthBytes));
}
