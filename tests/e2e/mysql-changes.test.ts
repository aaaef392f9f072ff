import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFileSync, cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alice } from "../codecs/keys.ts";
import { logPosition, purgeLogs, resetLogs } from "../connectors/mysql/logs.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startMysql } from "../support/mysql.ts";
import type { MysqlServer } from "../support/mysqlServer.ts";
import { needs } from "../support/needs.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/workspace.ts";
import { fails, type Place, place, succeeds } from "./support/cli.ts";

const idIn = (stdout: string) => / as (\w{8}),/.exec(stdout)![1]!;

/** A job of one database, or of the whole server, with increments. */
function chained(
  server: MysqlServer,
  { name, database, job = "" }: {
    readonly name: string;
    readonly database?: string;
    readonly job?: string;
  },
): Place {
  const at = place(`${server.flavour}-${name}`, {
    SHOP_URL: server.url(database),
    PATH: `${server.binDir}:${process.env["PATH"]}`,
  });
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: ${server.flavour}, url: "\${SHOP_URL}" } }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], strategy: incremental${job} } }
`,
    { mode: 0o600 },
  );
  return at;
}

const fill = "CREATE TABLE orders (id INT PRIMARY KEY, v TEXT); INSERT INTO orders VALUES (1, 'a')";
const rowsOf = (server: MysqlServer, database: string) =>
  server.sql(database, "SELECT id, v FROM orders ORDER BY id");

for (const start of [startMariadb, startMysql]) {
  const name = start === startMariadb ? "mariadb" : "mysql";
  needs(name).describe(`increments of ${name} in the compiled binary`, () => {
    test("are taken, listed, verified, and restored to a moment, a position, and the end", async () => {
      const server = await start();
      const database = await server.createDatabase();
      await server.sql(database, fill);
      const at = chained(server, { name: "changes", database });
      const first = await succeeds(at, ["backup", "shop"]);
      assert.match(first.stdout, /full: there is no full backup to build on yet/);
      await server.sql(database, "INSERT INTO orders VALUES (2, 'b'); FLUSH BINARY LOGS");
      await succeeds(at, ["backup", "shop"]);
      await server.sql(database, "INSERT INTO orders VALUES (3, 'c')");
      const place = await logPosition(server);
      const then = await rowsOf(server, database);
      await sleep(1_100);
      const moment = new Date(Math.floor(Date.now() / 1000) * 1000).toISOString();
      await sleep(1_100);
      await server.sql(database, "DELETE FROM orders; CREATE TABLE late (n INT)");
      const last = await succeeds(at, ["backup", "shop"]);
      assert.match(last.stdout, /incremental: the changes since the last backup, \w{8}/);
      assert.match((await succeeds(at, ["list"])).stdout, /any moment from \S+ \S+Z to /);
      await succeeds(at, ["verify", "--deep"]);

      const restored = async (...more: string[]) => {
        const copy = `${database}_copy`;
        await server.sql("", `DROP DATABASE IF EXISTS ${copy}`);
        const there = { ...at, env: { ...at.env, COPY_URL: server.url(copy) } };
        await succeeds(there, ["restore", "shop", "--to", "env:COPY_URL", "--yes", ...more]);
        return copy;
      };
      assert.equal(await rowsOf(server, await restored("--at", moment)), then);
      assert.equal(await rowsOf(server, await restored("--at-position", place)), then);
      const end = await restored();
      assert.equal(await rowsOf(server, end), "");
      assert.equal(await server.sql(end, "SHOW TABLES"), "late\norders");

      const [file, offset] = place.split(":");
      const inside = `${file}:${Number(offset) - 5}`;
      const { stderr } = await fails(
        { ...at, env: { ...at.env, COPY_URL: server.url("never") } },
        ["restore", "shop", "--to", "env:COPY_URL", "--yes", "--at-position", inside],
        "usage/no-such-position",
        2,
      );
      assert.match(stderr, /is in the middle of a transaction/);
      assert.ok(stderr.includes(`and ${place} behind it`), stderr);
      assert.doesNotMatch(await server.sql("", "SHOW DATABASES"), /never/);

      // Into its own place: what is there is lost, and the plan says so.
      await succeeds(at, ["restore", "shop", "--at", moment, "--overwrite", "--yes"]);
      assert.equal(await rowsOf(server, database), then);
      await server.sql(database, "INSERT INTO orders VALUES (9, 'later')");
      const after = await succeeds(at, ["backup", "shop"]);
      assert.match(after.stdout, /incremental/, "a restore is a change like others");
      assert.equal(
        await rowsOf(server, await restored()),
        await rowsOf(server, database),
      );
    });

    test("of a whole server have databases that were made and dropped since", async () => {
      const server = await start();
      const database = await server.createDatabase("shop");
      await server.sql(database, fill);
      const at = chained(server, { name: "whole" });
      await succeeds(at, ["backup", "shop"]);
      await server.sql("", "CREATE DATABASE fresh; CREATE DATABASE brief");
      await server.sql("fresh", `${fill}; INSERT INTO shop.orders VALUES (2, 'across')`);
      await server.sql("brief", fill);
      await succeeds(at, ["backup", "shop"]);
      await server.sql("", "DROP DATABASE brief; CREATE USER someone");
      await succeeds(at, ["backup", "shop"]);
      const other = await start();
      await other.createDatabase("fresh");
      const there = { ...at, env: { ...at.env, COPY_URL: other.url() } };
      const { stdout } = await succeeds(there, [
        ...["restore", "shop", "--to", "env:COPY_URL", "--yes"],
      ]);
      assert.match(stdout, /Database "brief" was not there at that moment/);
      assert.doesNotMatch(stdout, /^restored.*brief/m);
      assert.match(stdout, /1 statement about users and grants in the log was not replayed/);
      for (const database of ["shop", "fresh"]) {
        assert.equal(await rowsOf(other, database), await rowsOf(server, database));
      }
      assert.doesNotMatch(await other.sql("", "SHOW DATABASES"), /brief/);
    });

    test("begin a new chain where the log is gone or anew, and say why", async () => {
      const server = await start();
      const database = await server.createDatabase();
      await server.sql(database, fill);
      const at = chained(server, { name: "anew", database });
      const take = async (change: () => Promise<unknown>) => {
        await change();
        await server.sql(database, "UPDATE orders SET v = CONCAT(v, '!')");
        return (await succeeds(at, ["backup", "shop"])).stdout;
      };
      await take(() => Promise.resolve());
      assert.match(
        await take(() => purgeLogs(server)),
        /full instead of incremental: binlog\.\d+ was purged: the log begins at binlog\.\d+/,
      );
      assert.match(await take(() => Promise.resolve()), /incremental: the changes since/);
      assert.match(
        await take(() => resetLogs(server)),
        /full instead of incremental: .*begun anew/,
      );
      assert.match(
        await take(() =>
          server.sql(database, "SET SESSION binlog_format = STATEMENT; DELETE FROM orders LIMIT 0")
        ),
        /incremental/,
      );
      assert.match(
        await take(() =>
          server.sql(
            database,
            "SET SESSION binlog_format = STATEMENT; INSERT INTO orders VALUES (CONNECTION_ID(), '')",
          )
        ),
        /full instead of incremental: binlog\.\d+:\d+ has a change as a statement/,
      );
      const copy = `${database}_copy`;
      const there = { ...at, env: { ...at.env, COPY_URL: server.url(copy) } };
      await succeeds(there, ["restore", "shop", "--to", "env:COPY_URL", "--yes"]);
      assert.equal(await rowsOf(server, copy), await rowsOf(server, database));
    });

    test("come back by hand as RESTORE.txt says, encrypted and in several volumes", async () => {
      const server = await start();
      const database = await server.createDatabase();
      await server.sql(database, fill);
      await server.createDatabase("other");
      const at = chained(server, {
        name: "by-hand",
        database,
        job: `, volumeSize: 40KiB, encryption: { recipients: [${alice.recipient}] }`,
      });
      await succeeds(at, ["backup", "shop"]);
      let last = "";
      for (let part = 0; part < 3; part++) {
        await server.sql(
          database,
          `INSERT INTO orders (id, v) VALUES (${part + 10}, '${
            randomBytes(30_000).toString("hex")
          }');
           FLUSH BINARY LOGS; ALTER TABLE orders ADD COLUMN c${part} INT;
           USE other; CREATE TABLE t${part} (n INT); INSERT INTO t${part} VALUES (1)`,
        );
        last = idIn((await succeeds(at, ["backup", "shop"])).stdout);
      }
      const expected = await rowsOf(server, database);
      const copy = join(tempDir("by-hand"), "shop");
      cpSync(join(at.folder, "backups", "shop"), copy, { recursive: true });
      const folder = join(copy, readdirSync(copy).find((name) => name.includes(`_incr_${last}_`))!);
      const home = tempDir("home");
      const target = await start();
      copyFileSync(target.defaultsFile, join(home, ".my.cnf"));
      const identity = join(home, "key.txt");
      writeFileSync(identity, `${alice.identity}\n`);
      const env = { ...at.env, HOME: home, AGE_IDENTITY: identity };
      const { code, stdout, stderr } = await run("sh", ["RESTORE.txt"], { cwd: folder, env });
      assert.equal(code, 0, `${stdout}\n${stderr}`);
      assert.equal(await rowsOf(target, database), expected);
      assert.match(await target.sql(database, "SHOW CREATE TABLE orders"), /c2/);
      assert.doesNotMatch(await target.sql("", "SHOW DATABASES"), /other/);
    });

    test("leave a differential restorable when all between it and its full one are gone", async () => {
      const server = await start();
      const database = await server.createDatabase();
      await server.sql(database, fill);
      const at = chained(server, { name: "differential", database });
      const kept = [idIn((await succeeds(at, ["backup", "shop"])).stdout)];
      for (const [id, kind] of [[2, "incremental"], [3, "incremental"], [4, "differential"]]) {
        await server.sql(database, `INSERT INTO orders VALUES (${id}, '${kind}')`);
        // Forced: the strategy itself takes increments.
        const more = kind === "differential" ? ["--kind", "differential"] : [];
        const { stdout } = await succeeds(at, ["backup", "shop", ...more]);
        if (kind === "differential") kept.push(idIn(stdout));
      }
      const job = join(at.folder, "backups", "shop");
      for (const folder of readdirSync(job)) {
        if (folder.includes("_incr_")) rmSync(join(job, folder), { recursive: true });
      }
      const copy = `${database}_copy`;
      const there = { ...at, env: { ...at.env, COPY_URL: server.url(copy) } };
      await succeeds(there, ["restore", kept.at(-1)!, "--to", "env:COPY_URL", "--yes"]);
      assert.equal(await rowsOf(server, copy), await rowsOf(server, database));
    });
  });
}
