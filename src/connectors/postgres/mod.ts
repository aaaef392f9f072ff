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
import { baseFormat } from "./physical/base-format.ts";
import { baseRole, isPhysical, logRole } from "./physical/continuation.ts";
import { acknowledge, dumpPhysical } from "./physical/dump.ts";
import { inspectPhysical } from "./physical/inspect.ts";
import { positions } from "./physical/lsn.ts";
import { physicalRecipe } from "./physical/recipe.ts";
import { planPhysical, restorePhysical } from "./physical/restore.ts";
import { reset } from "./physical/slot.ts";
import { walFormat } from "./physical/wal-format.ts";
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
  formats: [archiveFormat, accountsFormat, baseFormat, walFormat],
  roles: ["dump", "accounts", baseRole, logRole],
  kinds: ["full", "incremental"],
  positions,
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
      inspect(asked) {
        const o = { signal: asked.signal, runtime };
        const isBase = asked.isBase === true || asked.since !== undefined;
        return told(
          "dump/failed",
          isBase
            ? inspectPhysical(client, address, asked, o)
            : inspect(client, address, asked.settings ?? {}, o),
        );
      },
      databases: async ({ signal }) => {
        const { names } = await told("dump/failed", listDatabases(client, address, { signal }));
        return [...names];
      },
      dump(plan, emit, { signal }) {
        const take = plan.isBase === true || plan.kind !== "full" ? dumpPhysical : dump;
        return told("dump/failed", take(client, address, plan, emit, { signal, runtime }));
      },
      acknowledge: (manifest, o) => told("dump/failed", acknowledge(client, manifest, o)),
      reset: (job, o) => told("dump/failed", reset(client, job, o)),
      planRestore(chain, restoreOptions, { signal }) {
        const plan = isPhysical(chain[0]!.manifest) ? planPhysical : planRestore;
        return told(
          "restore/failed",
          plan(client, address, chain, restoreOptions, { signal, runtime }),
        );
      },
      restore(chain, plan, restoreOptions, { signal }) {
        const carryOut = isPhysical(chain[0]!.manifest) ? restorePhysical : restore;
        const order = { chain, plan, options: restoreOptions };
        return told("restore/failed", carryOut(client, address, order, { signal, runtime }));
      },
      inventory: (database, { signal }) =>
        told("restore/failed", readInventory(client, database, { signal })),
      close: () => client.close(),
    };
  },
  declaredSource: (options, { runtime }) => declaredServer(options, schemes, 5432, runtime),
  recipe: (chain) =>
    isPhysical(chain[0]!.manifest) ? physicalRecipe(chain) : stepByStep(chain, recipe),
  scratch,
  jobName,
};
