import assert from "node:assert/strict";
import { needs } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { assertSame } from "./support/compare-postgres.ts";
import { takeThrough } from "./support/journey.ts";
import { makeRegressionDatabase, regressionDatabase } from "./support/regression.ts";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`)(
    `PostgreSQL ${version}'s regression database comes back as it was`,
    async () => {
      const server = await startPostgres(version, {
        settings: { max_locks_per_transaction: 1024, allow_in_place_tablespaces: "on" },
      });
      assert.ok(await makeRegressionDatabase(server) > 150);
      const tables = await server.psql(
        regressionDatabase,
        "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384",
      );
      assert.ok(Number(tables) > 300, tables);
      await takeThrough({
        name: `postgres${version}`,
        source: server.url(regressionDatabase),
        fresh: server.url("copy"),
        toolsDir: server.binDir,
        compare: (url, title) =>
          assertSame(server, regressionDatabase, new URL(url).pathname.slice(1), title),
      });
    },
  );
}
