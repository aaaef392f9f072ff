import type { Abortable } from "../../core/bytes.ts";
import { counted } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Since } from "../../contracts/changes.ts";
import type { DumpSettings, SourceInfo } from "../../contracts/source.ts";
import { kinds } from "../../contracts/manifest.ts";
import type { MysqlAddress } from "./address.ts";
import { mayReadAccounts } from "./accounts.ts";
import { continuationOf } from "./binlog/continuation.ts";
import type { Client } from "./client.ts";
import { isDenied } from "./refusals.ts";
import {
  askSchema,
  listDatabases,
  listPrograms,
  listRelations,
  type Relation,
} from "./databases.ts";
import { omissionsOf, type Sight } from "./omissions.ts";
import { matching } from "./patterns.ts";
import { readPosition } from "./position.ts";
import { readServer, type Server } from "./server.ts";
import { findTool, toolWarnings } from "./tools.ts";
import { listViews, readersOf } from "./views.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** Looks at a server. */
export async function inspect(
  { client, address, settings, since }: {
    readonly client: Client;
    readonly address: MysqlAddress;
    readonly settings: DumpSettings;
    readonly since: Since | undefined;
  },
  o: Context,
): Promise<SourceInfo> {
  // The connection is made before the clock is asked for.
  await client.query("SELECT 1", o);
  const askedAt = o.runtime.now().getTime();
  const server = await readServer(client, o);
  const sight = await look(client, server, address, settings, o);
  const [dump, restore] = [
    await findTool("dump", server.flavour, address, o),
    await findTool("restore", server.flavour, address, o),
  ];
  const [dumpName, restoreName] = server.flavour === "MySQL"
    ? ["mysqldump", "mysql"]
    : ["mariadb-dump", "mariadb"];
  const missing = (name: string) => ({ name, path: undefined, version: undefined });
  const position = await readPosition(client, server, o);
  return {
    sourceId: server.sourceId,
    locks: sight.databases.map((name) => `${server.instance} ${name}`),
    kind: server.flavour === "MariaDB" ? "mariadb" : "mysql",
    flavour: server.flavour,
    version: server.version,
    tools: [dump ?? missing(dumpName), restore ?? missing(restoreName)],
    privileges: neededPrivileges(server, sight),
    omissions: omissionsOf(server, address, sight),
    capabilities: server.hasBinlog ? kinds : ["full"],
    ...position === undefined ? {} : { position },
    ...since === undefined
      ? {}
      : { continues: await continuationOf({ client, address, server, since }, o) },
    clockOffsetMs: server.timeMs - askedAt,
    estimatedBytes: sight.relations.reduce((sum, { bytes }) => sum + bytes, 0),
    warnings: [
      ...toolWarnings(dump, server),
      ...engineWarnings(sight),
      ...orphanWarnings(sight),
    ],
    // Whoever made them knows; a line in each night's log would hide what matters.
    advice: await statisticsAdvice(client, server, sight, o),
  };
}

/** What there is to dump. @throws BackupError `config/no-such-table` */
export async function look(
  client: Client,
  server: Server,
  address: MysqlAddress,
  { exclude }: DumpSettings,
  o: Abortable,
): Promise<Sight> {
  const databases = await listDatabases(client, address, o);
  const relations = await listRelations(client, databases, o);
  const chosen = matching(databases, relations, exclude);
  const views = relations.some(({ type }) => type === "view")
    ? await listViews(client, databases, o)
    : [];
  // A view without its table cannot be made again.
  const orphans = readersOf(views, chosen);
  const isOrphan = (relation: Relation) =>
    orphans.some(({ database, name }) => relation.database === database && relation.name === name);
  const excluded = [...chosen, ...relations.filter(isOrphan)];
  return {
    databases,
    relations: relations.filter((relation) => !excluded.includes(relation)),
    excluded,
    orphans,
    hasCheckedViews: views.some(({ isChecked }) => isChecked),
    programs: await listPrograms(client, databases, o),
    hasAccounts: await mayReadAccounts(client, server, o),
    serverObjects: await listServerObjects(client, o),
  };
}

async function listServerObjects(client: Client, o: Abortable): Promise<string[]> {
  try {
    const rows = await client.query(
      "SELECT name FROM mysql.func UNION ALL SELECT Server_name FROM mysql.servers",
      o,
    );
    return rows.map((row) => String(row["name"]));
  } catch (error) {
    // Who may not look there may not read accounts either, which is told.
    if (isDenied(error)) return [];
    throw error;
  }
}

/** Tables whose engine has no transactions show no single moment. */
export function engineWarnings({ relations }: Sight): string[] {
  const plain = relations.filter(({ type, engine }) =>
    type === "table" && engine !== undefined &&
    !/^(InnoDB|RocksDB|TokuDB|ndbcluster)$/i.test(engine)
  );
  if (plain.length === 0) return [];
  const named = plain.slice(0, 5).map(({ database, name, engine }) =>
    `${database}.${name} (${engine})`
  );
  return [
    `${counted(plain.length, "table has", "tables have")} no transactions, so what is written ` +
    `meanwhile may be in part in the backup: ${named.join(", ")}`,
  ];
}

/** MariaDB keeps what ANALYZE … PERSISTENT finds in its own database, which is not dumped. */
async function statisticsAdvice(
  client: Client,
  { flavour }: Server,
  { databases }: Sight,
  o: Abortable,
): Promise<string[]> {
  if (flavour !== "MariaDB") return [];
  const wanted = ["column_stats", "index_stats", "table_stats"].map((table) =>
    `SELECT db_name AS db, table_name AS name FROM mysql.${table}`
  );
  try {
    const sql = `SELECT db, name FROM (${wanted.join(" UNION ")}) AS known WHERE db`;
    const tables = (await askSchema(client, sql, databases, o)).map((row) =>
      `${row["db"]}.${row["name"]}`
    );
    if (tables.length === 0) return [];
    const named = tables.sort().slice(0, 5).join(", ");
    return [
      `Statistics and histograms of ${counted(tables.length, "table")} are not dumped: ${named}. ` +
      "After a restore, make them again with ANALYZE TABLE … PERSISTENT FOR ALL",
    ];
  } catch (error) {
    // Who may not read them may hardly have made them.
    if (isDenied(error)) return [];
    throw error;
  }
}

/** Views that are left out because of what they read. */
export function orphanWarnings({ orphans }: Sight): string[] {
  return orphans.map(({ database, name }) =>
    `View ${database}.${name} is left out, too: it reads what is excluded`
  );
}

function neededPrivileges(server: Server, { databases, hasAccounts }: Sight) {
  const { grants } = server;
  const onAll = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"].map((name) => ({
    name,
    isGranted: databases.every((database) => grants.has(name, database)),
  }));
  const routines = server.flavour === "MySQL"
    ? { name: "SHOW_ROUTINE", isGranted: grants.has("SHOW_ROUTINE") || grants.has("SELECT") }
    : {
      name: "SELECT on mysql.proc",
      isGranted: grants.hasOnTable("SELECT", "mysql", "proc"),
    };
  return [...onAll, routines, { name: "SELECT on mysql.*", isGranted: hasAccounts }];
}
