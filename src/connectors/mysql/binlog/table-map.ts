import { Buffer } from "node:buffer";
import { type BinlogEvent, withBody } from "./event.ts";

/** What a table's event says of it: the rows behind it name the table by the id. */
export interface MappedTable {
  readonly id: number;
  readonly database: string;
  readonly table: string;
}

// The id (6), flags (2).
const headBytes = 8;

/** Takes a table's event apart. */
export function tableOf({ body }: BinlogEvent): MappedTable {
  const length = body[headBytes]!;
  const at = headBytes + 1 + length + 1;
  return {
    id: tableIdOf(body),
    database: body.toString("utf8", headBytes + 1, headBytes + 1 + length),
    table: body.toString("utf8", at + 1, at + 1 + body[at]!),
  };
}

/** The event for a table of the same name in another database. */
export function inDatabase(
  event: BinlogEvent,
  database: string,
  hasChecksum: boolean,
): BinlogEvent {
  const { body } = event;
  const name = Buffer.from(database);
  const rest = headBytes + 1 + body[headBytes]!;
  const head = Buffer.concat([body.subarray(0, headBytes), Buffer.from([name.length]), name]);
  return withBody(event, Buffer.concat([head, body.subarray(rest)]), hasChecksum);
}

/** The table that rows belong to. */
export function tableIdOf(body: Buffer): number {
  return body.readUIntLE(0, 6);
}

/** Whether rows are the last of their statement. */
export function endsStatement({ body }: BinlogEvent): boolean {
  return (body.readUInt16LE(6) & 1) !== 0;
}

/** The rows as the last of their statement. */
export function asLast(event: BinlogEvent, hasChecksum: boolean): BinlogEvent {
  const body = Buffer.from(event.body);
  body.writeUInt16LE(body.readUInt16LE(6) | 1, 6);
  return withBody(event, body, hasChecksum);
}
