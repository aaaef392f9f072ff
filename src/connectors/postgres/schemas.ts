import type { Abortable } from "../../core/bytes.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";

/** What an archive of some schemas or tables, as `pg_dump --schema` makes them, asks of a database. */
export interface SchemaNeeds {
  /** Dump ids of schemas that are there already: a new database has `public`. */
  readonly there: ReadonlySet<number>;
  /** Schemas that are not there, and that the archive does not make: those of `pg_dump --table`. */
  readonly bare: readonly string[];
}

/** Compares an archive's schemas with those of the database that it is restored into. */
export async function readSchemaNeeds(
  client: Client,
  database: string,
  { entries }: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
  o: Abortable,
): Promise<SchemaNeeds> {
  const rows = await client.rows(
    database,
    "SELECT nspname::text AS name FROM pg_catalog.pg_namespace",
    o,
  );
  const present = new Set(rows.map((row) => String(row["name"])));
  const wanted = entries.filter(({ dumpId }) => ids?.has(dumpId) ?? true);
  const made = wanted.filter(({ description }) => description === "SCHEMA");
  const makes = new Set(made.map(({ tag }) => tag));
  const used = wanted.flatMap(({ schema, section }) => section === "pre-data" ? schema ?? [] : []);
  return {
    there: new Set(
      made.filter(({ tag, definition }) => present.has(tag) && /^CREATE SCHEMA /.test(definition))
        .map(({ dumpId }) => dumpId),
    ),
    bare: [...new Set(used)].filter((name) => !present.has(name) && !makes.has(name)),
  };
}
