import { damaged } from "./damage.ts";
import { typeOf } from "./inventory.ts";
import type { ArchiveHead, TocEntry } from "./entries.ts";

/**
 * Checks what pg_restore needs of a table of contents, by what it does with one that was changed
 * (pg_backup_archiver.c; tests/connectors/postgres/contents.test.ts has both side by side). What it
 * takes is not refused: a dependency that leads nowhere, or an id that two kinds of things share.
 *
 * @throws BackupError `verification/structure`
 */
export function assertRestorable({ entries }: ArchiveHead): void {
  const greatest = entries.reduce((most, { dumpId }) => Math.max(most, dumpId), 0);
  const seen = new Map<number, TocEntry[]>();
  for (const entry of entries) {
    const { description, definition, dumpId, dependencies, hasData } = entry;
    const others = seen.get(dumpId) ?? [];
    seen.set(dumpId, [...others, entry]);
    for (const other of others) {
      if (hasData && other.hasData) throw damaged(`two blocks of data have the id ${dumpId}`);
      if (isSame(entry, other) && makes.test(definition)) {
        throw damaged(`it makes ${nameOf(entry)} twice`);
      }
    }
    switch (description) {
      case "ENCODING":
        if (!encodings.has(quoted(definition).replace(/[^a-z0-9]/gi, "").toLowerCase())) {
          throw damaged(`its encoding is "${definition.trim()}"`);
        }
        break;
      case "STDSTRINGS":
        if (!/^(on|off)$/.test(quoted(definition))) {
          throw damaged(`its way with backslashes is "${definition.trim()}"`);
        }
        break;
      case "TABLE DATA": {
        const [table] = dependencies;
        if (table !== undefined && !(table > 0 && table <= greatest)) {
          throw damaged(`${nameOf(entry)} belongs to no table`);
        }
      }
    }
    if (typeOf(entry) !== undefined && definition === "") {
      throw damaged(`nothing makes ${nameOf(entry)}`);
    }
  }
}

/** Statements that fail where what they make is there already. */
const makes =
  /^\s*(--[^\n]*\n\s*)*(CREATE (?!OR REPLACE|EXTENSION IF NOT EXISTS)|ALTER TABLE [\s\S]* ADD CONSTRAINT )/;

function isSame(one: TocEntry, other: TocEntry): boolean {
  return one.description === other.description && one.schema === other.schema &&
    one.tag === other.tag;
}

/** What stands between the first two quotes. */
function quoted(definition: string): string {
  return /'([^']*)'/.exec(definition)?.[1] ?? "";
}

/** How an entry is called in errors. */
export function nameOf({ description, schema, tag }: TocEntry): string {
  return `${description} ${schema === undefined ? "" : `${schema}.`}${tag}`;
}

// pg_char_to_encoding's names, and those that older versions wrote, as it compares them.
const encodings = new Set(
  [
    ..."sqlascii eucjp euccn euckr euctw eucjis2004 utf8 unicode mskanji muleinternal".split(" "),
    ..."koi8 koi8r koi8u iso88591 iso88592 iso88593 iso88594 iso88595 iso88596".split(" "),
    ..."iso88597 iso88598 iso88599 iso885910 iso885913 iso885914 iso885915".split(" "),
    ..."iso885916 abc alt tcvn tcvn5712 vscii win sjis shiftjis shiftjis2004".split(" "),
    ..."windows949 windows950 windows936 big5 gbk uhc gb18030 johab".split(" "),
    ...Array.from({ length: 10 }, (_, index) => `latin${index + 1}`),
    ...[866, 874, 932, 936, 949, 950].flatMap((page) => [`win${page}`, `windows${page}`]),
    ...Array.from({ length: 9 }, (_, index) => [`win125${index}`, `windows125${index}`]).flat(),
  ],
);
