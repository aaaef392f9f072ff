import type { Abortable } from "../../core/bytes.ts";
import type { DumpSettings } from "../../contracts/connector.ts";
import type { Client } from "./client.ts";

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
  const given = argumentsOf(settings.dumpArgs ?? []);
  const find = (patterns: readonly Pattern[]) => relations(client, database, patterns, o);
  const schemas = (texts: readonly string[]) =>
    texts.map((text): Pattern => ({ schema: patternOf(text).name, name: undefined }));
  const excluded = await find([
    ...[...settings.exclude ?? [], ...given.excludedTables].map(patternOf),
    ...schemas(given.excludedSchemas),
  ]);
  const chosen = await find(schemas(given.schemas));
  const withoutRows = await find(
    [...settings.excludeData ?? [], ...given.excludedRows].map(patternOf),
  );
  const isSchemaOnly = settings.schemaOnly === true || given.isSchemaOnly;
  return {
    isExcluded: (oid) => excluded.has(oid) || (given.schemas.length > 0 && !chosen.has(oid)),
    hasNoRows: (oid) => isSchemaOnly || withoutRows.has(oid),
  };
}

/** The options of pg_dump that leave out or choose, in its own spellings. */
function argumentsOf(args: readonly string[]) {
  const values = (long: string, short: string | undefined) =>
    args.flatMap((arg, at) => {
      if (arg.startsWith(`--${long}=`)) return [arg.slice(long.length + 3)];
      if (arg === `--${long}` || arg === `-${short}`) return args.slice(at + 1, at + 2);
      const isJoined = short !== undefined && arg.startsWith(`-${short}`) && arg.length > 2;
      return isJoined ? [arg.slice(2)] : [];
    });
  return {
    excludedTables: values("exclude-table", "T"),
    excludedSchemas: values("exclude-schema", "N"),
    schemas: values("schema", "n"),
    excludedRows: values("exclude-table-data", undefined),
    isSchemaOnly: args.some((arg) => arg === "--schema-only" || arg === "-s"),
  };
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
      `WITH found AS (
         SELECT c.oid FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.json_to_recordset($1::text::json) AS p (schema text, name text)
             ON (p.name IS NULL OR c.relname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog."default")
            AND CASE WHEN p.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
                     ELSE n.nspname OPERATOR(pg_catalog.~) p.schema COLLATE pg_catalog."default" END
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
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
 * `?`, a dot between schema and name, lower case but between quotes.
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
    } else piece = isQuoted ? character : character.toLowerCase();
    parts[parts.length - 1] += piece;
  }
  const [name, schema] = parts.reverse().map((part) => `^(${part})$`);
  return { schema, name };
}
