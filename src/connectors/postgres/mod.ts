import type { ErrorCode } from "../../core/errors.ts";
import type { Connector, ConnectorKind } from "../../contracts/connector.ts";
import { declaredServer } from "../connection.ts";
import { stepByStep } from "../../contracts/recipe.ts";
import { accountsFormat } from "./accounts.ts";
import { resolveAddress } from "./address.ts";
import { archiveFormat } from "./archive/format.ts";
import { clientOf } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { dump } from "./dump.ts";
import { refusal } from "./failure.ts";
import { inspect } from "./inspect.ts";
import { readInventory } from "./inventory.ts";
import { omissionNames } from "./omissions.ts";
import { fromUrl, jobName, type PostgresOptions, postgresOptions, schemes } from "./options.ts";
import { recipe } from "./recipe.ts";
import { restore } from "./restore.ts";
import { scratch } from "./scratch.ts";
import { planRestore } from "./target.ts";

export type { PostgresOptions } from "./options.ts";

/** PostgreSQL, by pg_dump and pg_restore, with the driver to look and to compare. */
export const postgres: ConnectorKind<PostgresOptions> = {
  kind: "postgres",
  title: "PostgreSQL",
  schemes,
  description: "A PostgreSQL server, or some of its databases.",
  urls: ["postgres://"],
  options: postgresOptions,
  paths: ["toolsDir", "tls.ca", "tls.cert", "tls.key"],
  settings: ["exclude", "excludeData", "schemaOnly", "dumpArgs", "restoreArgs"],
  omissions: omissionNames,
  formats: [archiveFormat, accountsFormat],
  fromUrl,
  async open(options, { runtime }): Promise<Connector> {
    const address = await resolveAddress(options, runtime);
    const client = clientOf(address, runtime);
    const told = <T>(code: ErrorCode, work: Promise<T>): Promise<T> =>
      work.catch((error: unknown) => {
        throw refusal(code, address, error);
      });
    return {
      location: address.label,
      inspect: ({ signal, settings = {} }) =>
        told("dump/failed", inspect(client, address, settings, { signal, runtime })),
      databases: async ({ signal }) => {
        const { names } = await told("dump/failed", listDatabases(client, address, { signal }));
        return [...names];
      },
      dump: (plan, emit, { signal }) =>
        told("dump/failed", dump(client, address, plan, emit, { signal, runtime })),
      planRestore: (chain, restoreOptions, { signal }) =>
        told(
          "restore/failed",
          planRestore(client, address, chain, restoreOptions, { signal, runtime }),
        ),
      restore: (chain, plan, restoreOptions, { signal }) =>
        told(
          "restore/failed",
          restore(client, address, { chain, plan, options: restoreOptions }, { signal, runtime }),
        ),
      inventory: (database, { signal }) =>
        told("restore/failed", readInventory(client, database, { signal })),
      close: () => client.close(),
    };
  },
  declaredSource: (options, { runtime }) => declaredServer(options, schemes, 5432, runtime),
  recipe: (chain) => stepByStep(chain, recipe),
  scratch,
  jobName,
};
