import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { MysqlAddress } from "./address.ts";
import { type Client, quoteText, type Row } from "./client.ts";

/** Databases that belong to a server and not to its users. */
const internal = [
  "information_schema",
  "performance_schema",
  "mysql",
  "sys",
  "#mysql50#lost+found",
];

/** Whether a database is the server's own. */
export function isInternal(name: string): boolean {
  return internal.includes(name.toLowerCase());
}

/**
 * The names of the databases meant: those selected, or all that this user may see.
 *
 * @throws BackupError `connection/no-database`
 */
export async function listDatabases(
  client: Client,
  { selected, label }: MysqlAddress,
  o: Abortable,
): Promise<string[]> {
  const names = await presentDatabases(client, o);
  const own = [...names].filter((name) => !isInternal(name)).sort();
  if (selected === undefined) return own;
  const missing = selected.find((name) => !names.has(name));
  if (missing === undefined) return [...selected];
  throw new BackupError("connection/no-database", `There is no database "${missing}" at ${label}`, {
    hint: `This user sees ${own.join(", ") || "none"}.`,
  });
}

/** The names of all databases that this user may see, also of the server's own. */
export async function presentDatabases(client: Client, o: Abortable): Promise<Set<string>> {
  const rows = await client.query("SHOW DATABASES", o);
  return new Set(rows.map((row) => String(row["Database"])));
}

/** One table, view or sequence of a database. */
export interface Relation {
  readonly database: string;
  readonly name: string;
  readonly type: "table" | "view" | "sequence";
  readonly engine: string | undefined;
  readonly isVersioned: boolean;
  /** Of the data, as the server estimates them. */
  readonly bytes: number;
}

/** The tables, views and sequences that this user may see, in the order of their names. */
export async function listRelations(
  client: Client,
  databases: readonly string[],
  o: Abortable,
): Promise<Relation[]> {
  const rows = await askSchema(
    client,
    "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine, " +
      "DATA_LENGTH AS bytes FROM information_schema.TABLES WHERE TABLE_SCHEMA",
    databases,
    o,
  );
  return rows.map((row) => {
    const type = String(row["type"]).toUpperCase();
    return {
      database: String(row["db"]),
      name: String(row["name"]),
      type: type.endsWith("VIEW") ? "view" : type === "SEQUENCE" ? "sequence" : "table",
      engine: row["engine"] === null ? undefined : String(row["engine"]),
      isVersioned: type === "SYSTEM VERSIONED",
      bytes: Number(row["bytes"] ?? 0),
    } as const;
  }).sort(byName);
}

/** A routine, trigger or event. */
export interface Program {
  readonly database: string;
  readonly name: string;
  readonly type: "routine" | "trigger" | "event";
  /** Of a routine, in the server's words: a function and a procedure may share a name. */
  readonly kind?: string;
  /** Whether its text can be read; undefined where only the dump will tell. */
  readonly isReadable: boolean;
  /** Of an event whether its text has `;;`: looking for another delimiter, the tools never end. */
  readonly isEndless: boolean;
}

/** What of an event is in its SHOW CREATE EVENT. */
const endless = "CONCAT_WS(' ', EVENT_NAME, DEFINER, EVENT_DEFINITION, EVENT_COMMENT) LIKE '%;;%'";

/** The routines, triggers and events that this user may see. */
export async function listPrograms(
  client: Client,
  databases: readonly string[],
  o: Abortable,
): Promise<Program[]> {
  const parts = [
    ["routine", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINE_DEFINITION", "ROUTINES"],
    ["trigger", "TRIGGER_SCHEMA", "TRIGGER_NAME", "ACTION_STATEMENT", "TRIGGERS"],
    ["event", "EVENT_SCHEMA", "EVENT_NAME", "EVENT_DEFINITION", "EVENTS"],
  ] as const;
  const programs: Program[] = [];
  for (const [type, schema, name, text, table] of parts) {
    const rows = await askSchema(
      client,
      `SELECT ${schema} AS db, ${name} AS name, ${text} IS NOT NULL AS readable, ` +
        `${type === "routine" ? "ROUTINE_TYPE" : "NULL"} AS kind, ` +
        `${type === "event" ? endless : "0"} AS endless ` +
        `FROM information_schema.${table} WHERE ${schema}`,
      databases,
      o,
    );
    programs.push(
      ...rows.map((row) => ({
        database: String(row["db"]),
        name: String(row["name"]),
        type,
        // A package and its body are one.
        ...row["kind"] === null ? {} : { kind: String(row["kind"]).replace(/ BODY$/, "") },
        isReadable: Number(row["readable"]) === 1,
        isEndless: Number(row["endless"]) === 1,
      })).sort(byName),
    );
  }
  return programs;
}

/** Asks for what of the databases an `information_schema` table says, by its column `db`. */
export async function askSchema(
  client: Client,
  sql: string,
  databases: readonly string[],
  o: Abortable,
): Promise<readonly Row[]> {
  if (databases.length === 0) return [];
  const rows = await client.query(`${sql} IN (${databases.map(quoteText).join(", ")})`, o);
  // The comparison folds case; twins that differ by it are two databases.
  return rows.filter((row) => databases.includes(String(row["db"])));
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
