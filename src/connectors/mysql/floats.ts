import type { Abortable } from "../../core/bytes.ts";
import { type Client, quoteName } from "./client.ts";
import { askSchema, type Relation } from "./databases.ts";
import type { RelayedQuery } from "./relay.ts";
import { compareVersions, type Server } from "./server.ts";

/** A table with columns of type FLOAT. */
export interface FloatTable {
  readonly database: string;
  readonly name: string;
  /** What `*` stands for: its columns in their order, but for invisible ones. */
  readonly columns: readonly string[];
  /** Its columns of type FLOAT that a dump holds values of. */
  readonly floats: readonly string[];
}

/**
 * The tables among these with columns whose values the tools round: the server prints a FLOAT with 6
 * digits, and 16777215 comes back as 16777200. FLOAT(M,D) is printed with all of its D digits.
 */
export async function listFloats(
  client: Client,
  databases: readonly string[],
  dumped: readonly Relation[],
  o: Abortable,
): Promise<FloatTable[]> {
  const isFloat = "DATA_TYPE = 'float' AND NUMERIC_SCALE IS NULL " +
    "AND GENERATION_EXPRESSION IN ('') IS NOT FALSE";
  const found = await askSchema(
    client,
    "SELECT DISTINCT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.COLUMNS " +
      `WHERE ${isFloat} AND TABLE_SCHEMA`,
    databases,
    o,
  );
  const wanted = new Set(found.map((row) => keyOf(String(row["db"]), String(row["name"]))));
  const tables: FloatTable[] = [];
  for (const { database, name, type } of dumped) {
    if (type !== "table" || !wanted.has(keyOf(database, name))) continue;
    const rows = await client.query(
      `SELECT COLUMN_NAME AS name, ${isFloat} AS isFloat, EXTRA AS extra ` +
        "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? " +
        "AND BINARY TABLE_SCHEMA = BINARY ? AND BINARY TABLE_NAME = BINARY ? " +
        "ORDER BY ORDINAL_POSITION",
      o,
      [database, name, database, name],
    );
    const isVisible = (extra: unknown) => !/\bINVISIBLE\b/i.test(String(extra));
    tables.push({
      database,
      name,
      columns: rows.filter(({ extra }) => isVisible(extra)).map((row) => String(row["name"])),
      floats: rows.filter((row) => Number(row["isFloat"]) === 1).map((row) => String(row["name"])),
    });
  }
  return tables;
}

/** Makes the tool ask for the exact values of FLOAT columns. */
export interface FloatReader {
  /** The statement to send instead of the tool's. */
  rewrite(query: RelayedQuery): string;
  /** The FLOAT columns among these whose values were not read in that way. */
  missed(tables: readonly FloatTable[]): MissedFloat[];
}

/** A column of type FLOAT whose values a dump may have rounded. */
export interface MissedFloat {
  readonly database: string;
  /** The table's. */
  readonly name: string;
  readonly column: string;
}

// SELECT /*!40001 SQL_NO_CACHE */ * FROM `t`, or with `a`, `b`, row_start instead of the asterisk.
const readsRows =
  /^(SELECT (?:\/\*.*?\*\/ )+)(\*|(?:`(?:[^`]|``)+`|\w+)(?:, ?(?:`(?:[^`]|``)+`|\w+))*)( FROM `((?:[^`]|``)+)`)/;

/** Makes a reader. What the tools ask for rows with is the one statement of theirs that changes. */
export function createFloatReader(
  tables: readonly FloatTable[],
  server: Pick<Server, "flavour" | "version">,
): FloatReader {
  const known = new Map(tables.map((table) => [keyOf(table.database, table.name), table]));
  const read = new Set<string>();
  const exact = exactWith(server);
  return {
    rewrite({ database, sql }) {
      const match = readsRows.exec(sql);
      if (match === null) return sql;
      const [whole, select, list, from, quoted] = match;
      const name = quoted!.replaceAll("``", "`");
      const table = known.get(keyOf(database, name));
      if (table === undefined) return sql;
      const columns = list === "*"
        ? table.columns.map(quoteName)
        : list!.match(/`(?:[^`]|``)+`|\w+/g) ?? [];
      const floats = new Map(table.floats.map((column) => [quoteName(column), column]));
      const changed = columns.map((column) => {
        const float = floats.get(column);
        if (float === undefined) return column;
        read.add(keyOf(database, name, float));
        return exact(column);
      });
      return select + changed.join(", ") + from + sql.slice(whole!.length);
    },
    missed: (found) =>
      found.flatMap(({ database, name, floats }) =>
        floats.filter((column) => !read.has(keyOf(database, name, column)))
          .map((column) => ({ database, name, column }))
      ),
  };
}

/**
 * A FLOAT as a DOUBLE, which is printed with as many digits as it has: those 6 of the FLOAT, so that
 * 0.1 stays 0.1, where they tell it from every other, else all of them. A sum with 0 would lose the
 * sign of a negative zero.
 */
function exactWith(
  { flavour, version }: Pick<Server, "flavour" | "version">,
): (column: string) => string {
  // Since when a text can be cast to FLOAT.
  const canCast = compareVersions(version, flavour === "MySQL" ? "8.0.17" : "10.4.5") >= 0;
  return (column) =>
    canCast
      ? `IF(CAST(CAST(${column} AS CHAR) AS FLOAT) = ${column}, ` +
        `CAST(${column} AS CHAR) * 1e0, ${column} * 1e0)`
      : `${column} * 1e0`;
}

function keyOf(...parts: readonly string[]): string {
  return JSON.stringify(parts);
}
