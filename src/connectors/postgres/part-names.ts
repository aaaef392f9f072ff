import { BackupError } from "../../core/errors.ts";
import { nearest } from "../../core/text.ts";
import type { TocEntry } from "./archive/toc.ts";
import { quoteName } from "./names.ts";

/** What a name of `--only` means in one archive. */
export interface NameMatch {
  readonly name: string;
  /** More than one where several schemas have the name. */
  readonly entries: readonly TocEntry[];
}

const most = 20;
const mostListed = 8;

/**
 * Finds what a name means: `TABLE` or `SCHEMA.TABLE`, as it is; or with the names in double quotes,
 * as SQL has them. A dot may be of a name.
 */
export function matchName(name: string, relations: readonly TocEntry[]): NameMatch {
  const dotted = relations.filter((entry) => name === dottedName(entry));
  const plain = relations.filter(({ tag }) => name === tag);
  const found = dotted.length > 0 ? dotted : plain;
  if (found.length > 0) return { name, entries: found };
  const parts = quotedParts(name);
  if (parts === undefined) return { name, entries: [] };
  const [table, schema] = [...parts].reverse();
  return {
    name,
    entries: relations.filter((entry) =>
      entry.tag === table && (schema === undefined || entry.schema === schema)
    ),
  };
}

/**
 * Every name must mean something in one of the archives, and only one thing in each.
 *
 * @param others what the archives have that is no relation
 * @throws BackupError `restore/no-such-object`, `restore/ambiguous-object`
 */
export function assertNames(
  names: readonly string[],
  archives: readonly {
    readonly relations: readonly TocEntry[];
    readonly others: readonly TocEntry[];
  }[],
): void {
  for (const name of names) {
    const matches = archives.map(({ relations }) => matchName(name, relations).entries);
    for (const entries of matches) if (entries.length > 1) throw ambiguous(name, entries);
    if (matches.some(({ length }) => length > 0)) continue;
    const known = archives.flatMap(({ relations }) => relations);
    throw new BackupError(
      "restore/no-such-object",
      `The backup has no table "${name}"`,
      { hint: hintFor(name, known, archives.flatMap(({ others }) => others)) },
    );
  }
}

/** How a relation is asked for without doubt: `public.orders`, `"Mixed Case"."Tab.le"`. */
export function sayableName({ schema, tag }: TocEntry): string {
  const isPlain = ![schema, tag].some((part) => part === undefined || /[."]/.test(part));
  if (isPlain) return `${schema}.${tag}`;
  return schema === undefined ? quoteName(tag) : `${quoteName(schema)}.${quoteName(tag)}`;
}

function dottedName({ schema, tag }: TocEntry): string {
  return `${schema}.${tag}`;
}

/** `schema."Ta.ble"` taken apart as SQL does; undefined where it is no such text. */
function quotedParts(name: string): readonly string[] | undefined {
  if (!name.includes('"')) return undefined;
  const part = String.raw`"(?:[^"]|"")+"|[^".]+`;
  if (!new RegExp(`^(?:${part})(?:\\.(?:${part}))?$`).test(name)) return undefined;
  return [...name.matchAll(new RegExp(part, "g"))].map(([one]) =>
    // What SQL has without quotes is in lower case.
    one.startsWith('"') ? one.slice(1, -1).replaceAll('""', '"') : one.toLowerCase()
  );
}

function ambiguous(name: string, entries: readonly TocEntry[]): BackupError {
  const names = entries.map(sayableName);
  return new BackupError(
    "restore/ambiguous-object",
    `"${name}" is ${names.join(" and ")} in the backup`,
    { hint: `Say which: --only ${names.map((one) => quotedForShell(one)).join(" or --only ")}.` },
  );
}

function quotedForShell(name: string): string {
  return /^[\w.]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}

function hintFor(
  name: string,
  known: readonly TocEntry[],
  others: readonly TocEntry[],
): string {
  const other = others.find((one) =>
    [one.tag, dottedName(one)].some((text) => text.replace(/\([\s\S]*\)$/, "") === name)
  );
  if (other !== undefined) {
    return `${other.description[0]}${other.description.slice(1).toLowerCase()} ${
      dottedName(other)
    } comes along with the tables that need it; --only takes tables, views and sequences.`;
  }
  const plain = (text: string) => text.normalize("NFC").toLowerCase().replaceAll('"', "");
  const near =
    known.find((one) => [one.tag, dottedName(one)].some((text) => plain(text) === plain(name))) ??
      nearestOf(name, known);
  if (near !== undefined) return `Did you mean --only ${quotedForShell(sayableName(near))}?`;
  const names = known.map(sayableName);
  const shown = names.length > most ? [...names.slice(0, most), "…"] : names;
  return `It has ${shown.join(", ") || "none"}.`;
}

function nearestOf(name: string, known: readonly TocEntry[]): TocEntry | undefined {
  const isDotted = name.includes(".");
  const textOf = (entry: TocEntry) => isDotted ? dottedName(entry) : entry.tag;
  const text = nearest(name.replaceAll('"', ""), known.map(textOf)) ??
    // As the server cuts them.
    known.map(textOf).find((one) => one.length > 40 && name.startsWith(one));
  return known.find((entry) => textOf(entry) === text);
}

/** Names as a sentence has them: `a, b and c`, of many the first. */
export function listed(names: readonly string[]): string {
  const shown = names.length > mostListed
    ? [...names.slice(0, mostListed), `${names.length - mostListed} more`]
    : names;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}
