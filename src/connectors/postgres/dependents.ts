import type { Abortable } from "../../core/bytes.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";

/** An entry of an archive that needs something which is not in it. */
export interface Dependent {
  readonly entry: TocEntry;
  readonly missing: Missing;
  /**
   * `default`: a column's default does. `partition`: it is one of what is missing, and a table of its
   * own without it. `needs`: it cannot be made without it.
   */
  readonly how: "default" | "partition" | "needs";
}

/** Something that is in the database and not in the archive. */
export interface Missing {
  /** `table`, `type`, `function`, as the server calls it. */
  readonly kind: string;
  /** `public.parent`, `other.f(integer)`; quoted where that is needed. */
  readonly name: string;
  readonly schema: string | undefined;
  /** The extension that it belongs to, or is. */
  readonly extension: string | undefined;
}

/** An identity column whose sequence is not in the archive, so that it is none any more. */
export interface LostIdentity {
  readonly table: string;
  readonly column: string;
}

/**
 * Finds what of an archive needs something that is not in it. pg_dump notes no dependency on what it
 * leaves out; the server's catalogs know all of them.
 *
 * @throws PostgresError
 */
export async function readDependents(
  client: Client,
  database: string,
  { entries }: ArchiveHead,
  { major }: { readonly major: number },
  o: Abortable,
): Promise<Dependent[]> {
  const rows = await client.rows(database, dependentsQuery(major), o, [idsOf(entries)]);
  const byObject = Map.groupBy(entries, ({ catalog, oid }) => `${catalog} ${oid}`);
  return rows.flatMap((row): Dependent[] => {
    const all = byObject.get(String(row["object"])) ?? [];
    const entry = all.find(({ section }) => section !== undefined);
    if (entry === undefined || typeof row["name"] !== "string") return [];
    const optional = (value: unknown) => typeof value === "string" ? value : undefined;
    const missing = {
      kind: String(row["kind"]),
      name: row["name"],
      schema: optional(row["schema"]),
      extension: optional(row["extension"]),
    };
    const isDefault = row["is_default"] === true;
    const how = row["is_partition"] === true ? "partition" : isDefault ? "default" : "needs";
    return [{ entry, missing, how }];
  });
}

/** Finds the identity columns of an archive's tables whose sequences it lacks. @throws PostgresError */
export async function readLostIdentities(
  client: Client,
  database: string,
  { entries }: ArchiveHead,
  o: Abortable,
): Promise<LostIdentity[]> {
  const rows = await client.rows(
    database,
    `WITH ${givenPart}
     SELECT d.refobjid::pg_catalog.regclass::text AS "table", a.attname::text AS "column"
       FROM pg_catalog.pg_depend d
       JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        AND a.attidentity <> ''
       JOIN given t ON t.classid = d.refclassid AND t.objid = d.refobjid
       LEFT JOIN given s ON s.classid = d.classid AND s.objid = d.objid
      WHERE d.classid = ${catalog("pg_class")} AND d.refclassid = d.classid AND d.deptype = 'i'
        AND s.objid IS NULL
      ORDER BY 1, 2`,
    o,
    [idsOf(entries)],
  );
  return rows.map((row) => ({ table: String(row["table"]), column: String(row["column"]) }));
}

/**
 * Finds partitioned tables of an archive that lacks all of their partitions: `pg_dump --table` takes
 * none along.
 *
 * @throws PostgresError
 */
export async function readMissingPartitions(
  client: Client,
  database: string,
  { entries }: ArchiveHead,
  o: Abortable,
): Promise<{ readonly table: string; readonly partitions: readonly string[] }[]> {
  const rows = await client.rows(
    database,
    `WITH ${givenPart}
     SELECT i.inhparent::pg_catalog.regclass::text AS "table",
            pg_catalog.json_agg(i.inhrelid::pg_catalog.regclass::text
              ORDER BY i.inhrelid::pg_catalog.regclass::text) AS partitions
       FROM pg_catalog.pg_inherits i
       JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
       JOIN given t ON t.classid = ${catalog("pg_class")} AND t.objid = i.inhparent
       LEFT JOIN given c ON c.classid = t.classid AND c.objid = i.inhrelid
      GROUP BY i.inhparent
     HAVING pg_catalog.count(c.objid) = 0
      ORDER BY 1`,
    o,
    [idsOf(entries)],
  );
  return rows.map((row) => ({
    table: String(row["table"]),
    partitions: Array.isArray(row["partitions"]) ? row["partitions"].map(String) : [],
  }));
}

function idsOf(entries: readonly TocEntry[]): string {
  const objects = entries.filter((one) => one.catalog !== 0);
  return JSON.stringify(objects.map(({ catalog, oid }) => ({ catalog, oid })));
}

const givenPart = `given AS MATERIALIZED (
    SELECT DISTINCT g.catalog::oid AS classid, g.oid::oid AS objid
      FROM pg_catalog.json_to_recordset($1::text::json) AS g (catalog int8, oid int8))`;

function catalog(name: string): string {
  return `'pg_catalog.${name}'::pg_catalog.regclass`;
}

/**
 * Of each dependency both sides are taken for what they are part of: a default for its table, a row
 * type or an array of it for the table, what a view shows for the view. What initdb makes has smaller
 * oids (FirstNormalObjectId), and is everywhere.
 */
function dependentsQuery(major: number): string {
  const isGenerated = major < 12 ? "false" : "t.attgenerated <> ''";
  const inside = ["pg_type", "pg_rewrite"].map(catalog).join(", ");
  const beside = ["pg_attrdef", "pg_amop", "pg_amproc"].map(catalog).join(", ");
  return `
WITH RECURSIVE ${givenPart}, edge AS MATERIALIZED (
  SELECT DISTINCT classid, objid, refclassid, refobjid, deptype
    FROM pg_catalog.pg_depend
   WHERE objid >= 16384 AND refobjid >= 16384 AND deptype IN ('n', 'a', 'i', 'e')
     AND refclassid <> ${catalog("pg_namespace")}
     AND (classid <> refclassid OR objid <> refobjid)
), part AS MATERIALIZED (
  SELECT e.classid, e.objid, e.refclassid, e.refobjid
    FROM edge e
    LEFT JOIN pg_catalog.pg_class c ON e.classid = ${catalog("pg_class")} AND c.oid = e.objid
    LEFT JOIN pg_catalog.pg_constraint k
      ON e.classid = ${catalog("pg_constraint")} AND k.oid = e.objid
   WHERE e.deptype = 'i' AND (c.relkind = 'c' OR e.classid IN (${inside}))
      OR e.deptype IN ('a', 'i') AND (c.relkind IN ('i', 'I')
        OR k.contype IN ('c', 'n', 'p', 'u', 'x') OR e.classid IN (${beside}))
), whole (classid, objid, topclass, top) AS (
  SELECT classid, objid, classid, objid FROM edge
  UNION
  SELECT refclassid, refobjid, refclassid, refobjid FROM edge
  UNION
  SELECT w.classid, w.objid, p.refclassid, p.refobjid
    FROM whole w JOIN part p ON p.classid = w.topclass AND p.objid = w.top
   WHERE (w.topclass, w.top) NOT IN (SELECT classid, objid FROM given)
), known AS MATERIALIZED (
  SELECT w.classid, w.objid, w.topclass, w.top, g.objid IS NOT NULL AS is_given
    FROM whole w LEFT JOIN given g ON g.classid = w.topclass AND g.objid = w.top
   WHERE g.objid IS NOT NULL OR NOT EXISTS (
     SELECT FROM part p WHERE p.classid = w.topclass AND p.objid = w.top)
)
SELECT a.topclass || ' ' || a.top AS object, i.type AS kind, i.identity AS name, i.schema,
       x.extname::text AS extension,
       pg_catalog.bool_and(f.oid IS NOT NULL AND NOT ${isGenerated}) AS is_default,
       EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
          WHERE c.relispartition AND h.inhrelid = a.top AND h.inhparent = b.top
            AND b.topclass = ${catalog("pg_class")}) AS is_partition
  FROM edge e
  JOIN known a ON a.classid = e.classid AND a.objid = e.objid AND a.is_given
  JOIN known b ON b.classid = e.refclassid AND b.objid = e.refobjid AND NOT b.is_given
  LEFT JOIN edge m ON m.classid = b.topclass AND m.objid = b.top AND m.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension x ON x.oid = m.refobjid
    OR b.topclass = ${catalog("pg_extension")} AND x.oid = b.top
  LEFT JOIN pg_catalog.pg_attrdef f ON e.classid = ${catalog("pg_attrdef")} AND f.oid = e.objid
   AND a.topclass = ${catalog("pg_class")}
  LEFT JOIN pg_catalog.pg_attribute t ON t.attrelid = f.adrelid AND t.attnum = f.adnum
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(b.topclass, b.top, 0) i
 WHERE e.deptype <> 'e'
   -- A sequence is made without the column that owns it.
   AND NOT (e.deptype = 'a' AND e.classid = ${catalog("pg_class")} AND EXISTS (
     SELECT FROM pg_catalog.pg_class s WHERE s.oid = e.objid AND s.relkind = 'S'))
   AND NOT EXISTS (SELECT FROM given g WHERE g.classid = m.refclassid AND g.objid = m.refobjid)
 GROUP BY a.topclass, a.top, b.topclass, b.top, i.type, i.identity, i.schema, x.extname
 ORDER BY 3, 1`;
}
