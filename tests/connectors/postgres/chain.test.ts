import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { output } from "../../support/run.ts";
import { testRuntime } from "../../support/runtime.ts";
import { shared } from "../../support/shared.ts";
import { tempDir } from "../../support/workspace.ts";
import { restoreInto } from "../sqlite/memoryBackup.ts";
import { optionsOf, withConnector } from "./opened.ts";
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
        const { tempDir } = testRuntime();
        const before = readdirSync(tempDir);
        for (let length = 1; length <= 3; length++) {
          const target = freshName();
          const { result } = await restoreChain(optionsOf(server, target), chain.slice(0, length));
          assert.deepEqual(result.differences, []);
          assert.equal(await server.psql(target, query), states[length - 1]);
        }
        assert.deepEqual(readdirSync(tempDir), before);
        assert.equal(await continuationOf(options, chain.at(-1)!), undefined);
      });

      test("is restored by way of a temporary folder of any name", async () => {
        const server = await own(version);
        const name = await server.createDatabase();
        const options = optionsOf(server, name);
        await server.psql(name, "CREATE TABLE lines AS SELECT 1 AS id");
        const chain = [await takeLink(options)];
        await server.psql(name, "INSERT INTO lines VALUES (2)");
        chain.push(await takeLink(options, chain[0]));
        const folder = path.join(tempDir(), `it's 100%f "x" $HOME`);
        mkdirSync(folder, { mode: 0o755 });
        const target = freshName();
        await withConnector(
          optionsOf(server, target),
          (connector) => restoreInto(connector, chain),
          testRuntime({ tempDir: folder }),
        );
        assert.equal(await server.psql(target, query), "2|2|3");
      });

      test("is restored out of a server whose superuser has another name", async () => {
        const server = await startPostgres(version);
        const name = await server.createDatabase();
        await server.psql(name, "CREATE TABLE lines AS SELECT generate_series(1, 10) AS id");
        await server.psql(name, "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss'");
        const asBoss = (statement: string) =>
          output(path.join(server.binDir, "psql"), [
            ...["-h", server.socketDir, "-p", String(server.port), "-U", "boss", "-d", "template1"],
            ...["-XAtq", "-c", statement],
          ]);
        await asBoss("ALTER ROLE postgres RENAME TO chief");
        const urlOf = (database: string) =>
          server.url(database, { user: "boss", password: "boss" });
        const options = { url: urlOf(name), toolsDir: server.binDir };
        const chain = [await takeLink(options)];
        const target = freshName();
        const { result } = await restoreChain({ ...options, url: urlOf(target) }, chain);
        assert.deepEqual(result.differences, []);
        await asBoss("ALTER ROLE chief RENAME TO postgres");
        assert.match(await server.psql(target, query), /^10\|10\|55$/);
        await server.stop();
      });

      test("is taken by a user who may not end segments, and restored by another", async () => {
        const server = await startPostgres(version);
        const name = await server.createDatabase();
        await server.psql(
          name,
          `CREATE TABLE lines AS SELECT generate_series(1, 10) AS id;
         CREATE ROLE copier LOGIN REPLICATION PASSWORD 'copier';
         GRANT EXECUTE ON FUNCTION pg_control_system() TO copier`,
        );
        const url = server.url(name, { user: "copier", password: "copier" });
        const options = { url, toolsDir: server.binDir };
        const chain = [await takeLink(options)];
        for (const id of [11, 12, 13]) {
          await server.psql(name, `INSERT INTO lines VALUES (${id})`);
          chain.push(await takeLink(options, chain.at(-1)));
        }
        const target = freshName();
        await restoreChain(optionsOf(server, target), chain);
        assert.equal(await server.psql(target, query), "13|13|91");
        await server.stop();
      });
    },
  );
}
