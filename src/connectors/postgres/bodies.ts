import type { TocEntry } from "./archive/toc.ts";
import { relationKinds } from "./archive/ownership.ts";
import { tokensOf } from "./archive/sql.ts";

const routineKinds = ["FUNCTION", "PROCEDURE", "AGGREGATE"];
const typeKinds = ["TYPE", "DOMAIN"];

/** What a routine's text seems to name. */
export interface Named {
  /** Routines, types and sequences: small, and made for it. */
  readonly small: readonly TocEntry[];
  /** Tables and views. */
  readonly relations: readonly TocEntry[];
}

/** By their last name, what a text could mean. */
export interface Dictionary {
  readonly routines: ReadonlyMap<string, readonly TocEntry[]>;
  readonly types: ReadonlyMap<string, readonly TocEntry[]>;
  readonly relations: ReadonlyMap<string, readonly TocEntry[]>;
  /** Text search configurations. */
  readonly configurations: ReadonlyMap<string, readonly TocEntry[]>;
}

/** Makes a {@link Dictionary} of an archive. */
export function dictionaryOf(entries: readonly TocEntry[]): Dictionary {
  const of = (kinds: readonly string[]) =>
    Map.groupBy(
      entries.filter(({ description }) => kinds.includes(description)),
      ({ tag, description }) =>
        routineKinds.includes(description) ? tag.replace(/\([\s\S]*$/, "") : tag,
    );
  return {
    routines: of(routineKinds),
    types: of(typeKinds),
    relations: of(relationKinds),
    configurations: of(["TEXT SEARCH CONFIGURATION"]),
  };
}

/**
 * What the body of a routine in SQL or PL/pgSQL names. The server keeps such a body as a text and
 * notes no dependency, so this reads its words: a name before a parenthesis may be a routine, one
 * after FROM, JOIN, INTO, UPDATE or TABLE a relation. Bodies that the server has read when they were
 * made have their dependencies in the archive.
 */
export function namedInBody({ description, definition }: TocEntry, known: Dictionary): Named {
  const small = new Set<TocEntry>();
  const relations = new Set<TocEntry>();
  if (!routineKinds.includes(description)) return { small: [], relations: [] };
  const body = bodyOf(definition);
  if (body === undefined) return { small: [], relations: [] };
  const tokens = tokensOf(body).filter(({ type, source }) =>
    !(type === "other" && (source.trim() === "" || source.startsWith("--")))
  );
  tokens.forEach(({ type, source }, at) => {
    if (type === "text") {
      // nextval('public.numbers'), 'numbers'::regclass
      namedInText(source, known.relations).filter((one) => one.description === "SEQUENCE")
        .forEach((one) => small.add(one));
      namedInText(source, known.configurations).forEach((one) => small.add(one));
    }
    if (type !== "name" && type !== "word") return;
    if (tokens[at + 1]?.source === ".") return;
    const name = nameIn(source);
    const before = tokens[at - 1]?.source === "." ? tokens[at - 2]?.source : undefined;
    const schema = before === undefined ? undefined : nameIn(before);
    if (tokens[at + 1]?.source === "(") {
      pick(known.routines, name, schema).forEach((one) => small.add(one));
    }
    pick(known.types, name, schema).forEach((one) => small.add(one));
    const start = tokens[schema === undefined ? at - 1 : at - 3]?.source.toUpperCase() ?? "";
    if (!/^(FROM|JOIN|INTO|UPDATE|TABLE|ONLY|,)$/.test(start)) {
      const isRow = tokens[at + 1]?.source === "%";
      if (!isRow) return;
    }
    pick(known.relations, name, schema).forEach((one) =>
      one.description === "SEQUENCE" ? small.add(one) : relations.add(one)
    );
  });
  return { small: [...small], relations: [...relations] };
}

/**
 * The text search configurations that a trigger names among its arguments, which are texts to the
 * server: `tsvector_update_trigger('words', 'public.english', 'body')`.
 */
export function namedInTrigger(
  { description, definition }: TocEntry,
  known: Dictionary,
): readonly TocEntry[] {
  if (description !== "TRIGGER") return [];
  return tokensOf(definition).filter(({ type }) => type === "text")
    .flatMap(({ source }) => namedInText(source, known.configurations));
}

function namedInText(
  source: string,
  known: ReadonlyMap<string, readonly TocEntry[]>,
): readonly TocEntry[] {
  const text = source.replace(/^[Ee]?'/, "").replace(/'$/, "").replaceAll('"', "");
  const [name = "", schema] = text.split(".").reverse();
  return pick(known, name, schema);
}

function pick(
  known: ReadonlyMap<string, readonly TocEntry[]>,
  name: string,
  schema: string | undefined,
): TocEntry[] {
  return (known.get(name) ?? []).filter((one) => schema === undefined || one.schema === schema);
}

/** A name as the server takes it: in lower case where it is not quoted. */
function nameIn(source: string): string {
  return source.startsWith('"') ? source.slice(1, -1).replaceAll('""', '"') : source.toLowerCase();
}

/** What stands between the dollars, or in the text, after AS. */
function bodyOf(definition: string): string | undefined {
  if (!/\bLANGUAGE (sql|plpgsql)\b/i.test(definition)) return undefined;
  const dollar = /\bAS (\$[^$]*\$)/.exec(definition);
  if (dollar !== null) {
    const start = dollar.index + dollar[0].length;
    const end = definition.lastIndexOf(dollar[1]!);
    return end > start ? definition.slice(start, end) : undefined;
  }
  const text = /\bAS E?'([\s\S]*)'/.exec(definition)?.[1];
  return text?.replaceAll("''", "'");
}
