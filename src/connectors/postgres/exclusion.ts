import type { Abortable } from "../../core/bytes.ts";
import type { DumpSettings } from "../../contracts/source.ts";
import type { Client } from "./client.ts";
import { readDumpArgs } from "./dump-args.ts";

/** What a job leaves out on purpose, as pg_dump reads its patterns. */
export interface Exclusion {
  /** Whether a relation is not looked at by pg_dump at all: needs neither privilege nor accept. */
  isExcluded(oid: number): boolean;
  /** Whether a relation's rows are not dumped. */
  hasNoRows(oid: number): boolean;
}

/** The two regular expressions that a pattern stands for. */
interface Pattern {
  readonly schema: string | undefined;
  readonly name: string | undefined;
  /** Whether it means partitions and inheritance children, too. */
  readonly isWithChildren?: boolean;
}

/**
 * Finds the relations that the job's settings leave out of a database's dump.
 *
 * @throws PostgresError where a pattern is no regular expression, as pg_dump does
 */
export async function readExclusion(
  client: Client,
  database: string,
  settings: DumpSettings,
  o: Abortable,
): Promise<Exclusion> {
  const args = readDumpArgs(settings.dumpArgs ?? []);
  const valuesOf = (name: string) =>
    args.flatMap((arg) => arg.name === name && arg.value !== undefined ? [arg.value] : []);
  const tables = (texts: readonly string[], withChildren: readonly string[]) =>
    relations(client, database, [
      ...texts.map(patternOf),
      ...withChildren.map((text) => ({ ...patternOf(text), isWithChildren: true })),
    ], o);
  const schemas = (texts: readonly string[]) =>
    relations(
      client,
      database,
      texts.map((text): Pattern => ({ schema: patternOf(text).name, name: undefined })),
      o,
    );
  const excluded = await tables(
    [...settings.exclude ?? [], ...valuesOf("exclude-table")],
    valuesOf("exclude-table-and-children"),
  );
  const excludedSchemas = await schemas(valuesOf("exclude-schema"));
  const chosen = await tables(valuesOf("table"), valuesOf("table-and-children"));
  const chosenSchemas = await schemas(valuesOf("schema"));
  const withoutRows = await tables(
    [...settings.excludeData ?? [], ...valuesOf("exclude-table-data")],
    valuesOf("exclude-table-data-and-children"),
  );
  const has = (...names: string[]) => args.some(({ name }) => names.includes(name));
  const isSchemaOnly = settings.schemaOnly === true || has("schema-only", "no-data");
  return {
    isExcluded(oid) {
      if (excluded.has(oid)) return true;
      // Where tables are chosen, pg_dump does not look at what is said of schemas.
      if (has("table", "table-and-children")) return !chosen.has(oid);
      return excludedSchemas.has(oid) || has("schema") && !chosenSchemas.has(oid);
    },
    hasNoRows: (oid) => isSchemaOnly || withoutRows.has(oid),
  };
}

/**
 * The patterns of `exclude` and `excludeData` that mean nothing in a database: most often names with
 * capitals or dots that are not in double quotes.
 */
export async function unmatchedPatterns(
  client: Client,
  database: string,
  { exclude = [], excludeData = [] }: DumpSettings,
  o: Abortable,
): Promise<string[]> {
  const unmatched: string[] = [];
  for (const text of new Set([...exclude, ...excludeData])) {
    const found = await relations(client, database, [patternOf(text)], o);
    if (found.size === 0) unmatched.push(text);
  }
  return unmatched;
}

/** The relations that patterns mean, and the sequences that go with their tables. */
async function relations(
  client: Client,
  database: string,
  patterns: readonly Pattern[],
  o: Abortable,
): Promise<ReadonlySet<number>> {
  if (patterns.length === 0) return new Set();
  // A pattern without a schema means what is seen by this user's own path.
  await client.rows(database, "SET search_path TO DEFAULT", o);
  try {
    const rows = await client.rows(
      database,
      `WITH RECURSIVE named AS (
         SELECT c.oid, p."isWithChildren" AS is_with_children FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.json_to_recordset($1::text::json) 
                AS p (schema text, name text, "isWithChildren" bool)
             ON (p.name IS NULL OR c.relname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog."default")
            AND CASE WHEN p.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
                     ELSE n.nspname OPERATOR(pg_catalog.~) p.schema COLLATE pg_catalog."default" END
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
       ), child AS (
         SELECT oid FROM named WHERE is_with_children
         UNION SELECT i.inhrelid FROM child JOIN pg_catalog.pg_inherits i ON i.inhparent = child.oid
       ), found AS (SELECT oid FROM named UNION SELECT oid FROM child)
       SELECT oid::text AS oid FROM found
       UNION SELECT d.objid::text FROM pg_catalog.pg_depend d
         JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.deptype IN ('a', 'i') AND d.refobjid IN (SELECT oid FROM found)`,
      o,
      [JSON.stringify(patterns)],
    );
    return new Set(rows.map((row) => Number(row["oid"])));
  } finally {
    await client.rows(database, "SET search_path = pg_catalog", o).catch(() => {});
  }
}

/**
 * psql's patterns as regular expressions (patternToSQLRegex in PostgreSQL's string_utils.c): `*` and
 * `?`, a dot between schema and name, lower case of ASCII but between quotes.
 */
export function patternOf(text: string): Pattern {
  const parts = [""];
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    let piece: string;
    if (character === '"') {
      if (!isQuoted || text[at + 1] !== '"') {
        isQuoted = !isQuoted;
        continue;
      }
      at++;
      piece = '"';
    } else if (!isQuoted && character === ".") {
      parts.push("");
      continue;
    } else if (!isQuoted && character === "*") piece = ".*";
    else if (!isQuoted && character === "?") piece = ".";
    else if (isQuoted ? /[|*+?()[\]{}.^$\\]/.test(character) : /[[\]$]/.test(character)) {
      piece = `\\${character}`;
    } else piece = isQuoted || !/[A-Z]/.test(character) ? character : character.toLowerCase();
    parts[parts.length - 1] += piece;
  }
  const [name, schema] = parts.reverse().map((part) => `^(${part})$`);
  return { schema, name };
}
