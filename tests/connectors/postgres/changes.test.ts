import { postgres } from "../../../src/connectors/postgres/mod.ts";
import { changesContract } from "../../contracts/changes.ts";
import { needs } from "../../support/needs.ts";
import { postgres as startShared, type PostgresServer } from "../../support/postgres.ts";
import { testRuntime } from "../../support/runtime.ts";
import type { PostgresOptions } from "../../../src/connectors/postgres/options.ts";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`PostgreSQL ${version}`, () => {
    const databases = new Map<PostgresOptions, [PostgresServer, string]>();
    changesContract<PostgresOptions>(`PostgreSQL ${version}`, async () => {
      const server = await startShared(version);
      const psql = (options: PostgresOptions, sql: string) => {
        const [own, database] = databases.get(options)!;
        return own.psql(database, sql);
      };
      return {
        kind: postgres,
        runtime: testRuntime(),
        async source() {
          const name = await server.createDatabase();
          const options = { url: server.url(name), toolsDir: server.binDir };
          databases.set(options, [server, name]);
          await server.psql(name, "CREATE TABLE lines AS SELECT generate_series(1, 100) AS id");
          return options;
        },
        change: (options) => psql(options, "INSERT INTO lines SELECT 1").then(() => {}),
        breakLog: (options) =>
          psql(options, "SELECT pg_drop_replication_slot('dbbackup_contract')").then(() => {}),
      };
    });
  });
}
