import path from "node:path";
import process from "node:process";
import { postgres } from "../../../src/connectors/postgres/mod.ts";
import type { PostgresOptions } from "../../../src/connectors/postgres/options.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import { BackupError } from "../../../src/core/errors.ts";
import type { Runtime } from "../../../src/core/runtime.ts";
import type { PostgresServer } from "../../support/postgres.ts";
import { output } from "../../support/run.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { backUp, chainOf, type MemoryBackup, restoreInto } from "../sqlite/memoryBackup.ts";
import type { DumpPlan } from "../../../src/contracts/dump.ts";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";

/** Runs with a connector, and closes it. */
export async function withConnector<T>(
  options: PostgresOptions,
  use: (connector: Connector) => Promise<T>,
  runtime: Runtime = testRuntime(),
): Promise<T> {
  const connector = await postgres.open(options, { runtime, signal: never });
  try {
    return await use(connector);
  } finally {
    await connector.close();
  }
}

/** The options of one database, or of all, with the server's own tools. */
export function optionsOf(
  server: PostgresServer,
  database?: string,
  more: Partial<PostgresOptions> = {},
): PostgresOptions {
  const url = server.url(database).replace(
    /\/postgres$/,
    database === undefined ? "" : "/postgres",
  );
  return { url, toolsDir: server.binDir, ...more };
}

/** Dumps into memory. */
export function dumpOf(
  options: PostgresOptions,
  plan: Partial<DumpPlan> = {},
): Promise<MemoryBackup> {
  return withConnector(options, (connector) => backUp(postgres, connector, plan));
}

/** Restores what is in memory. */
export function restoreTo(
  options: PostgresOptions,
  backup: MemoryBackup,
  changed: Partial<RestoreOptions> = {},
  replaced: Parameters<typeof chainOf>[2] = {},
  runtime?: Runtime,
) {
  return withConnector(
    options,
    (connector) => restoreInto(connector, chainOf(postgres, backup, replaced), changed),
    runtime,
  );
}

/** Everything in a database as SQL: schema, every row, large objects. */
export async function contentOf(
  server: PostgresServer,
  database: string,
  binDir = server.binDir,
): Promise<string> {
  const text = await output(path.join(binDir, "pg_dump"), [], {
    env: {
      ...process.env,
      PGHOST: server.socketDir,
      PGPORT: String(server.port),
      PGUSER: "postgres",
      PGDATABASE: database,
    },
  });
  return text.split("\n").filter((line) => !/^(--|\\(un)?restrict )/.test(line)).join("\n");
}

/** The names of a server's databases. */
export async function databasesOf(server: PostgresServer): Promise<string[]> {
  return (await server.psql("postgres", "SELECT datname FROM pg_database")).split("\n");
}

/** For `assert.rejects` and `assert.throws`: an error with this code and, if given, message. */
export const code = (expected: string, message = /./) => (error: unknown) => {
  const fits = error instanceof BackupError && error.code === expected;
  if (fits && message.test(error.message) && error.hint !== undefined) return true;
  throw error;
};
