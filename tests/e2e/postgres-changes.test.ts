import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alice } from "../codecs/keys.ts";
import { needs } from "../support/needs.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { fails, type Place, place, succeeds } from "./support/cli.ts";

const idIn = (stdout: string) => / as (\w{8}),/.exec(stdout)![1]!;

/** A job with increments, encrypted, in small volumes, to two destinations. */
function chained(server: PostgresServer, name: string, database: string): Place {
  const at = place(`postgres${server.version}-${name}`, {
    SHOP_URL: server.url(database),
    PATH: `${server.binDir}:${process.env["PATH"]}`,
  });
  const identity = join(at.folder, "key.txt");
  writeFileSync(identity, `${alice.identity}\n`, { mode: 0o600 });
  mkdirSync(join(at.folder, "a"));
  mkdirSync(join(at.folder, "b"));
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: postgres, url: "\${SHOP_URL}" } }
destinations: { a: { type: local, path: ./a }, b: { type: local, path: ./b } }
jobs:
  shop:
    database: shop
    destinations: [a, b]
    strategy: incremental
    compression: zstd
    volumeSize: 1MiB
    encryption: { recipients: [${alice.recipient}] }
`,
    { mode: 0o600 },
  );
  return { ...at, env: { ...at.env, DBBACKUP_IDENTITY: identity } };
}

const rowsOf = (server: PostgresServer, database: string) =>
  server.psql(database, "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o");

/** Restores into a database of its own, and gives its name. */
async function restored(at: Place, server: PostgresServer, ...more: string[]): Promise<string> {
  await server.psql("postgres", 'DROP DATABASE IF EXISTS "copy"');
  const there = { ...at, env: { ...at.env, COPY_URL: server.url("copy") } };
  await succeeds(there, ["restore", "shop", "--to", "env:COPY_URL", "--yes", ...more]);
  return "copy";
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(
    `increments of PostgreSQL ${version} in the compiled binary`,
    () => {
      test("are taken, verified, and restored to a moment, a position, and the end", async () => {
        const server = await startPostgres(version);
        const database = await server.createDatabase();
        await server.psql(
          database,
          "CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, 'a')",
        );
        const at = chained(server, "changes", database);
        const first = await succeeds(at, ["backup", "shop"]);
        assert.match(first.stdout, /full: there is no full backup to build on yet/);
        await server.psql(database, "INSERT INTO orders VALUES (2, 'b')");
        await succeeds(at, ["backup", "shop"]);
        await server.psql(database, "INSERT INTO orders VALUES (3, 'c')");
        const then = await rowsOf(server, database);
        const position = `${await server.psql(database, "SELECT pg_current_wal_insert_lsn()")}@1`;
        await sleep(50);
        const moment = new Date().toISOString();
        await sleep(50);
        await server.psql(database, "DELETE FROM orders; CREATE TABLE late (n int)");
        const last = await succeeds(at, ["backup", "shop"]);
        assert.match(last.stdout, /incremental: the changes since the last backup, \w{8}/);
        assert.match((await succeeds(at, ["list"])).stdout, /any moment from \S+ \S+Z to /);
        const shown = await succeeds(at, ["show", idIn(last.stdout)]);
        assert.match(shown.stdout, /^kind +incremental$/m);
        assert.doesNotMatch(shown.stdout, /^databases *$/m, "a log is of the whole server");
        await succeeds(at, ["verify", "--deep"]);

        assert.equal(await rowsOf(server, await restored(at, server, "--at", moment)), then);
        const there = await restored(at, server, "--at-position", position);
        assert.equal(await rowsOf(server, there), then);
        const end = await restored(at, server);
        assert.equal(await rowsOf(server, end), await rowsOf(server, database));
        assert.equal(await server.psql(end, "SELECT count(*) FROM late"), "0");

        // Into its own place, beside and swapped; then on in the same chain.
        await succeeds(at, ["restore", "shop", "--at", moment, "--overwrite", "--yes"]);
        assert.equal(await rowsOf(server, database), then);
        const after = await succeeds(at, ["backup", "shop"]);
        assert.match(after.stdout, /incremental/, "a restore is a change like others");
        assert.equal(await rowsOf(server, await restored(at, server)), then);
        const early = await fails(
          at,
          ["restore", "shop", "--at", "2020-01-01T00:00:00Z", "--overwrite", "--yes"],
          "usage/too-early",
          2,
        );
        assert.match(early.stderr, /The oldest is \w{8}, of /);
        await server.stop();
      });

      test("go on where a destination missed some, and begin anew where the slot is gone", async () => {
        const server = await startPostgres(version);
        const database = await server.createDatabase();
        await server.psql(database, "CREATE TABLE orders (id int PRIMARY KEY, v text)");
        const at = chained(server, "broken", database);
        const add = (id: number) =>
          server.psql(
            database,
            `INSERT INTO orders VALUES (${id}, '${randomBytes(40_000).toString("hex")}')`,
          );
        await succeeds(at, ["backup", "shop"]);
        const [b, away] = [join(at.folder, "b"), join(at.folder, "away")];
        renameSync(b, away);
        writeFileSync(b, "no folder");
        await add(1);
        await fails(at, ["backup", "shop"], "partial/destinations", 9);
        rmSync(b);
        renameSync(away, b);
        await add(2);
        const healed = await succeeds(at, ["backup", "shop"]);
        assert.match(healed.stdout, /incremental: the changes since the last backup/);
        assert.deepEqual(readdirSync(join(b, "shop")), readdirSync(join(at.folder, "a", "shop")));

        // Alone, that destination restores all of it.
        cpSync(b, join(at.folder, "alone"), { recursive: true });
        await server.psql("postgres", 'DROP DATABASE IF EXISTS "alone"');
        const there = { ...at, env: { ...at.env, COPY_URL: server.url("alone") } };
        await succeeds(there, ["restore", "--from", "./alone", "--to", "env:COPY_URL", "--yes"]);
        assert.equal(await rowsOf(server, "alone"), await rowsOf(server, database));

        assert.match((await succeeds(at, ["reset", "shop"])).stdout, /dbbackup_shop/);
        assert.equal(await server.psql(database, "SELECT count(*) FROM pg_replication_slots"), "0");
        await add(3);
        const anew = await succeeds(at, ["backup", "shop"]);
        assert.match(anew.stdout, /full instead of incremental: .*slot "dbbackup_shop" is gone/);
        await add(4);
        const next = await succeeds(at, ["backup", "shop"]);
        assert.match(
          next.stdout,
          new RegExp(`incremental: the changes since the last backup, ${idIn(anew.stdout)}`),
        );
        assert.equal(
          await rowsOf(server, await restored(at, server)),
          await rowsOf(server, database),
        );
        await server.stop();
      });
    },
  );
}
