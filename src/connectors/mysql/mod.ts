import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Connector, ConnectorKind } from "../../contracts/connector.ts";
import type { ConfigExample } from "../../contracts/example.ts";
import { kinds } from "../../contracts/manifest.ts";
import { env, file } from "../../core/secret.ts";
import { declaredServer } from "../connection.ts";
import { accountsFormat } from "./accounts.ts";
import { resolveAddress } from "./address.ts";
import { binlogFormat } from "./binlog/format.ts";
import { binlogPositions } from "./binlog/place.ts";
import { clientOf } from "./client.ts";
import { refusalError } from "./refusals.ts";
import { listDatabases } from "./databases.ts";
import { dump } from "./dump.ts";
import { inspect } from "./inspect.ts";
import { readInventory } from "./inventory.ts";
import { omissionNames } from "./omissions.ts";
import { fromUrl, jobNameOf, type MysqlOptions, mysqlOptions, schemes } from "./options.ts";
import { recipe } from "./recipe.ts";
import { restore } from "./restore.ts";
import { scratch } from "./scratch.ts";
import { planRestore } from "./target.ts";
import { dumpFormat } from "./walker.ts";

export type { MysqlOptions } from "./options.ts";

/** MySQL, by mysqldump and mysql, with the driver to look and to compare. */
export const mysql: ConnectorKind<MysqlOptions> = kindOf("mysql", "MySQL", {
  name: "blog",
  options: { url: env("BLOG_DATABASE_URL") },
});

/** MariaDB, by mariadb-dump and mariadb. A server of the other flavour works under either kind. */
export const mariadb: ConnectorKind<MysqlOptions> = kindOf("mariadb", "MariaDB", {
  name: "wiki",
  options: { host: "db.internal", user: "backup", password: file("/run/secrets/wiki") },
});

function kindOf(
  kind: string,
  title: string,
  example: ConfigExample<MysqlOptions>,
): ConnectorKind<MysqlOptions> {
  return {
    kind,
    title,
    schemes: [kind],
    description: `A ${title} server, or some of its databases.`,
    examples: [example],
    options: mysqlOptions,
    paths: ["toolsDir", "tls.ca", "tls.cert", "tls.key"],
    settings: ["exclude", "excludeData", "schemaOnly", "dumpArgs", "restoreArgs"],
    omissions: omissionNames,
    formats: [dumpFormat, accountsFormat, binlogFormat],
    roles: ["dump", "accounts", "log"],
    kinds,
    positions: binlogPositions,
    fromUrl,
    open,
    recipe,
    scratch,
    declaredSource: (options, { runtime }) => declaredServer(options, schemes, 3306, runtime),
    jobName: jobNameOf(kind),
  };
}

async function open(
  options: MysqlOptions,
  { runtime }: Abortable & { runtime: Runtime },
): Promise<Connector> {
  const address = await resolveAddress(options, runtime);
  const client = clientOf(address);
  /** Names the driver's errors. */
  const asked = async <T>(area: "dump" | "restore", use: () => Promise<T>): Promise<T> => {
    try {
      return await use();
    } catch (error) {
      throw refusalError(address, error, area);
    }
  };
  return {
    location: address.label,
    inspect: ({ signal, settings = {}, since }) =>
      asked("dump", () => inspect({ client, address, settings, since }, { signal, runtime })),
    databases: (o) => asked("dump", () => listDatabases(client, address, o)),
    dump: (plan, emit, { signal }) =>
      asked("dump", () => dump({ client, address, plan }, emit, { signal, runtime })),
    planRestore: (chain, restoreOptions, { signal }) =>
      asked(
        "restore",
        () => planRestore(client, address, chain, restoreOptions, { signal, runtime }),
      ),
    restore: (chain, plan, restoreOptions, { signal }) =>
      asked("restore", () => {
        const request = { client, address, chain, plan, options: restoreOptions };
        return restore(request, { signal, runtime });
      }),
    inventory: (database, o) => asked("restore", () => readInventory(client, database, o)),
    close: () => client.close(),
  };
}
