import type { Abortable } from "../../core/bytes.ts";
import type { InventoryDifference } from "../../contracts/inventory.ts";
import { type Client, quoteName, quoteText } from "./client.ts";

/**
 * The table that a restore puts into a database which differs from the backup: neither server can
 * rename a database, so it stays in its place, and this tells it from one that was there before.
 */
export const markerTable = "_dbbackup_differs";

/** Marks a database as what the restore of a backup made, with what differs in it. */
export async function mark(
  client: Client,
  database: string,
  backupId: string,
  differences: readonly InventoryDifference[],
  o: Abortable,
): Promise<void> {
  const table = `${quoteName(database)}.${quoteName(markerTable)}`;
  const comment = commentOf(backupId);
  await client.query(`DROP TABLE IF EXISTS ${table}`, o);
  await client.query(
    `CREATE TABLE ${table} (difference TEXT) DEFAULT CHARSET=utf8mb4 COMMENT=${quoteText(comment)}`,
    o,
  );
  for (const { type, name, problem, expected, found } of differences) {
    const counts = problem === "count" ? `: ${found} instead of ${expected}` : "";
    await client.query(`INSERT INTO ${table} VALUES (?)`, o, [
      `${type} ${name}: ${problem}${counts}`,
    ]);
  }
}

/** Whether a database is what the restore of this very backup left. */
export async function isMarked(
  client: Client,
  database: string,
  backupId: string,
  o: Abortable,
): Promise<boolean> {
  const rows = await client.query(
    "SELECT TABLE_SCHEMA AS db, TABLE_COMMENT AS comment FROM information_schema.TABLES " +
      `WHERE TABLE_SCHEMA = ${quoteText(database)} AND TABLE_NAME = ${quoteText(markerTable)}`,
    o,
  );
  const found = rows.find((row) => String(row["db"]) === database);
  return found !== undefined && String(found["comment"]) === commentOf(backupId);
}

/** Takes the mark away. */
export async function unmark(client: Client, database: string, o: Abortable): Promise<void> {
  await client.query(`DROP TABLE IF EXISTS ${quoteName(database)}.${quoteName(markerTable)}`, o);
}

function commentOf(backupId: string): string {
  return `Made by dbbackup restore of ${backupId}, whose inventory differs; may be dropped`;
}
