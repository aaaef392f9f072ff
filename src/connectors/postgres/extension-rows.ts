import type { Abortable } from "../../core/bytes.ts";
import { listed } from "../../core/text.ts";
import type { Client, Row } from "./client.ts";
import { sqlState } from "./failure.ts";

/** What is not looked through within this is not told of. */
const limitMs = 5_000;
const statementMs = 2_000;
const mostShown = 5;

/** A table of an extension, and the condition of the rows that a dump holds; none of them without. */
interface MemberTable {
  readonly extension: string;
  /** As SQL. */
  readonly table: string;
  readonly condition: string | undefined;
}

/**
 * Finds rows in tables of extensions that no dump holds, and that came or changed since the extension
 * was made: rows of a table that it does not call its configuration (`pg_extension_config_dump`), and
 * those that it takes for its own, such as an EPSG entry of PostGIS that somebody corrected.
 *
 * A row is as new as the transaction that wrote it, which freezing leaves as it is. What the extension
 * itself wrote is of the transaction that made it, or an update of it.
 *
 * @returns a sentence for each extension
 */
export async function extensionRowWarnings(
  client: Client,
  database: string,
  o: Abortable,
): Promise<string[]> {
  const startedAt = performance.now();
  const found = new Map<string, string[]>();
  for (const { extension, table, condition } of await memberTables(client, database, o)) {
    if (performance.now() - startedAt > limitMs) break;
    const where = condition === undefined ? "" : ` AND (${condition}) IS NOT TRUE`;
    const [row] = await quickRows(
      client,
      database,
      `SELECT 1 AS one FROM ONLY ${table}
        WHERE pg_catalog.age(xmin) < (SELECT pg_catalog.age(e.xmin)
          FROM pg_catalog.pg_extension e WHERE e.extname = ${quoteLiteral(extension)})${where}
        LIMIT 1`,
      o,
    );
    if (row !== undefined) found.set(extension, [...found.get(extension) ?? [], table]);
  }
  return [...found].map(([extension, tables]) => {
    return `In "${database}", rows of ${listed(tables, mostShown)} came or ` +
      `changed since the extension ${extension} was made, which does not count them as data: no ` +
      "dump holds them, and a restore has what the extension makes. Keep them in a table of your own";
  });
}

async function memberTables(
  client: Client,
  database: string,
  o: Abortable,
): Promise<MemberTable[]> {
  const rows = await client.rows(
    database,
    `SELECT e.extname::text AS extension, k.oid IS NOT NULL AS is_config,
            pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, k.condition
       FROM pg_catalog.pg_extension e
       JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
       JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'r'
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN LATERAL ROWS FROM (pg_catalog.unnest(e.extconfig),
              pg_catalog.unnest(e.extcondition)) k (oid, condition)
         ON k.oid = c.oid
      WHERE pg_catalog.has_table_privilege(c.oid, 'SELECT')
      ORDER BY c.relpages, 1, 3`,
    o,
  );
  return rows.flatMap((row): MemberTable | [] => {
    const condition = String(row["condition"] ?? "").trim().replace(/^where\b/i, "").trim();
    // All rows of it are in the dump.
    if (row["is_config"] === true && condition === "") return [];
    return {
      extension: String(row["extension"]),
      table: String(row["table"]),
      condition: row["is_config"] === true ? condition : undefined,
    };
  });
}

/** @returns nothing where that takes long, or may not be asked */
async function quickRows(
  client: Client,
  database: string,
  query: string,
  o: Abortable,
): Promise<readonly Row[]> {
  try {
    await client.rows(database, `BEGIN READ ONLY; SET LOCAL statement_timeout = ${statementMs}`, o);
    return await client.rows(database, query, o);
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    return [];
  } finally {
    if (!o.signal.aborted) await client.rows(database, "ROLLBACK", o);
  }
}

function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
