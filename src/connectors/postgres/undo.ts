import type { Abortable } from "../../core/bytes.ts";
import type { Client, Row } from "./client.ts";

const isOwnSchema = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** What lies in no schema; what initdb made has smaller oids (FirstNormalObjectId). */
const withoutSchema = [
  "pg_extension",
  "pg_event_trigger",
  "pg_publication",
  "pg_foreign_data_wrapper",
  "pg_foreign_server",
  "pg_language",
  "pg_cast",
];

/**
 * Everything that can be dropped by itself: all else goes with its table, type, schema or extension,
 * such as the cast from a range to its multirange, which the server makes with the type.
 */
const objectsQuery = `
  SELECT i.type, i.identity, o.classid::text || ' ' || o.objid::text AS key
    FROM (
      SELECT d.classid, d.objid
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid
       WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
         AND d.deptype = 'n' AND d.objsubid = 0 AND ${isOwnSchema}
      UNION
      SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid
        FROM pg_catalog.pg_namespace n WHERE ${isOwnSchema}
      UNION
      SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass, oid
        FROM pg_catalog.pg_largeobject_metadata
      ${
  withoutSchema.map((catalog) =>
    `UNION SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass, oid ` +
    `FROM pg_catalog.${catalog} WHERE oid >= 16384`
  ).join("\n      ")
}
    ) o, LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
   WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend p WHERE p.deptype IN ('i', 'e')
     AND p.classid = o.classid AND p.objid = o.objid AND p.objsubid = 0)`;

/** How DROP calls what `pg_identify_object` calls otherwise. */
const dropWords: Readonly<Record<string, string>> = {
  "aggregate": "routine",
  "composite type": "type",
  "foreign-data wrapper": "foreign data wrapper",
  "function": "routine",
  "procedure": "routine",
  "statistics object": "statistics",
};

/** Before others, for these take along what cannot be dropped without them. */
const first = ["event trigger", "publication", "extension", "schema", "table"];

/**
 * Notes what is in a database, for {@link UndoRestore} to take away what came after that.
 *
 * @throws PostgresError
 */
export async function noteObjects(
  client: Client,
  database: string,
  o: Abortable,
): Promise<UndoRestore> {
  const before = new Set((await client.rows(database, objectsQuery, o)).map(keyOf));
  async function takeAway(o: Abortable): Promise<void> {
    const made = (await client.rows(database, objectsQuery, o))
      .filter((row) => !before.has(keyOf(row)))
      .map((row) => ({ type: String(row["type"]), identity: String(row["identity"]) }))
      .filter(({ type }) => type !== "default acl")
      .sort((a, b) => rank(a.type) - rank(b.type));
    // Sent as one text, all run in one transaction.
    const statements = made.map(({ type, identity }) =>
      type === "large object"
        ? `SELECT pg_catalog.lo_unlink(${identity})`
        : `DROP ${dropWords[type] ?? type} IF EXISTS ${identity} CASCADE`
    );
    if (statements.length > 0) await client.rows(database, statements.join(";\n"), o);
  }

  return takeAway;
}

/** Drops what a failed restore made. @throws PostgresError */
export type UndoRestore = (o: Abortable) => Promise<void>;

function keyOf(row: Row): string {
  return String(row["key"]);
}

function rank(type: string): number {
  const index = first.indexOf(type);
  return index < 0 ? first.length : index;
}
