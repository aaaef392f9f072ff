import type { Abortable } from "../../core/bytes.ts";
import type { AddedEntry } from "./archive/added.ts";
import type { Client, Row } from "./client.ts";
import { quoteName, quoteText } from "./names.ts";
import { type Part } from "./part.ts";

/** What it takes to put relations in the place of others. */
export interface Replacement {
  /** The relations that are there, quoted with their schemas; without those that go with others. */
  readonly replaced: readonly string[];
  /** Partitions that go with them and are not in the backup. */
  readonly lost: readonly string[];
  /** What depends on them and would be gone: `view public.big_orders`. */
  readonly blockers: readonly string[];
  /** The extension that a relation belongs to, so that it cannot be dropped. */
  readonly extensions: readonly string[];
  /** Tables that are of somebody else, and by whom: this user may not take them away. */
  readonly foreign: readonly { readonly name: string; readonly owner: string }[];
  /** Foreign keys of other tables, which are taken away and made again. */
  readonly foreignKeys: readonly ForeignKey[];
  /** The relations and indexes that are gone then, as JSON of schema and name. */
  readonly going: ReadonlySet<string>;
  /** Statements that take all of it away, and those that make again what is not in the part. */
  readonly drops: readonly string[];
  readonly restores: readonly Omit<AddedEntry, "dumpId">[];
}

/** A foreign key of a table that stays. */
export interface ForeignKey {
  /** Quoted, with its schema. */
  readonly relation: string;
  readonly name: string;
  /** Whether it was known to hold for all rows, and is now made for new ones only. */
  readonly isToValidate: boolean;
}

const dropWords: Readonly<Record<string, string>> = {
  ...{ r: "TABLE", p: "TABLE", f: "FOREIGN TABLE", v: "VIEW", m: "MATERIALIZED VIEW" },
  S: "SEQUENCE",
};

/** Those that are there, and all that goes with each when it is dropped. */
const goingQuery = `
  RECURSIVE root AS (
    SELECT c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
           pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
           pg_catalog.pg_has_role(c.relowner, 'USAGE')
             OR pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS may_drop
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.json_to_recordset($1::text::json) AS a (schema text, name text)
        ON a.schema = n.nspname AND a.name = c.relname
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
  ), going (root, classid, objid) AS (
    SELECT oid, 'pg_catalog.pg_class'::regclass::oid, oid FROM root
    UNION
    SELECT g.root, d.classid, d.objid FROM going g
      JOIN pg_catalog.pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid
     WHERE d.deptype IN ('a', 'i', 'P', 'S')
  )`;

/** Finds what is to be done to replace the relations of a part. @throws PostgresError */
export async function readReplacement(
  client: Client,
  database: string,
  { asked }: Part,
  o: Abortable,
): Promise<Replacement> {
  const names = JSON.stringify(asked.map(({ schema, tag }) => ({ schema, name: tag })));
  const ask = (query: string) => client.rows(database, `WITH ${goingQuery} ${query}`, o, [names]);
  const roots = await ask(`
    SELECT r.oid::text AS oid, r.name, r.relkind::text AS relkind, x.extname::text AS extension,
           r.owner, r.may_drop,
           EXISTS (SELECT FROM going g WHERE g.root <> r.oid AND g.objid = r.oid
             AND g.classid = 'pg_catalog.pg_class'::regclass) AS goes_with_another
      FROM root r
      LEFT JOIN pg_catalog.pg_depend e ON e.deptype = 'e' AND e.objid = r.oid
       AND e.classid = 'pg_catalog.pg_class'::regclass
      LEFT JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid
     ORDER BY r.name`);
  const lost = await ask(`
    SELECT DISTINCT c.oid::regclass::text AS name
      FROM going g JOIN pg_catalog.pg_class c ON c.oid = g.objid AND c.relkind IN ('r', 'p', 'f')
     WHERE g.classid = 'pg_catalog.pg_class'::regclass AND c.oid NOT IN (SELECT oid FROM root)
     ORDER BY 1`);
  const going = await ask(`
    SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS name
      FROM going g JOIN pg_catalog.pg_class c ON c.oid = g.objid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE g.classid = 'pg_catalog.pg_class'::regclass`);
  const dependents = await ask(`
    SELECT DISTINCT g.root::text AS root, i.type, i.identity,
           (SELECT pg_catalog.string_agg(DISTINCT h.root::text, ' ') FROM going h
             WHERE h.classid = d.classid AND h.objid = d.objid) AS own
      FROM going g
      JOIN pg_catalog.pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid
       AND d.deptype = 'n'
      LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass
       AND w.oid = d.objid AND w.rulename = '_RETURN'
     CROSS JOIN LATERAL pg_catalog.pg_identify_object(
       CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass END,
       coalesce(w.ev_class, d.objid), CASE WHEN w.oid IS NULL THEN d.objsubid ELSE 0 END) i
     WHERE NOT EXISTS (SELECT FROM going h
             WHERE h.root = g.root AND h.classid = d.classid AND h.objid = d.objid)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f'
             AND d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid)
     ORDER BY 2, 3`);
  const keys = await ask(`, up (id, parent) AS (
      SELECT k.oid, k.conparentid FROM pg_catalog.pg_constraint k
        JOIN going g ON g.classid = 'pg_catalog.pg_class'::regclass AND g.objid = k.confrelid
       WHERE k.contype = 'f'
      UNION SELECT p.oid, p.conparentid FROM up
        JOIN pg_catalog.pg_constraint p ON p.oid = up.parent AND p.contype = 'f'
    )
    SELECT DISTINCT k.conname::text AS name, k.conrelid::regclass::text AS relation,
           n.nspname::text AS schema, c.relname::text AS relname, c.relkind = 'p' AS is_partitioned,
           pg_catalog.pg_get_constraintdef(k.oid) AS definition, k.convalidated AS is_validated,
           pg_catalog.current_setting('server_version_num')::int AS version,
           pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
           pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
           pg_catalog.pg_has_role(c.relowner, 'USAGE') AS may_drop,
           EXISTS (SELECT FROM going g WHERE g.classid = 'pg_catalog.pg_class'::regclass
             AND g.objid = k.conrelid) AS is_own
      FROM up JOIN pg_catalog.pg_constraint k ON k.oid = up.id
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE up.parent = 0 ORDER BY 2, 1`);
  const others = keys.filter((row) => row["is_own"] !== true);
  const remaining = roots.filter((row) => row["goes_with_another"] !== true);
  return {
    replaced: remaining.map((row) => String(row["name"])),
    lost: lost.map((row) => String(row["name"])),
    blockers: [
      ...new Set(
        dependents.filter((row) => row["own"] === null).map((row) =>
          `${String(row["type"])} ${String(row["identity"])}`
        ),
      ),
    ],
    extensions: roots.flatMap((row) => row["extension"] === null ? [] : String(row["extension"])),
    foreign: [...remaining, ...keys].filter((row) => row["may_drop"] !== true).map((row) => ({
      name: String(row["relation"] ?? row["name"]),
      owner: String(row["owner"]),
    })),
    foreignKeys: others.map((row) => ({
      relation: String(row["relation"]),
      name: String(row["name"]),
      isToValidate: isMadeUnchecked(row),
    })),
    going: new Set(going.map((row) => JSON.stringify([row["schema"], row["name"]]))),
    drops: [
      ...keys.map((row) =>
        `ALTER TABLE ${String(row["relation"])} DROP CONSTRAINT ${quoteName(String(row["name"]))}`
      ),
      ...inOrder(remaining, dependents).map((row) =>
        `DROP ${dropWords[String(row["relkind"])]} ${String(row["name"])}`
      ),
    ],
    restores: [
      ...others.map(foreignKeyEntry),
      ...await publicationEntries(client, database, names, o),
    ],
  };
}

/** What depends on others first. */
function inOrder(roots: readonly Row[], dependents: readonly Row[]): Row[] {
  const before = new Map(
    roots.map((row) => [
      row,
      new Set(
        dependents.filter(({ root }) => root === row["oid"]).flatMap(({ own }) =>
          typeof own === "string" ? own.split(" ") : []
        ),
      ),
    ]),
  );
  const rest = new Set(roots);
  const ordered: Row[] = [];
  while (rest.size > 0) {
    const [first] = rest;
    const next = [...rest].find((row) =>
      ![...rest].some((one) =>
        one !== row && before.get(row)!.has(String(one["oid"]))
      )
    ) ?? first!;
    rest.delete(next);
    ordered.push(next);
  }
  return ordered;
}

/** A foreign key of a partitioned table can be unchecked since PostgreSQL 18 only. */
function isMadeUnchecked(row: Row): boolean {
  const canBe = row["is_partitioned"] !== true || Number(row["version"]) >= 180_000;
  return canBe && row["is_validated"] === true &&
    !/ NOT (VALID|ENFORCED)\b/.test(definitionOf(row));
}

function definitionOf(row: Row): string {
  return String(row["definition"]);
}

function foreignKeyEntry(row: Row): Omit<AddedEntry, "dumpId"> {
  const name = quoteName(String(row["name"]));
  const relation = String(row["relation"]);
  const mark = isMadeUnchecked(row) ? " NOT VALID" : "";
  const comment = row["comment"];
  const statements = [
    `ALTER TABLE ${relation} ADD CONSTRAINT ${name} ${definitionOf(row)}${mark};`,
    ...typeof comment === "string"
      ? [`COMMENT ON CONSTRAINT ${name} ON ${relation} IS ${quoteText(comment)};`]
      : [],
  ];
  return {
    description: "FK CONSTRAINT",
    schema: String(row["schema"]),
    tag: `${String(row["relname"])} ${String(row["name"])}`,
    definition: `${statements.join("\n")}\n`,
  };
}

/** So that what is replaced stays in its publications. */
async function publicationEntries(
  client: Client,
  database: string,
  names: string,
  o: Abortable,
): Promise<Omit<AddedEntry, "dumpId">[]> {
  const [row] = await client.rows(
    database,
    "SELECT pg_catalog.current_setting('server_version_num')::int AS version",
    o,
  );
  const hasParts = Number(row?.["version"]) >= 150_000;
  const rows = await client.rows(
    database,
    `WITH ${goingQuery}
     SELECT p.pubname::text AS name, n.nspname::text AS schema, c.relname::text AS relname,
            ${
      hasParts
        ? `(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY x.at)
             FROM pg_catalog.unnest(r.prattrs::int2[]) WITH ORDINALITY AS x (attnum, at)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.attnum)
             AS columns, pg_catalog.pg_get_expr(r.prqual, c.oid) AS filter`
        : "NULL AS columns, NULL AS filter"
    }
       FROM pg_catalog.pg_publication_rel r
       JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
       JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid IN (SELECT oid FROM root) ORDER BY 1, 2, 3`,
    o,
    [names],
  );
  return rows.map((one) => {
    const [name, schema, relname] = [one["name"], one["schema"], one["relname"]].map(String);
    const columns = one["columns"] === null ? "" : ` (${String(one["columns"])})`;
    const filter = one["filter"] === null ? "" : ` WHERE (${String(one["filter"])})`;
    return {
      description: "PUBLICATION TABLE",
      schema: schema!,
      tag: `${name} ${relname}`,
      definition: `ALTER PUBLICATION ${quoteName(name!)} ADD TABLE ONLY ` +
        `${quoteName(schema!)}.${quoteName(relname!)}${columns}${filter};\n`,
    };
  });
}
