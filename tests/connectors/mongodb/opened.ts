import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { MongodbOptions } from "../../../src/connectors/mongodb/options.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import { BackupError } from "../../../src/core/errors.ts";
import type { Runtime } from "../../../src/core/runtime.ts";
import type { MongoServer } from "../../support/mongo.ts";
import { never, testRuntime } from "../../support/runtime.ts";

/** Runs with a connector, and closes it. */
export async function withConnector<T>(
  options: MongodbOptions,
  use: (connector: Connector) => Promise<T>,
  runtime: Runtime = testRuntime(),
): Promise<T> {
  const connector = await mongodb.open(options, { runtime, signal: never });
  try {
    return await use(connector);
  } finally {
    await connector.close();
  }
}

/** The options of a server, or of one or several of its databases. */
export function optionsOf(
  server: MongoServer,
  more: Partial<MongodbOptions> = {},
): MongodbOptions {
  return { url: server.url(), toolsDir: server.toolsDir, ...more };
}

/** For `assert.rejects` and `assert.throws`: an error with this code. */
export const code = (expected: string) => (error: unknown) => {
  if (error instanceof BackupError && error.code === expected) return true;
  throw error;
};
