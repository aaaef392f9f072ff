import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import type { Address } from "./address.ts";
import type { Client } from "./client.ts";

/** The databases meant, and those of all that cannot be dumped. */
export interface DatabaseList {
  readonly names: readonly string[];
  /** When all are meant: databases that take no connections, or none of this user. */
  readonly closed: readonly string[];
}

/**
 * The databases meant: those selected, or all but templates.
 *
 * @throws BackupError `connection/no-database`, `connection/…`
 */
export async function listDatabases(
  client: Client,
  { selected, label }: Address,
  o: Abortable,
): Promise<DatabaseList> {
  const place = await client.anyDatabase(o);
  const rows = await client.rows(
    place,
    `SELECT datname AS name, datistemplate AS is_template,
            datallowconn AND pg_catalog.has_database_privilege(oid, 'CONNECT') AS is_open
       FROM pg_catalog.pg_database ORDER BY datname`,
    o,
  );
  const names = rows.map((row) => String(row["name"]));
  if (selected !== undefined) {
    const missing = selected.find((name) => !names.includes(name));
    if (missing === undefined) return { names: [...new Set(selected)], closed: [] };
    throw new BackupError(
      "connection/no-database",
      `There is no database "${missing}" at ${label}`,
      { hint: suggestion(missing, names.filter((name) => !name.startsWith("template"))) },
    );
  }
  const own = rows.filter((row) => row["is_template"] !== true);
  const nameOf = (row: typeof rows[number]) => String(row["name"]);
  return {
    names: own.filter((row) => row["is_open"] === true).map(nameOf),
    closed: own.filter((row) => row["is_open"] !== true).map(nameOf),
  };
}
