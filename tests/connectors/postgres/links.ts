import assert from "node:assert/strict";
import { postgres } from "../../../src/connectors/postgres/mod.ts";
import type { PostgresOptions } from "../../../src/connectors/postgres/options.ts";
import type { Until } from "../../../src/contracts/changes.ts";
import type { DumpPlan } from "../../../src/contracts/dump.ts";
import type {
  RestorableBackup,
  RestorableChain,
  RestoreOptions,
} from "../../../src/contracts/restore.ts";
import type { PostgresServer } from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { withConnector } from "./opened.ts";

/** The job that the tests' backups are of; its slot is `dbbackup_chain`. */
export const job = "chain";

let count = 0;

/** Takes one backup of a chain into memory, and tells the server of it as a run does. */
export function takeLink(
  options: PostgresOptions,
  parent?: RestorableBackup,
  { isAcknowledged = true, ...changed }: Partial<DumpPlan> & { isAcknowledged?: boolean } = {},
): Promise<RestorableBackup> {
  return withConnector(options, async (connector) => {
    const plan: Partial<DumpPlan> = {
      kind: parent === undefined ? "full" : "incremental",
      isBase: true,
      job,
      ...parent === undefined ? {} : { parent },
      ...changed,
    };
    const info = await connector.inspect({ signal: never, job, isBase: true });
    const taken = await backUp(postgres, connector, plan);
    const [one] = chainOf(postgres, taken);
    const { window, from, to } = taken.result;
    const id = `link${++count}`;
    const manifest: RestorableBackup["manifest"] = {
      ...one!.manifest,
      id,
      job,
      kind: plan.kind!,
      parent: parent === undefined
        ? null
        : { id: parent.manifest.id, manifestSha256: "0".repeat(64) },
      source: { ...one!.manifest.source, version: info.version },
      position: { ...from === undefined ? {} : { from }, ...to === undefined ? {} : { to } },
      ...window === undefined
        ? {}
        : { window: { from: window.from.toISOString(), to: window.to.toISOString() } },
      artifacts: one!.manifest.artifacts.map((artifact, index) => ({
        ...artifact,
        ...taken.artifacts[index]!.head.span?.(),
      })),
    };
    if (isAcknowledged) await connector.acknowledge!(manifest, { signal: never });
    return { ...one!, manifest };
  });
}

/** Whether the server's log goes on from a backup; the reason where it does not. */
export function continuationOf(options: PostgresOptions, parent: RestorableBackup) {
  return withConnector(options, async (connector) => {
    const since = { kind: "incremental", parent: parent.manifest } as const;
    const { continues } = await connector.inspect({ signal: never, job, since });
    assert.ok(continues !== undefined);
    return continues.isPossible ? undefined : continues.reason;
  });
}

/** Restores a chain. */
export function restoreChain(
  options: PostgresOptions,
  chain: RestorableChain,
  until?: Until,
  changed: Partial<RestoreOptions> = {},
) {
  return withConnector(
    options,
    (connector) =>
      restoreInto(connector, chain, { ...until === undefined ? {} : { until }, ...changed }),
  );
}

/** All rows of a query, as one text. */
export function rowsOf(server: PostgresServer, database: string, query: string): Promise<string> {
  return server.psql(database, query);
}
