import { Buffer } from "node:buffer";

/** An archive of `pg_dump -Fc -Z0` taken apart, to be changed and put together again. */
export interface RawArchive {
  /** The head and the number of entries. */
  readonly head: Buffer;
  readonly entries: RawEntry[];
  /** The blocks of data. */
  readonly data: Buffer;
}

/** An entry of the table of contents, every field in its order. */
export interface RawEntry {
  dumpId: number;
  hasData: number;
  tableOid: Text;
  oid: Text;
  tag: Text;
  description: Text;
  section: number;
  definition: Text;
  dropping: Text;
  copyStatement: Text;
  schema: Text;
  tablespace: Text;
  accessMethod: Text;
  relkind: number;
  owner: Text;
  withOids: Text;
  dependencies: string[];
  offsetFlag: number;
  offset: Buffer;
}
type Text = Buffer | undefined;

/** Takes an archive of format 1.14 (PostgreSQL 15) or 1.16 (18) apart. */
export function takeApart(bytes: Uint8Array): RawArchive {
  const all = Buffer.from(bytes);
  const minor = all[6]!;
  const offsetBytes = all[9]!;
  let at = 11;
  const byte = () => all[at++]!;
  const int = () => {
    const value = all.readUInt32LE(at + 1) * (all[at] === 1 ? -1 : 1);
    at += 5;
    return value;
  };
  const text = (): Text => {
    const length = int();
    if (length < 0) return undefined;
    at += length;
    return all.subarray(at - length, at);
  };
  if (minor >= 15) byte();
  else int();
  for (let field = 0; field < 7; field++) int();
  for (let field = 0; field < 3; field++) text();
  const head = all.subarray(0, at);
  const count = int();
  const entries: RawEntry[] = [];
  for (let index = 0; index < count; index++) {
    const entry: RawEntry = {
      dumpId: int(),
      hasData: int(),
      tableOid: text(),
      oid: text(),
      tag: text(),
      description: text(),
      section: int(),
      definition: text(),
      dropping: text(),
      copyStatement: text(),
      schema: text(),
      tablespace: text(),
      accessMethod: text(),
      relkind: minor >= 16 ? int() : 0,
      owner: text(),
      withOids: text(),
      dependencies: [],
      offsetFlag: 0,
      offset: Buffer.alloc(0),
    };
    for (let one = text(); one !== undefined; one = text()) entry.dependencies.push(`${one}`);
    entry.offsetFlag = byte();
    entry.offset = all.subarray(at, at + offsetBytes);
    at += offsetBytes;
    entries.push(entry);
  }
  return { head, entries, data: all.subarray(at) };
}

/** Puts an archive together again. */
export function putTogether({ head, entries, data }: RawArchive): Buffer {
  const minor = head[6]!;
  const int = (value: number) => {
    const bytes = Buffer.alloc(5);
    bytes[0] = value < 0 ? 1 : 0;
    bytes.writeUInt32LE(Math.abs(value), 1);
    return bytes;
  };
  const text = (value: Text | string) =>
    value === undefined ? [int(-1)] : [int(Buffer.byteLength(value)), Buffer.from(value as string)];
  return Buffer.concat([
    head,
    int(entries.length),
    ...entries.flatMap((entry) => [
      int(entry.dumpId),
      int(entry.hasData),
      ...[entry.tableOid, entry.oid, entry.tag, entry.description].flatMap(text),
      int(entry.section),
      ...[entry.definition, entry.dropping, entry.copyStatement, entry.schema].flatMap(text),
      ...[entry.tablespace, entry.accessMethod].flatMap(text),
      ...minor >= 16 ? [int(entry.relkind)] : [],
      ...[entry.owner, entry.withOids, ...entry.dependencies, undefined].flatMap(text),
      Buffer.from([entry.offsetFlag]),
      entry.offset,
    ]),
    data,
  ]);
}
