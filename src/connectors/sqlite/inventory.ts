import type { DatabaseInventory, InventoryObject, ObjectType } from "../../contracts/inventory.ts";
import { type Database, sqliteCodes } from "./database.ts";
import { isSqlite } from "./source.ts";

/**
 * Describes an open database: tables with their exact number of rows, views, indexes, triggers.
 * SQLite's own tables and automatic indexes are left out.
 *
 * @throws SqliteError
 */
export async function readInventory(name: string, database: Database): Promise<DatabaseInventory> {
  const rows = await database.all(
    "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' " +
      "ORDER BY type, name",
  );
  const objects: InventoryObject[] = [];
  for (const row of rows) {
    const object = { type: row["type"] as ObjectType, name: String(row["name"]) };
    const count = object.type === "table" ? await countRows(object.name, database) : undefined;
    objects.push(count === undefined ? object : { ...object, count, isExact: true });
  }
  return { database: name, objects };
}

async function countRows(table: string, database: Database): Promise<number | undefined> {
  try {
    const [row] = await database.all(`SELECT count(*) AS n FROM ${quoted(table)}`);
    return Number(row?.["n"]);
  } catch (error) {
    // A virtual table of an extension that only its own program has: its rows lie in other tables.
    if (isSqlite(error, sqliteCodes.error)) return undefined;
    throw error;
  }
}

/** A name as SQL spells it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
