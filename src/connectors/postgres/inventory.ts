import { Buffer } from "node:buffer";
import type { Abortable } from "../../core/bytes.ts";
import type { DatabaseInventory, InventoryObject, ObjectType } from "../../contracts/inventory.ts";
import { type DecodeText, textDecoder } from "./archive/encoding.ts";
import { largeObjectsName } from "./archive/inventory.ts";
import type { Client, Row } from "./client.ts";
import { sqlState } from "./failure.ts";
import { tablePattern } from "./names.ts";

// What initdb makes has smaller oids (FirstNormalObjectId); pg_dump leaves it out.
const firstOwnOid = 16384;

/** True of a schema whose objects pg_dump takes. */
const isOwnSchema = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** True of an object that belongs to no extension: what does is made by CREATE EXTENSION. */
const isOwn = (catalog: string, alias: string) =>
  `NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' ` +
  `AND d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.objid = ${alias}.oid)`;

const types = "pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.format_type(t, NULL) " +
  "FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a (t, at) ORDER BY at), ', ')";

/**
 * The objects of a database by pg_dump's rules and with its names; see archive/inventory.ts. All names
 * are text: what is made of several is longer than a `name` may be.
 */
const objectsQuery = `
  SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized-view'
           WHEN 'S' THEN 'sequence' ELSE 'table' END AS type,
         n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'r' AS is_counted,
         c.oid::pg_catalog.int8 AS oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND ${isOwnSchema} AND ${
  isOwn("pg_class", "c")
}
  UNION ALL
  SELECT 'index', n.nspname::text,
         CASE WHEN k.oid IS NULL THEN c.relname::text
           ELSE t.relname::text || ' ' || k.conname::text END, false, NULL
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
     AND k.conrelid = t.oid
   WHERE (i.indisvalid OR t.relkind = 'p') AND i.indisready AND ${isOwnSchema}
     AND t.relkind IN ('r', 'p', 'm') AND ${isOwn("pg_class", "t")} AND ${isOwn("pg_class", "c")}
  UNION ALL
  SELECT 'routine', n.nspname::text, p.proname::text || '(' ||
         CASE WHEN p.prokind = 'a' AND p.pronargs = 0 THEN '*' ELSE ${types} END || ')', false, NULL
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE ${isOwnSchema} AND ${isOwn("pg_proc", "p")}
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.deptype = 'i'
       AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid)
  UNION ALL
  SELECT 'trigger', n.nspname::text, c.relname::text || ' ' || t.tgname::text, false, NULL
    FROM pg_catalog.pg_trigger t
    LEFT JOIN pg_catalog.pg_trigger u ON u.oid = t.tgparentid
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE (NOT t.tgisinternal AND t.tgparentid = 0 OR t.tgenabled <> u.tgenabled)
     AND ${isOwnSchema} AND ${isOwn("pg_class", "c")} AND ${isOwn("pg_trigger", "t")}
  UNION ALL
  SELECT 'trigger', NULL, e.evtname::text, false, NULL
    FROM pg_catalog.pg_event_trigger e WHERE ${isOwn("pg_event_trigger", "e")}
  UNION ALL
  SELECT 'type', n.nspname::text, y.typname::text, false, NULL
    FROM pg_catalog.pg_type y
    JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = y.typrelid
   WHERE ${isOwnSchema} AND ${isOwn("pg_type", "y")}
     AND (y.typtype IN ('d', 'e', 'r') OR NOT y.typisdefined OR (y.typtype = 'c' AND c.relkind = 'c')
       OR (y.typtype = 'b' AND NOT EXISTS (
         SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = y.oid)))
  UNION ALL
  SELECT 'extension', NULL, x.extname::text, false, NULL
    FROM pg_catalog.pg_extension x WHERE x.oid >= ${firstOwnOid}`;

const bytesOf = (column: string) =>
  `pg_catalog.encode(pg_catalog.convert_to(${column}, e.encoding), 'hex') AS ${column}`;

/** The same with names as bytes in the database's own encoding, which UTF-8 may not be able to say. */
const describedQuery = `
  SELECT o.type, ${bytesOf("schema")}, ${bytesOf("name")}, o.is_counted, o.oid, e.encoding
    FROM (${objectsQuery}) o, (SELECT pg_catalog.getdatabaseencoding() AS encoding) e
   ORDER BY 1, 2, 3`;

/**
 * Describes a live database in the terms of an archive: every object, tables with their exact number
 * of rows. Where this user may not read a table, its rows are not counted.
 *
 * @throws PostgresError
 */
export async function readInventory(
  client: Client,
  database: string,
  o: Abortable,
): Promise<DatabaseInventory> {
  // Policies must not hide rows from the count.
  await client.rows(database, "SET row_security = off", o);
  const found = await client.rows(database, describedQuery, o);
  const encoding = String(found[0]?.["encoding"]);
  const decode = textDecoder(encoding);
  const objects: InventoryObject[] = [];
  for (const row of found) {
    const object = objectOf(row, decode);
    const count = row["is_counted"] === true
      ? await countRows(client, database, object, {
        oid: Number(row["oid"]),
        isSayable: encoding === "UTF8" || isAscii(`${object.schema}${object.name}`),
      }, o)
      : undefined;
    objects.push(count === undefined ? object : { ...object, count, isExact: true });
  }
  const largeObjects = await countOf(
    client,
    database,
    "SELECT count(*) AS n FROM pg_catalog.pg_largeobject_metadata",
    o,
  );
  if (largeObjects > 0) {
    objects.push({
      type: "large-objects",
      name: largeObjectsName,
      count: largeObjects,
      isExact: true,
    });
  }
  return { database, objects };
}

/**
 * The extensions that a database has from its template, such as plpgsql. They are in no inventory,
 * but a database that they were dropped from and made in anew is dumped with them.
 */
export async function templateExtensions(
  client: Client,
  database: string,
  o: Abortable,
): Promise<InventoryObject[]> {
  const rows = await client.rows(
    database,
    `SELECT extname::text AS name FROM pg_catalog.pg_extension WHERE oid < ${firstOwnOid}`,
    o,
  );
  return rows.map((row) => ({ type: "extension", name: String(row["name"]) }));
}

/** Whether a database holds nothing but what a new one holds, and extensions. */
export async function isEmpty(client: Client, database: string, o: Abortable): Promise<boolean> {
  const rows = await client.rows(database, objectsQuery, o);
  return rows.every((row) => row["type"] === "extension") && !await holdsMore(client, database, o);
}

async function holdsMore(client: Client, database: string, o: Abortable): Promise<boolean> {
  const [row] = await client.rows(
    database,
    `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata)
         OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.oid >= ${firstOwnOid}
              AND ${isOwnSchema} AND ${isOwn("pg_namespace", "n")}
              AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_extension x
                WHERE x.extnamespace = n.oid)) AS more`,
    o,
  );
  return row?.["more"] === true;
}

function objectOf(row: Row, decode: DecodeText): InventoryObject {
  const schema = row["schema"];
  const textOf = (hex: unknown) => decode(Buffer.from(String(hex), "hex"));
  return {
    type: row["type"] as ObjectType,
    ...typeof schema === "string" ? { schema: textOf(schema) } : {},
    name: textOf(row["name"]),
  };
}

/** What every encoding of a server has: the rest may have no counterpart in the connection's UTF-8. */
function isAscii(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name);
}

async function countRows(
  client: Client,
  database: string,
  { schema, name }: InventoryObject,
  { oid, isSayable }: { oid: number; isSayable: boolean },
  o: Abortable,
): Promise<number | undefined> {
  // ONLY: children are tables of their own.
  const text = !isSayable
    ? `SELECT pg_catalog.substring(pg_catalog.query_to_xml(pg_catalog.format(
           'SELECT pg_catalog.count(*) AS n FROM ONLY %I.%I', n.nspname, c.relname),
         true, true, '')::text, '<n>([0-9]+)</n>') AS n
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = ${oid}`
    : `SELECT count(*) AS n FROM ONLY ${tablePattern(schema!, name)}`;
  try {
    return await countOf(client, database, text, o);
  } catch (error) {
    if (sqlState(error) === "42501") return undefined;
    if (!isUnresolved(error)) throw error;
  }
  // To count, the server looks at the table's indexes, and at functions in them that know the
  // database's own search_path only.
  try {
    await client.rows(database, "RESET search_path", o);
    return await countOf(client, database, text, o);
  } catch (error) {
    if (isUnresolved(error)) return undefined;
    throw error;
  } finally {
    await client.rows(database, "SET search_path = pg_catalog", o);
  }
}

/** True of errors of class 42: a name that is not found. */
function isUnresolved(error: unknown): boolean {
  return sqlState(error)?.startsWith("42") === true;
}

async function countOf(client: Client, database: string, text: string, o: Abortable) {
  const [row] = await client.rows(database, text, o);
  return Number(row?.["n"]);
}
