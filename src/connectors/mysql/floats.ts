import type { Abortable } from "../../core/bytes.ts";
import type { DumpSettings } from "../../contracts/connector.ts";
import { type Client, quoteName } from "./client.ts";
import { askSchema, type Relation } from "./databases.ts";
import { isDenied } from "./refusals.ts";

/** A column of type FLOAT with values that 6 digits do not tell. */
export interface RoundedFloats {
  readonly database: string;
  /** The table's. */
  readonly name: string;
  readonly column: string;
  /** Whether it is in a key that is unique, where values must not become equal. */
  readonly isUnique: boolean;
}

/**
 * Finds the FLOAT columns whose values a dump would round: the server prints a FLOAT with 6 digits,
 * and 16777215 comes back as 16777200. Reads the tables that have such columns, up to the first.
 */
export async function findRounded(
  client: Client,
  databases: readonly string[],
  dumped: readonly Relation[],
  { schemaOnly }: DumpSettings,
  o: Abortable,
): Promise<RoundedFloats[]> {
  if (schemaOnly === true) return [];
  const rows = await askSchema(
    client,
    // FLOAT(M,D) is printed with all of its D digits, and so comes back.
    "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, COLUMN_NAME AS col " +
      "FROM information_schema.COLUMNS WHERE DATA_TYPE = 'float' AND NUMERIC_SCALE IS NULL " +
      "AND GENERATION_EXPRESSION IN ('') IS NOT FALSE AND TABLE_SCHEMA",
    databases,
    o,
  );
  const rounded: Omit<RoundedFloats, "isUnique">[] = [];
  for (const { database, name, type } of dumped) {
    if (type !== "table") continue;
    const columns = rows.filter((row) => row["db"] === database && row["name"] === name)
      .map((row) => String(row["col"]));
    for (const column of columns) {
      if (await isRounded(client, database, name, column, o)) {
        rounded.push({ database, name, column });
      }
    }
  }
  if (rounded.length === 0) return [];
  const keys = await askSchema(
    client,
    "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, COLUMN_NAME AS col " +
      "FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA",
    databases,
    o,
  );
  return rounded.map((one) => ({
    ...one,
    isUnique: keys.some((row) =>
      row["db"] === one.database && row["name"] === one.name && row["col"] === one.column
    ),
  }));
}

async function isRounded(
  client: Client,
  database: string,
  table: string,
  column: string,
  o: Abortable,
): Promise<boolean> {
  const value = quoteName(column);
  // Half the distance to the next FLOAT of 24 bits, down to the smallest there is.
  const half = `GREATEST(POW(2, -150), POW(2, FLOOR(LOG2(ABS(${value} + 0e0))) - 24))`;
  try {
    const found = await client.query(
      `SELECT 1 FROM ${quoteName(database)}.${quoteName(table)} WHERE ${value} <> 0 ` +
        `AND ABS(CAST(${value} AS CHAR) - (${value} + 0e0)) > ${half} LIMIT 1`,
      o,
    );
    return found.length > 0;
  } catch (error) {
    // A table that cannot be read is an omission of its own.
    if (isDenied(error)) return false;
    throw error;
  }
}
