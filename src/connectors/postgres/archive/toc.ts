import { Buffer } from "node:buffer";
import { assertRestorable } from "./contents.ts";
import { damaged } from "./damage.ts";
import type { ArchiveHead, ArchiveHeader, TocEntry } from "./entries.ts";
import { type DecodeText, textDecoder } from "./encoding.ts";
import { statementsOf } from "./sql.ts";

export type { ArchiveHead, ArchiveHeader, TocEntry } from "./entries.ts";

/** Thrown inside when a value is not there in full yet. */
const short = Symbol("short");

// Far above what any real object has; a damaged length must not make us wait for it in memory.
const longestTextBytes = 1 << 30;

/**
 * Reads the head and the table of contents of an archive in pieces, an entry at a time.
 * The layout is that of ReadHead and ReadToc in PostgreSQL's pg_backup_archiver.c.
 */
export interface TocReader {
  /**
   * Takes the next bytes.
   *
   * @returns the bytes after the table of contents, once it is complete
   * @throws BackupError `verification/structure`
   */
  push(chunk: Uint8Array): Buffer | undefined;
  /** What was read; only once `push` has returned bytes. */
  head(): ArchiveHead;
}

/** Makes a {@link TocReader}. */
export function tocReader(): TocReader {
  let held = Buffer.alloc(0);
  let header: ArchiveHeader | undefined;
  let expected: number | undefined;
  const entries: TocEntry[] = [];
  let encoding = "UTF8";
  let decode = textDecoder(encoding);

  return {
    push(chunk) {
      // A copy: the producer uses its buffer again.
      held = Buffer.concat([held, chunk]);
      const cursor = cursorOf(held);
      cursor.decode = decode;
      let done = 0;
      try {
        header ??= readHeader(cursor);
        cursor.intBytes = header.intBytes;
        done = cursor.at;
        if (expected === undefined) {
          expected = cursor.int();
          if (expected < 0) throw damaged("its table of contents has no valid length");
          done = cursor.at;
        }
        while (entries.length < expected) {
          const entry = readEntry(cursor, header);
          entries.push(entry);
          done = cursor.at;
          // The first entry of all, before any that holds a name.
          if (entry.description !== "ENCODING") continue;
          encoding = encodingOf(entry) ?? encoding;
          decode = cursor.decode = textDecoder(encoding);
        }
      } catch (error) {
        if (error !== short) throw error;
        held = held.subarray(done);
        return undefined;
      }
      assertRestorable({ header, encoding, entries });
      const rest = held.subarray(done);
      held = Buffer.alloc(0);
      return rest;
    },
    head() {
      return { header: header!, encoding, entries };
    },
  };
}

interface Cursor {
  at: number;
  intBytes: number;
  decode: DecodeText;
  byte(): number;
  int(): number;
  text(): string | undefined;
  skip(bytes: number): void;
}

function cursorOf(bytes: Buffer): Cursor {
  const need = (count: number, at: number) => {
    if (at + count > bytes.length) throw short;
  };
  return {
    at: 0,
    intBytes: 4,
    decode: textDecoder("UTF8"),
    byte() {
      need(1, this.at);
      return bytes[this.at++]!;
    },
    int() {
      need(1 + this.intBytes, this.at);
      const sign = bytes[this.at]!;
      if (sign > 1) throw damaged(`a number has the sign ${sign}`);
      let value = 0;
      for (let index = this.intBytes; index > 0; index--) {
        value = value * 256 + bytes[this.at + index]!;
      }
      this.at += 1 + this.intBytes;
      return sign === 1 ? -value : value;
    },
    text() {
      const start = this.at;
      const length = this.int();
      if (length < 0) return undefined;
      if (length > longestTextBytes) throw damaged(`a text of ${length} bytes`);
      if (this.at + length > bytes.length) {
        this.at = start;
        throw short;
      }
      const text = this.decode(bytes.subarray(this.at, this.at + length));
      this.at += length;
      return text;
    },
    skip(count) {
      need(count, this.at);
      this.at += count;
    },
  };
}

/** The enum teSection. */
const sections: Readonly<Record<number, TocEntry["section"]>> = {
  2: "pre-data",
  3: "data",
  4: "post-data",
};

const magic = "PGDMP";
const customFormat = 1;
/** SECTION_NONE, SECTION_PRE_DATA, SECTION_DATA, SECTION_POST_DATA. */
const lastSection = 4;
/** K_OFFSET_POS_NOT_SET, K_OFFSET_POS_SET, K_OFFSET_NO_DATA. */
const noData = 3;

function readHeader(cursor: Cursor): ArchiveHeader {
  for (const character of magic) {
    if (cursor.byte() !== character.charCodeAt(0)) throw damaged(`it does not begin with ${magic}`);
  }
  const [major, minor] = [cursor.byte(), cursor.byte()];
  cursor.byte(); // revision
  if (major !== 1 || minor < 12 || minor > 16) {
    throw damaged(`it has the unknown format version ${major}.${minor}`);
  }
  const [intBytes, offsetBytes, format] = [cursor.byte(), cursor.byte(), cursor.byte()];
  if (intBytes < 4 || intBytes > 8 || offsetBytes > 16) throw damaged("its number sizes are wrong");
  if (format !== customFormat) throw damaged("it is not of pg_dump's custom format");
  cursor.intBytes = intBytes;
  // Until 1.14 a level, from 1.15 an algorithm; 0 is none in both.
  const compression = minor >= 15 ? cursor.byte() : cursor.int();
  for (let field = 0; field < 7; field++) cursor.int(); // when it was made, by pg_dump's clock
  const names = [cursor.text() ?? "", cursor.text() ?? "", cursor.text() ?? ""] as const;
  const [database, serverVersion, toolVersion] = names;
  return {
    minor,
    intBytes,
    offsetBytes,
    isCompressed: compression !== 0,
    database,
    serverVersion,
    toolVersion,
    tocAt: cursor.at,
  };
}

function readEntry(cursor: Cursor, { minor, offsetBytes }: ArchiveHeader): TocEntry {
  const dumpId = cursor.int();
  const hasData = cursor.int() !== 0;
  // The catalog's oid and the object's: like the next two, pg_restore takes their being there for
  // granted, and crashes.
  const oids = [cursor.text(), cursor.text()];
  const tag = cursor.text();
  const description = cursor.text();
  const section = cursor.int();
  const definition = cursor.text() ?? "";
  cursor.text(); // how to drop it
  const copyStatement = cursor.text();
  const schema = cursor.text();
  const tablespace = cursor.text();
  if (minor >= 14) cursor.text(); // table access method
  if (minor >= 16) cursor.int(); // relkind
  const owner = cursor.text();
  const hasOids = cursor.text(); // "false", once
  const dependencies: number[] = [];
  for (let one = cursor.text(); one !== undefined; one = cursor.text()) {
    // What is no number is one that leads nowhere to pg_restore.
    if (/^\s*-?\d/.test(one)) dependencies.push(Number.parseInt(one));
  }
  // Where its data is: unknown in what was written to a pipe.
  const offset = cursor.byte();
  cursor.skip(offsetBytes);
  if (!(dumpId > 0 && dumpId < 2 ** 31 - 1)) throw damaged("an entry has no valid id");
  if (tag === undefined || description === undefined) throw damaged("an entry has no name");
  if (hasOids === undefined || oids.includes(undefined)) throw damaged("an entry is incomplete");
  // What is in none of them is passed over without a word.
  if (section < 1 || section > lastSection) throw damaged(`an entry is in the section ${section}`);
  if (offset < 1 || offset > noData) throw damaged(`an entry's data is at the place ${offset}`);
  if (hasData && offset === noData) throw damaged(`the data of ${tag} would be passed over`);
  return {
    dumpId,
    catalog: Number(oids[0]),
    oid: Number(oids[1]),
    hasData,
    tag,
    description,
    section: sections[section],
    definition,
    copyStatement,
    schema: schema === "" ? undefined : schema,
    tablespace: tablespace === "" ? undefined : tablespace,
    owner: owner === "" ? undefined : owner,
    dependencies,
  };
}

/** The name in `SET client_encoding = 'LATIN1';`. */
function encodingOf({ definition }: TocEntry): string | undefined {
  return /^SET client_encoding = '(\w+)'$/.exec(statementsOf(definition)[0] ?? "")?.[1];
}
