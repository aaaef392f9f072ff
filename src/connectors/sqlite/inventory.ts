import type { DatabaseInventory, InventoryObject, ObjectType } from "../../contracts/inventory.ts";
import { type Database, sqliteCodes, SqliteError } from "./database.ts";
import { countCells } from "./pages.ts";
import { isSqlite } from "./source.ts";

/**
 * Describes an open database: tables with their exact number of rows, views, indexes, triggers.
 * SQLite's own tables and automatic indexes are left out.
 *
 * @throws SqliteError
 */
export async function readInventory(name: string, database: Database): Promise<DatabaseInventory> {
  const rows = await database.all(
    "SELECT type, name, rootpage FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' " +
      "ORDER BY type, name",
  );
  const objects: InventoryObject[] = [];
  for (const row of rows) {
    const object = { type: row["type"] as ObjectType, name: String(row["name"]) };
    const count = object.type === "table"
      ? await countRows(object.name, row["rootpage"] === 0, database)
      : undefined;
    objects.push(count === undefined ? object : { ...object, count, isExact: true });
  }
  return { database: name, objects };
}

/** Undefined where only the database's own program can count. */
async function countRows(
  table: string,
  isVirtual: boolean,
  database: Database,
): Promise<number | undefined> {
  // An index may need a collation that is not here, the table itself need not.
  for (const how of isVirtual ? [""] : ["", " NOT INDEXED"]) {
    try {
      const [row] = await database.all(`SELECT count(*) AS n FROM ${quoted(table)}${how}`);
      return Number(row?.["n"]);
    } catch (error) {
      // The rows of a virtual table lie in other tables, which are counted.
      if (isVirtual && error instanceof SqliteError) return undefined;
      if (!isSqlite(error, sqliteCodes.error)) throw error;
    }
  }
  return await countCells(table, database);
}

/** A name as SQL spells it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
