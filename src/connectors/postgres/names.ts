import { Buffer } from "node:buffer";

/** PostgreSQL's longest name in bytes (NAMEDATALEN - 1); it cuts longer ones without a word. */
const longestNameBytes = 63;

/** A name as an identifier in SQL, always quoted. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a literal in SQL, right whatever standard_conforming_strings says. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

/**
 * The argument of `--dbname` that means a database of this name and nothing else: a plain name with
 * `=` in it, or one that looks like a URL, would be taken for connection settings.
 */
export function databaseArgument(name: string): string {
  return `--dbname=dbname='${name.replaceAll(/['\\]/g, "\\$&")}'`;
}

/** The pattern that means exactly this table to pg_dump's `--exclude-table`. */
export function tablePattern(schema: string, name: string): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

/** The pattern that means exactly this name to pg_dump, quoted only where it needs that. */
export function patternFor(name: string): string {
  return /^[a-z_][a-z0-9_-]*$/.test(name) ? name : quoteName(name);
}

/**
 * `NAME` and an ending, shortened in the middle to what PostgreSQL keeps of a name.
 *
 * @param taken names that cannot be used; a number is added until the name is free.
 */
export function derivedName(name: string, ending: string, taken: ReadonlySet<string>): string {
  for (let number = 1;; number++) {
    const end = number === 1 ? ending : `${ending}_${number}`;
    const candidate = cutBytes(name, longestNameBytes - Buffer.byteLength(end)) + end;
    if (!taken.has(candidate)) return candidate;
  }
}

function cutBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let cut = "";
  for (const character of text) {
    if (Buffer.byteLength(cut + character) > bytes) break;
    cut += character;
  }
  return cut;
}
