import type { Abortable } from "../../core/bytes.ts";
import type { DumpSettings } from "../../contracts/source.ts";
import type { Omission } from "../../contracts/manifest.ts";
import { counted, listed } from "../../core/text.ts";
import type { Address } from "./address.ts";
import type { Client } from "./client.ts";
import type { DatabaseList } from "./databases.ts";
import { readExclusion } from "./exclusion.ts";
import { tablePattern } from "./names.ts";
import type { Server } from "./server.ts";

/** The names that a job may accept. */
export const omissionNames = [
  "databases",
  "dependent-tables",
  "large-objects",
  "role-passwords",
  "subscriptions",
  "tables",
  "unlogged-tables",
  "user-mappings",
] as const;
type OmissionName = typeof omissionNames[number];

/** What this user cannot dump of one database, and what pg_dump is told about it. */
export interface DatabaseOmissions {
  readonly omissions: readonly Omission[];
  /** Arguments without which pg_dump would fail. */
  readonly dumpArgs: readonly string[];
  /** Things to know that leave nothing out. */
  readonly warnings: readonly string[];
}

/** What a dump of the server would leave out, beside what is inside its databases. */
export function serverOmissions(
  server: Server,
  { selected }: Address,
  { closed }: DatabaseList,
): Omission[] {
  const omissions: Omission[] = [];
  if (closed.length > 0) {
    const reasons = closed.map(({ name, reason }) => `${name} ${reason}`);
    omissions.push({
      name: "databases",
      reason: reasons.join("; "),
      objects: closed.map(({ name }) => name),
    });
  }
  // One database's dump is complete without the passwords of the server's roles.
  if (selected === undefined && !server.isSuperuser) {
    omissions.push({
      name: "role-passwords",
      reason: "only a superuser can read the passwords of roles",
      hint: "Back up as a superuser.",
    });
  }
  return omissions;
}

const isOwnRelation = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/** Looks into a database for what this user may not read. */
export async function databaseOmissions(
  client: Client,
  database: string,
  server: Server,
  settings: DumpSettings,
  o: Abortable,
): Promise<DatabaseOmissions> {
  const omissions: Omission[] = [];
  const dumpArgs: string[] = [];
  const warnings: string[] = [];
  const add = (name: OmissionName, reason: string, objects: string[], hint?: string) =>
    omissions.push({ name, reason, objects, ...hint === undefined ? {} : { hint } });
  const names = async (query: string) =>
    (await client.rows(database, query, o)).map((row) => String(row["name"]));

  const [user = ""] = await names("SELECT pg_catalog.quote_ident(current_user) AS name");
  const exclusion = await readExclusion(client, database, settings, o);
  const hidden = await client.rows(
    database,
    `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name,
            pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS quoted,
            pg_catalog.quote_ident(n.nspname) AS quoted_schema,
            c.relkind = 'S' AS is_sequence,
            NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) AS is_denied
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${isOwnRelation}
        AND (NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
          OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
          OR (c.relkind = 'r' AND pg_catalog.row_security_active(c.oid)))
      ORDER BY 2, 3`,
    o,
  );
  const tables = hidden.filter((row) => {
    const oid = Number(row["oid"]);
    // pg_dump leaves out a table and reads the sequence that belongs to it.
    if (exclusion.isExcluded(oid)) {
      dumpArgs.push(
        `--exclude-table=${tablePattern(String(row["schema"]), String(row["name"]))}`,
      );
    }
    // pg_dump locks a table whose rows it leaves out, which takes the right to read it.
    return !exclusion.isExcluded(oid) && (row["is_denied"] === true || !exclusion.hasNoRows(oid));
  });
  if (tables.length > 0) {
    const found = tables.map((row) => ({
      schema: String(row["schema"]),
      name: String(row["name"]),
      isSequence: row["is_sequence"] === true,
    }));
    const dotted = found.map(({ schema, name }) => `${schema}.${name}`);
    const denied = tables.filter((row) => row["is_denied"] === true);
    add(
      "tables",
      `in "${database}" user ${user} may not read ${denied.length > 0 ? "" : "all rows of "}${
        listed(dotted)
      }`,
      dotted,
      [
        ...denied.length === 0 ? [] : [readingHint(denied, user, database, server)],
        ...denied.length === tables.length ? [] : [`Run: ALTER ROLE ${user} BYPASSRLS.`],
      ].join(" "),
    );
    for (const { schema, name, isSequence } of found) {
      // pg_dump takes a sequence along with its table, whatever is excluded; its value may stay away.
      const what = isSequence ? "table-data" : "table";
      dumpArgs.push(`--exclude-${what}=${tablePattern(schema, name)}`);
    }
  }
  if (!server.isSuperuser) {
    const objects = await names(
      `SELECT l.oid::text AS name FROM pg_catalog.pg_largeobject_metadata l
        WHERE NOT pg_catalog.pg_has_role(l.lomowner, 'USAGE')
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(l.lomacl) a
            WHERE a.privilege_type = 'SELECT'
              AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
        ORDER BY l.oid LIMIT 1000`,
    );
    if (objects.length > 0) {
      add(
        "large-objects",
        `in "${database}" user ${user} may not read ${counted(objects.length, "large object")}, ` +
          "so that none is dumped; pg_read_all_data does not cover them",
        objects,
        `Run in "${database}": GRANT SELECT ON LARGE OBJECT ${listed(objects)} TO ${user}.`,
      );
      dumpArgs.push("--no-blobs");
    }
    const subscriptions = await names(
      `SELECT subname AS name FROM pg_catalog.pg_subscription WHERE subdbid =
        (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`,
    );
    if (subscriptions.length > 0) {
      add(
        "subscriptions",
        `only a superuser can dump the subscriptions of "${database}"`,
        subscriptions,
        "Back up as a superuser.",
      );
    }
    const mappings = await names(
      `SELECT srvname || '/' || usename AS name FROM pg_catalog.pg_user_mappings
        WHERE umoptions IS NULL AND usename <> current_user`,
    );
    if (mappings.length > 0) {
      add(
        "user-mappings",
        `in "${database}" user ${user} may not read the options of the user mappings ${
          listed(mappings)
        }`,
        mappings,
        "Back up as a superuser.",
      );
    }
  }
  if (server.isStandby) {
    const unlogged = await names(
      `SELECT n.nspname || '.' || c.relname AS name
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND c.relpersistence = 'u'`,
    );
    if (unlogged.length > 0) {
      add("unlogged-tables", `a standby has no rows of unlogged tables in "${database}"`, unlogged);
      dumpArgs.push("--no-unlogged-table-data");
    }
  }
  const invalid = await names(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_catalog.pg_index i
       JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT i.indisvalid AND c.relkind = 'i' AND ${isOwnRelation}`,
  );
  if (invalid.length > 0) {
    warnings.push(
      `In "${database}", pg_dump leaves out invalid indexes: ${invalid.join(", ")}. REINDEX or ` +
        "DROP them",
    );
  }
  const foreign = await names(
    `SELECT n.nspname || '.' || c.relname AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'f' AND ${isOwnRelation}`,
  );
  if (foreign.length > 0) {
    warnings.push(
      `In "${database}", the rows of foreign tables are on their own servers: ${
        foreign.join(", ")
      }`,
    );
  }
  return { omissions, dumpArgs, warnings };
}

/** The statements that let a user read tables, such as run as their owner or a superuser. */
function readingHint(
  tables: readonly Record<string, unknown>[],
  user: string,
  database: string,
  { major }: Server,
): string {
  // 13 and older have no role for that.
  if (major >= 14) return `Run as a superuser: GRANT pg_read_all_data TO ${user}.`;
  const schemas = [...new Set(tables.map((row) => String(row["quoted_schema"])))];
  const quoted = (isSequence: boolean) =>
    tables.filter((row) => (row["is_sequence"] === true) === isSequence)
      .map((row) => String(row["quoted"]));
  const [relations, sequences] = [quoted(false), quoted(true)];
  return [
    `Run in "${database}": GRANT USAGE ON SCHEMA ${schemas.join(", ")} TO ${user}`,
    ...relations.length === 0 ? [] : [`GRANT SELECT ON ${relations.join(", ")} TO ${user}`],
    ...sequences.length === 0
      ? []
      : [`GRANT SELECT ON SEQUENCE ${sequences.join(", ")} TO ${user}`],
  ].join("; ") + ".";
}

/** One omission a name: those of several databases together. */
export function mergeOmissions(all: readonly Omission[]): Omission[] {
  const byName = new Map<string, Omission>();
  for (const one of all) {
    const present = byName.get(one.name);
    const hints = new Set([present?.hint, one.hint].filter((hint) => hint !== undefined));
    byName.set(
      one.name,
      present === undefined ? one : {
        name: one.name,
        reason: `${present.reason}; ${one.reason}`,
        objects: [...present.objects ?? [], ...one.objects ?? []],
        ...hints.size === 0 ? {} : { hint: [...hints].join(" ") },
      },
    );
  }
  return [...byName.values()];
}
