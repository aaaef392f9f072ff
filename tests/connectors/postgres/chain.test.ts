import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { shared } from "../../support/shared.ts";
import { optionsOf } from "./opened.ts";
import { continuationOf, restoreChain, takeLink } from "./links.ts";

const own = (version: 15 | 18) =>
  shared(`postgres${version} for chains`, () => startPostgres(version));
const query = "SELECT count(*), max(id), sum(id) FROM lines";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(
    `a chain of physical backups of PostgreSQL ${version}`,
    () => {
      test("is restored into a database, to its end and to each backup's", async () => {
        const server = await own(version);
        const name = await server.createDatabase();
        await server.psql(name, "CREATE TABLE lines AS SELECT generate_series(1, 1000) AS id");
        const options = optionsOf(server, name);
        const states: string[] = [];
        const chain = [await takeLink(options)];
        states.push(await server.psql(name, query));
        for (let count = 0; count < 2; count++) {
          await server.psql(
            name,
            `INSERT INTO lines SELECT generate_series(1, 10); DELETE FROM lines WHERE id = ${
              count + 20
            }`,
          );
          states.push(await server.psql(name, query));
          chain.push(await takeLink(options, chain.at(-1)));
        }
        const before = readdirSync("/tmp").length;
        for (let length = 1; length <= 3; length++) {
          const target = freshName();
          const { result } = await restoreChain(optionsOf(server, target), chain.slice(0, length));
          assert.deepEqual(result.differences, []);
          assert.equal(await server.psql(target, query), states[length - 1]);
        }
        assert.ok(readdirSync("/tmp").length <= before + 1);
        assert.equal(await continuationOf(options, chain.at(-1)!), undefined);
      });
    },
  );
}
