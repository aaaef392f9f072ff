import type { Abortable } from "../../core/bytes.ts";
import { literalText, plainName, tokensOf } from "./archive/sql.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client, Row } from "./client.ts";
import { runInside } from "./create.ts";
import { sqlState } from "./failure.ts";
import { quoteName, quoteText } from "./names.ts";

/** A sequence, by its plain names. */
export interface SequenceName {
  readonly schema: string;
  readonly name: string;
}

/** Sequences of a restore whose values are not in the archive. */
export interface Unvalued {
  /** Made by the restore, because defaults need them and the archive has none. */
  readonly made: readonly SequenceName[];
  /** The archive's own. */
  readonly archived: readonly SequenceName[];
}

/**
 * Finds sequences that a backup lacks and the defaults of its tables need: without them the tables
 * could not be made.
 *
 * @throws PostgresError
 */
export async function missingSequences(
  client: Client,
  database: string,
  { entries }: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
  o: Abortable,
): Promise<SequenceName[]> {
  const wanted = entries.filter(({ dumpId }) => ids?.has(dumpId) ?? true);
  const made = new Set(
    wanted.filter(({ description }) => description === "SEQUENCE").map(({ schema = "", tag }) =>
      keyOf({ schema, name: tag })
    ),
  );
  const used = new Map(
    wanted.flatMap(sequencesIn).map((one) => [keyOf(one), one]),
  );
  const missing = [...used].filter(([key]) => !made.has(key)).map(([, one]) => one);
  if (missing.length === 0) return [];
  const rows = await client.rows(
    database,
    `SELECT n.nspname::text AS schema, c.relname::text AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'S'`,
    o,
  );
  const present = new Set(
    rows.map((row) => keyOf({ schema: String(row["schema"]), name: String(row["name"]) })),
  );
  return missing.filter((one) => !present.has(keyOf(one)));
}

/** The sequences of an archive with rows whose values it has not: who dumped it could not read them. */
export function unvaluedSequences(
  { entries }: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
): SequenceName[] {
  if (!entries.some(({ description }) => description === "TABLE DATA")) return [];
  const named = (kind: string) =>
    entries.filter(({ description, dumpId }) => description === kind && (ids?.has(dumpId) ?? true))
      .map(({ schema = "", tag }) => ({ schema, name: tag }));
  const valued = new Set(named("SEQUENCE SET").map(keyOf));
  return named("SEQUENCE").filter((one) => !valued.has(keyOf(one)));
}

/** SQL that makes it, to begin at 1. */
export function sequenceStatement(one: SequenceName): string {
  return `CREATE SEQUENCE ${quoted(one)}`;
}

/**
 * Has sequences go on after the largest value of the columns that use them, and gives those that were
 * made to the owner of the first; takes away what was made and no table came for.
 *
 * @returns warnings
 * @throws PostgresError
 */
export async function settleSequences(
  client: Client,
  database: string,
  { made, archived }: Unvalued,
  o: Abortable,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const one of [...made, ...archived]) {
    const isMade = made.includes(one);
    const users = (await client.rows(database, usersQuery, o, [one.schema, one.name])).map(userOf);
    if (users.length === 0 && isMade) await dropSequence(client, database, one, o);
    if (users[0] === undefined && isMade) continue;
    const largest = await largestOf(client, database, users, o);
    const statements = [
      ...largest === undefined ? [] : [`SELECT pg_catalog.setval(${regclass(one)}, ${largest})`],
      ...users[0] === undefined || !isMade
        ? []
        : [`ALTER SEQUENCE ${quoted(one)} OWNER TO ${quoteName(users[0].owner)}`],
    ];
    const isSettled = await hasRun(client, database, statements, o);
    const columns = users.map(({ table, column }) => `${table}.${column}`).join(", ");
    const what = isMade
      ? `The sequence ${one.schema}.${one.name} is not in the backup, and the default of ` +
        `${columns} needs it: it was made anew`
      : `The value of the sequence ${one.schema}.${one.name} is not in the backup`;
    const where = largest === undefined || !isSettled
      ? "it begins anew"
      : `it goes on after ${largest}, the largest value in ${columns}`;
    warnings.push(`${what}; ${where}${isMade ? ". Only the table's owner has rights on it" : ""}`);
  }
  return warnings;
}

/** A column whose values come from a sequence. */
interface SequenceUser {
  /** Quoted where that is needed, as the column. */
  readonly table: string;
  readonly column: string;
  readonly owner: string;
  readonly isNumber: boolean;
}

function userOf(row: Row): SequenceUser {
  return {
    table: String(row["table"]),
    column: String(row["column"]),
    owner: String(row["owner"]),
    isNumber: row["is_number"] === true,
  };
}

async function dropSequence(client: Client, database: string, one: SequenceName, o: Abortable) {
  await hasRun(client, database, [`DROP SEQUENCE IF EXISTS ${quoted(one)}`], o);
}

/** Runs statements; false where the server refuses one. */
async function hasRun(
  client: Client,
  database: string,
  statements: readonly string[],
  o: Abortable,
): Promise<boolean> {
  try {
    await runInside(client, database, statements, o);
    return true;
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    return false;
  }
}

const usersQuery = `
  WITH sequence AS (
    SELECT s.oid FROM pg_catalog.pg_class s JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
     WHERE n.nspname = $1 AND s.relname = $2 AND s.relkind = 'S'
  ), used AS (
    SELECT f.adrelid AS relation, f.adnum AS number
      FROM sequence s
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = s.oid
      JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
    UNION
    -- A serial or identity column's own.
    SELECT d.refobjid, d.refobjsubid
      FROM sequence s
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
       AND d.refclassid = d.classid AND d.objid = s.oid AND d.deptype IN ('a', 'i'))
  SELECT c.oid::pg_catalog.regclass::text AS "table", pg_catalog.quote_ident(a.attname) AS "column",
         pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
         a.atttypid IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype,
           'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype) AS is_number
    FROM used u JOIN pg_catalog.pg_class c ON c.oid = u.relation
    JOIN pg_catalog.pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.number
   ORDER BY 1, 2`;

/** The largest value of columns that a sequence can have, in digits; undefined where there is none. */
async function largestOf(
  client: Client,
  database: string,
  users: readonly SequenceUser[],
  o: Abortable,
): Promise<string | undefined> {
  const columns = users.filter(({ isNumber }) => isNumber).map(({ table, column }) =>
    `SELECT pg_catalog.floor(pg_catalog.max(${column})) AS n FROM ${table} ` +
    `WHERE ${column} BETWEEN 1 AND 9223372036854775807`
  );
  if (columns.length === 0) return undefined;
  const [row] = await client.rows(
    database,
    `SELECT pg_catalog.max(n)::pg_catalog.numeric::text AS largest
       FROM (${columns.join(" UNION ALL ")}) AS u`,
    o,
  );
  const largest = row?.["largest"];
  return typeof largest === "string" && /^\d+$/.test(largest) ? largest : undefined;
}

/** The sequences in `nextval('public.s'::regclass)` of a table's definition. */
function sequencesIn({ description, definition, schema = "" }: TocEntry): SequenceName[] {
  if (!["TABLE", "DEFAULT"].includes(description)) return [];
  if (!definition.includes("nextval(")) return [];
  const tokens = tokensOf(definition).filter(({ source }) => source.trim() !== "");
  return tokens.flatMap(({ type, source }, at): SequenceName[] => {
    const isNamed = type === "text" && tokens[at - 1]?.source === "(" &&
      tokens[at - 2]?.source === "nextval" && tokens[at + 1]?.source === ":";
    if (!isNamed) return [];
    const names = tokensOf(literalText(source)).filter((one) => one.source !== ".")
      .map((one) => plainName(one.source));
    const [first = "", second] = names;
    return [second === undefined ? { schema, name: first } : { schema: first, name: second }];
  });
}

function keyOf({ schema, name }: SequenceName): string {
  return JSON.stringify([schema, name]);
}

function quoted({ schema, name }: SequenceName): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

function regclass(one: SequenceName): string {
  return `${quoteText(quoted(one))}::pg_catalog.regclass`;
}
