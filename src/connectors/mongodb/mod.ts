import type { Connector, ConnectorKind } from "../../contracts/connector.ts";
import { env } from "../../core/secret.ts";
import { declaredServer } from "../connection.ts";
import { kinds } from "../../contracts/manifest.ts";
import { accountsFormat, archiveFormat } from "./archive/walker.ts";
import { clientOf } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { dump } from "./dump.ts";
import { inspect } from "./inspect.ts";
import { readInventory } from "./inventory.ts";
import { fromUrl, jobName, type MongodbOptions, mongodbOptions, schemes } from "./options.ts";
import { oplogFormat } from "./oplog/format.ts";
import { positions } from "./oplog/position.ts";
import { recipe } from "./recipe.ts";
import { restore } from "./restore.ts";
import { planRestore } from "./target.ts";
import { resolveAddress } from "./uri.ts";

export type { MongodbOptions } from "./options.ts";

/** MongoDB, by mongodump and mongorestore, with the driver to look and to compare. */
export const mongodb: ConnectorKind<MongodbOptions> = {
  kind: "mongodb",
  title: "MongoDB",
  schemes,
  description: "A MongoDB server or replica set, or one of its databases.",
  examples: [{ name: "events", options: { url: env("EVENTS_DATABASE_URL") } }],
  options: mongodbOptions,
  paths: ["toolsDir", "tls.ca", "tls.cert", "tls.key"],
  settings: ["exclude", "excludeData", "schemaOnly", "dumpArgs", "restoreArgs"],
  omissions: ["databases", "accounts"],
  formats: [archiveFormat, accountsFormat, oplogFormat],
  roles: ["dump", "log", "accounts"],
  kinds,
  positions,
  fromUrl,
  async open(options, { runtime }): Promise<Connector> {
    const address = await resolveAddress(options, runtime);
    const client = clientOf(address, runtime);
    return {
      location: address.label,
      inspect: ({ signal, since }) =>
        inspect(client, address, { signal, runtime, ...since === undefined ? {} : { since } }),
      databases: ({ signal }) => client.ask((driver) => listDatabases(driver, address), { signal }),
      dump: (plan, emit, { signal }) => dump(client, address, plan, emit, { signal, runtime }),
      planRestore: (chain, restoreOptions, { signal }) =>
        planRestore(client, address, chain, restoreOptions, { signal, runtime }),
      restore: (chain, plan, options, { signal }) =>
        restore({ client, address, chain, plan, options }, { signal, runtime }),
      inventory: (database, { signal }) =>
        client.ask((driver) => readInventory(driver.db(database)), { signal }),
      close: () => client.close(),
    };
  },
  declaredSource: (options, { runtime }) => declaredServer(options, schemes, 27017, runtime),
  recipe,
  jobName,
};
