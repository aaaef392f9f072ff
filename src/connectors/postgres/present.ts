import type { Abortable } from "../../core/bytes.ts";
import type { TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";

/** What a database has of the things that an archive may need. */
export interface Present {
  has(entry: TocEntry): boolean;
  /** `r`, `p`, `v`, `m`, `f`, `S`, `i`, `I`, `c`: as pg_class has it; undefined where it is not there. */
  relationKind(schema: string | undefined, name: string): string | undefined;
}

/** What {@link Present} calls what pg_dump calls otherwise. */
const kinds: Readonly<Record<string, string>> = {
  ...{ TABLE: "RELATION", "FOREIGN TABLE": "RELATION", VIEW: "RELATION", SEQUENCE: "RELATION" },
  ...{ "MATERIALIZED VIEW": "RELATION", INDEX: "RELATION" },
  ...{ DOMAIN: "TYPE", "SHELL TYPE": "TYPE" },
  ...{ PROCEDURE: "FUNCTION", AGGREGATE: "FUNCTION" },
};

const named = (kind: string, catalog: string, name: string, schema: string, where = "true") =>
  `SELECT '${kind}', n.nspname::text, x.${name}::text, NULL FROM pg_catalog.${catalog} x ` +
  `JOIN pg_catalog.pg_namespace n ON n.oid = x.${schema} WHERE ${where}`;

const global = (kind: string, catalog: string, name: string) =>
  `SELECT '${kind}', NULL, ${name}::text, NULL FROM pg_catalog.${catalog}`;

const types = "pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.format_type(t, NULL) " +
  "FROM pg_catalog.unnest(x.proargtypes) WITH ORDINALITY AS a (t, at) ORDER BY at), ', ')";

const presentQuery = [
  `SELECT 'RELATION' AS kind, n.nspname::text AS schema, x.relname::text AS name,
          x.relkind::text AS relkind
     FROM pg_catalog.pg_class x JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
    WHERE n.nspname NOT LIKE 'pg\\_%'`,
  named("TYPE", "pg_type", "typname", "typnamespace"),
  `SELECT 'FUNCTION', n.nspname::text, x.proname::text || '(' ||
          CASE WHEN x.prokind = 'a' AND x.pronargs = 0 THEN '*' ELSE ${types} END || ')', NULL
     FROM pg_catalog.pg_proc x JOIN pg_catalog.pg_namespace n ON n.oid = x.pronamespace`,
  named("COLLATION", "pg_collation", "collname", "collnamespace"),
  named("CONVERSION", "pg_conversion", "conname", "connamespace"),
  named("OPERATOR", "pg_operator", "oprname", "oprnamespace"),
  named("OPERATOR CLASS", "pg_opclass", "opcname", "opcnamespace"),
  named("OPERATOR FAMILY", "pg_opfamily", "opfname", "opfnamespace"),
  named("TEXT SEARCH CONFIGURATION", "pg_ts_config", "cfgname", "cfgnamespace"),
  named("TEXT SEARCH DICTIONARY", "pg_ts_dict", "dictname", "dictnamespace"),
  named("TEXT SEARCH PARSER", "pg_ts_parser", "prsname", "prsnamespace"),
  named("TEXT SEARCH TEMPLATE", "pg_ts_template", "tmplname", "tmplnamespace"),
  global("SCHEMA", "pg_namespace", "nspname"),
  global("EXTENSION", "pg_extension", "extname"),
  global("PROCEDURAL LANGUAGE", "pg_language", "lanname"),
  global("FOREIGN DATA WRAPPER", "pg_foreign_data_wrapper", "fdwname"),
  global("SERVER", "pg_foreign_server", "srvname"),
  global("ACCESS METHOD", "pg_am", "amname"),
  global("PUBLICATION", "pg_publication", "pubname"),
  `SELECT 'FK CONSTRAINT', n.nspname::text, c.relname::text || ' ' || k.conname::text, NULL
     FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f'`,
  `SELECT 'CAST', NULL, 'CAST (' || pg_catalog.format_type(castsource, NULL) || ' AS ' ||
          pg_catalog.format_type(casttarget, NULL) || ')', NULL FROM pg_catalog.pg_cast`,
].join("\nUNION ALL ");

/** Looks what a database has. @throws PostgresError */
export async function readPresent(
  client: Client,
  database: string,
  o: Abortable,
): Promise<Present> {
  return presentOf(
    (await client.rows(database, presentQuery, o)).map((row) => ({
      kind: String(row["kind"]),
      schema: typeof row["schema"] === "string" ? row["schema"] : undefined,
      name: String(row["name"]),
      relkind: typeof row["relkind"] === "string" ? row["relkind"] : undefined,
    })),
  );
}

/** What a database has that is not made yet. */
export const newDatabase: Present = presentOf([
  { kind: "SCHEMA", schema: undefined, name: "public", relkind: undefined },
  { kind: "EXTENSION", schema: undefined, name: "plpgsql", relkind: undefined },
]);

function presentOf(
  rows: readonly {
    readonly kind: string;
    readonly schema: string | undefined;
    readonly name: string;
    readonly relkind: string | undefined;
  }[],
): Present {
  const there = new Map(
    rows.map(({ kind, schema, name, relkind }) => [keyOf(kind, schema, name), relkind]),
  );
  return {
    has: ({ description, schema, tag }) =>
      there.has(keyOf(kinds[description] ?? description, schema, tag)),
    relationKind: (schema, name) => there.get(keyOf("RELATION", schema, name)),
  };
}

function keyOf(kind: string, schema: string | undefined, name: string): string {
  return JSON.stringify([kind, schema ?? null, name]);
}
