import { postgres } from "../../../src/connectors/postgres/mod.ts";
import { connectorContract } from "../../contracts/connector.ts";
import { needs } from "../../support/needs.ts";
import { postgres as startShared } from "../../support/postgres.ts";
import { testRuntime } from "../../support/runtime.ts";
import { freshName } from "../../support/freshName.ts";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`PostgreSQL ${version}`, () => {
    connectorContract(`PostgreSQL ${version}`, async () => {
      const server = await startShared(version);
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE TYPE mood AS ENUM ('sad', 'ok');
         CREATE TABLE orders (id int PRIMARY KEY, note text, mood mood DEFAULT 'ok');
         INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 5000) i;
         CREATE INDEX by_note ON orders (note);
         CREATE VIEW notes AS SELECT note FROM orders;
         CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
         SELECT lo_from_bytea(0, 'large');`,
      );
      const options = (database: string) => ({
        url: server.url(database),
        toolsDir: server.binDir,
      });
      return {
        kind: postgres,
        runtime: testRuntime(),
        source: () => Promise.resolve(options(source)),
        empty: () => Promise.resolve(options(freshName())),
        async filled() {
          const name = await server.createDatabase();
          await server.psql(name, "CREATE TABLE precious AS SELECT generate_series(1, 2) AS id");
          return options(name);
        },
        badUrl: "postgres://localhost:99999/db",
      };
    });
  });
}
