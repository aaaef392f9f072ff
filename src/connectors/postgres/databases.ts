import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import type { Address } from "./address.ts";
import type { Client, Row } from "./client.ts";

/** The databases meant, and those of all that cannot be dumped. */
export interface DatabaseList {
  readonly names: readonly string[];
  /** When all are meant: databases that cannot be dumped, and why, as the end of a sentence. */
  readonly closed: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * The databases meant: those selected, or all, as pg_dumpall has it: templates, too. template1 is one
 * of them only where somebody has put something into it.
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
    `SELECT datname AS name, datistemplate AS is_template, datallowconn AS is_open,
            datconnlimit = ${invalid} AS is_invalid,
            pg_catalog.has_database_privilege(oid, 'CONNECT') AS is_allowed
       FROM pg_catalog.pg_database ORDER BY datname`,
    o,
  );
  const all = rows.map((row) => String(row["name"]));
  if (selected !== undefined) {
    const missing = selected.find((name) => !all.includes(name));
    if (missing === undefined) return { names: [...new Set(selected)], closed: [] };
    throw new BackupError(
      "connection/no-database",
      `There is no database "${missing}" at ${label}`,
      { hint: suggestion(missing, all.filter((name) => !name.startsWith("template"))) },
    );
  }
  const names: string[] = [];
  const closed: { name: string; reason: string }[] = [];
  for (const row of rows) {
    const name = String(row["name"]);
    const reason = closedReason(row);
    if (name === "template0" && row["is_open"] !== true) continue; // as initdb made it
    if (reason !== undefined) closed.push({ name, reason });
    else if (name !== "template1" || await holdsAnything(client, name, o)) names.push(name);
  }
  return { names, closed };
}

/** The names of all databases of a server, also of those that nobody can connect to. */
export async function databaseNames(
  client: Client,
  place: string,
  o: Abortable,
): Promise<ReadonlySet<string>> {
  const query = "SELECT datname::text AS name FROM pg_catalog.pg_database";
  const rows = await client.rows(place, query, o);
  return new Set(rows.map((row) => String(row["name"])));
}

/** DATCONNLIMIT_INVALID_DB: what an interrupted DROP DATABASE leaves; nobody gets in any more. */
const invalid = -2;

function closedReason(row: Row): string | undefined {
  if (row["is_invalid"] === true) {
    return "is left over from an interrupted DROP DATABASE: drop it again";
  }
  if (row["is_open"] !== true) return "does not accept connections";
  if (row["is_allowed"] !== true) return "does not let this user in";
  // The server keeps a name as bytes of an encoding that nobody noted.
  return String(row["name"]).includes("\ufffd") ? "has a name that is no UTF-8" : undefined;
}

// What initdb makes has smaller oids (FirstNormalObjectId).
const madeByUsers = [
  ...["namespace", "class", "proc", "type", "operator", "opclass", "extension", "language", "cast"],
  ...["collation", "conversion", "ts_config", "ts_dict", "default_acl", "largeobject_metadata"],
  ...["foreign_data_wrapper", "foreign_server", "event_trigger", "publication", "am"],
];

/** Whether somebody has put something into template1, which every new database then has. */
async function holdsAnything(client: Client, database: string, o: Abortable): Promise<boolean> {
  try {
    const [row] = await client.rows(
      database,
      `SELECT ${
        madeByUsers.map((catalog) =>
          `EXISTS (SELECT 1 FROM pg_catalog.pg_${catalog} WHERE oid >= 16384)`
        ).join(" OR ")
      } OR EXISTS (SELECT 1 FROM pg_catalog.pg_db_role_setting s
             JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = pg_catalog.current_database()) AS is_changed`,
      o,
    );
    return row?.["is_changed"] === true;
  } finally {
    // A session in it keeps others from creating databases.
    await client.release(database);
  }
}
