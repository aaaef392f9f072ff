import { delimiter } from "node:path";
import process from "node:process";
import type { Connector, ConnectorKind } from "../../../src/contracts/connector.ts";
import { mariadb, mysql, type MysqlOptions } from "../../../src/connectors/mysql/mod.ts";
import { mariadb as sharedMariadb } from "../../support/mariadb.ts";
import { mysql as sharedMysql } from "../../support/mysql.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { never, testRuntime } from "../../support/runtime.ts";

/** A flavour under test. */
export interface Flavour {
  readonly name: "mariadb" | "mysql";
  readonly kind: ConnectorKind<MysqlOptions>;
  server(): Promise<MysqlServer>;
}

/** Both flavours, each on its shared server. */
export const flavours: readonly Flavour[] = [
  { name: "mariadb", kind: mariadb, server: sharedMariadb },
  { name: "mysql", kind: mysql, server: sharedMysql },
];

/** A runtime that finds the flavour's own tools first. */
export function runtimeOf(server: MysqlServer, env: Record<string, string | undefined> = {}) {
  const path = `${server.binDir}${delimiter}${process.env["PATH"]}`;
  return testRuntime({ env: { PATH: path, HOME: "/nonexistent", ...env } });
}

/** Opens a connector on a server, for root and all databases unless told otherwise. */
export async function connect(
  { kind }: Flavour,
  server: MysqlServer,
  options: MysqlOptions = {},
  env: Record<string, string | undefined> = {},
): Promise<Connector> {
  const runtime = runtimeOf(server, env);
  return await kind.open({ url: server.url(), ...options }, { signal: never, runtime });
}
