import type { Abortable } from "../../core/bytes.ts";
import { plainName, statementsOf, tokensOf } from "./archive/sql.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { runInside } from "./create.ts";
import { sqlState } from "./failure.ts";
import { quoteName } from "./names.ts";

/** What an archive of some schemas or tables, as `pg_dump --schema` makes them, asks of a database. */
export interface SchemaNeeds {
  /** Dump ids of schemas that are there already: a new database has `public`. */
  readonly there: ReadonlySet<number>;
  /**
   * Schemas to make first: those that are not there, and that the archive does not make or makes too
   * late.
   */
  readonly bare: readonly string[];
  /** Whose those are in the archive that it need not make. */
  readonly owners: ReadonlyMap<string, string>;
}

/** Compares an archive's schemas with those of the database that it is restored into. */
export async function readSchemaNeeds(
  client: Client,
  database: string,
  { entries }: ArchiveHead,
  { ids, early }: {
    readonly ids: ReadonlySet<number> | undefined;
    /** Schemas that are needed before anything of the archive is made. */
    readonly early: readonly string[];
  },
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
  const used = wanted.flatMap((entry) =>
    entry.description === "EXTENSION"
      ? schemaOfExtension(entry) ?? []
      : entry.section === "pre-data"
      ? entry.schema ?? []
      : []
  );
  const isThere = (name: string) => present.has(name) || early.includes(name);
  const there = made.filter(({ tag, definition }) =>
    isThere(tag) && /^CREATE SCHEMA /.test(definition)
  );
  const needed = [...early, ...used.filter((name) => !makes.has(name))];
  return {
    there: new Set(there.map(({ dumpId }) => dumpId)),
    bare: [...new Set(needed)].filter((name) => !present.has(name)),
    owners: new Map(there.flatMap(({ tag, owner }) => owner === undefined ? [] : [[tag, owner]])),
  };
}

/**
 * Gives schemas that were there before the archive's to those who own them in it.
 *
 * @returns warnings
 * @throws PostgresError
 */
export async function giveSchemas(
  client: Client,
  database: string,
  owners: ReadonlyMap<string, string>,
  o: Abortable,
): Promise<string[]> {
  if (owners.size === 0) return [];
  const rows = await client.rows(
    database,
    `SELECT nspname::text AS name, pg_catalog.pg_get_userbyid(nspowner)::text AS owner
       FROM pg_catalog.pg_namespace`,
    o,
  );
  const warnings: string[] = [];
  for (const row of rows) {
    const [name, present] = [String(row["name"]), String(row["owner"])];
    const owner = owners.get(name);
    if (owner === undefined || owner === present) continue;
    const statement = `ALTER SCHEMA ${quoteName(name)} OWNER TO ${quoteName(owner)}`;
    try {
      await runInside(client, database, [statement], o);
    } catch (error) {
      if (!(error instanceof Error) || sqlState(error) === undefined) throw error;
      warnings.push(`The schema ${name} stays ${present}'s: ${error.message}. Then: ${statement}`);
    }
  }
  return warnings;
}

/** The schema that an extension puts its objects into. */
export function schemaOfExtension({ definition }: TocEntry): string | undefined {
  const [statement = ""] = statementsOf(definition);
  const tokens = tokensOf(statement).filter(({ source }) => source.trim() !== "");
  const at = tokens.findIndex(({ source }, index) =>
    source === "SCHEMA" && tokens[index - 1]?.source === "WITH"
  );
  const name = at < 0 ? undefined : tokens[at + 1]?.source;
  return name === undefined ? undefined : plainName(name);
}
