import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Bytes, bytesOf } from "../../../src/core/bytes.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { output, run } from "../../support/run.ts";
import { testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import type { MemoryBackup } from "../sqlite/memoryBackup.ts";
import { code, contentOf, databasesOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";
import { sample } from "./sample.ts";

const shop = `
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, note text);
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE SCHEMA other;
CREATE TABLE other.bills (id int PRIMARY KEY, state state, total numeric);
CREATE INDEX bills_total ON other.bills (total);
CREATE TABLE orders_log (at text);
INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO orders (customer, note) SELECT i % 2 + 1, 'n' || i FROM generate_series(1, 3000) i;
INSERT INTO other.bills VALUES (1, 'open', 1.5), (2, 'paid', 2);
`;

async function makeShop(server: PostgresServer): Promise<[string, MemoryBackup]> {
  const database = await server.createDatabase();
  await server.psql(database, shop);
  return [database, await dumpOf(optionsOf(server, database))];
}

async function makePrecious(server: PostgresServer): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, "CREATE TABLE precious AS SELECT generate_series(1, 9) AS n");
  return name;
}

async function* broken(bytes: Uint8Array): Bytes {
  yield bytes.slice(0, bytes.length - 3000);
  throw new Error("the network is gone");
}

needs("postgres15").describe("restoring PostgreSQL", () => {
  test("fills an empty database and leaves it empty when that fails", async () => {
    const server = await postgres(15);
    const [source, backup] = await makeShop(server);
    const target = await server.createDatabase();
    const options = optionsOf(server, target);
    await assert.rejects(restoreTo(options, backup, {}, { open: broken }), /network is gone/);
    assert.equal(await server.psql(target, "SELECT count(*) FROM pg_class WHERE oid > 16383"), "0");
    const { plan } = await restoreTo(options, backup);
    assert.equal(plan.steps[0]!.mode, "fill");
    assert.equal(await contentOf(server, target), await contentOf(server, source));
  });

  test("leaves an existing database empty when parallel workers fail, too", async () => {
    const server = await postgres(15);
    const source = await server.createDatabase();
    await server.psql(source, sample);
    // With each, the server makes a cast that cannot be dropped by itself.
    const ranges = Array.from(
      { length: 20 },
      (_, n) => `CREATE TYPE r${n} AS RANGE (subtype = int)`,
    );
    await server.psql(source, ranges.join(";"));
    const backup = await dumpOf(optionsOf(server, source));
    const target = await server.createDatabase();
    const before = await server.psql(target, "TABLE pg_namespace; TABLE pg_extension");
    const toolsDir = tempDir("tools");
    const script = join(toolsDir, "pg_restore");
    const real = join(server.binDir, "pg_restore");
    const fails = `case $1 in --version) ;; *) exit 1 ;; esac`;
    writeFileSync(script, `#!/bin/sh\n'${real}' "$@"\n${fails}\n`, { mode: 0o755 });
    const options = optionsOf(server, target, { toolsDir });
    await assert.rejects(restoreTo(options, backup, { jobs: 2 }), code("restore/failed"));
    assert.equal(await server.psql(target, "SELECT count(*) FROM pg_class WHERE oid > 16383"), "0");
    assert.equal(await server.psql(target, "TABLE pg_largeobject"), "");
    assert.equal(await server.psql(target, "TABLE pg_namespace; TABLE pg_extension"), before);
  });

  test("leaves an existing database empty when an index cannot be made in any way", async () => {
    const server = await postgres(15);
    const source = await server.createDatabase();
    // No search_path that the archive knows of finds "inner_name".
    await server.psql(
      source,
      `CREATE SCHEMA aside;
       CREATE FUNCTION aside.inner_name(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
       SET search_path = public, aside;
       CREATE FUNCTION outer_name(text) RETURNS text IMMUTABLE LANGUAGE sql
         AS 'SELECT inner_name($1)';
       CREATE TABLE t (v text);
       INSERT INTO t VALUES ('a');
       CREATE INDEX t_index ON t (outer_name(v))`,
    );
    const backup = await dumpOf(optionsOf(server, source));
    for (const jobs of [1, 2]) {
      const target = await server.createDatabase();
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup, { jobs }),
        (error) => hasCode(error, "restore/failed") && /t_index/.test(error.message),
      );
      const left = "SELECT count(*) FROM pg_class WHERE oid > 16383";
      assert.equal(await server.psql(target, left), "0", `${jobs} jobs`);
    }
  });

  test("takes away a new database when that fails", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = freshName();
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, {}, { open: broken }),
      /network is gone/,
    );
    assert.ok(!(await databasesOf(server)).includes(target));
  });

  test("refuses a database with something in it, whatever that is", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const things = [
      "CREATE TABLE t ()",
      "CREATE VIEW v AS SELECT 1 AS one",
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE TYPE e AS ENUM ()",
      "CREATE SCHEMA s",
      "SELECT lo_create(0)",
    ];
    for (const thing of things) {
      const target = await server.createDatabase();
      await server.psql(target, thing);
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup),
        code("restore/not-empty"),
        thing,
      );
    }
  });

  test("swaps in what it restored beside, and keeps the old one", async () => {
    const server = await postgres(15);
    const [source, backup] = await makeShop(server);
    const target = await makePrecious(server);
    const before = await contentOf(server, target);
    const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
      isOverwrite: true,
    });
    const keptAs = `${target}_before_k3v9x2ma`;
    assert.deepEqual(plan.steps, [{ from: source, to: target, mode: "swap", keptAs }]);
    assert.equal(await contentOf(server, target), await contentOf(server, source));
    assert.equal(await contentOf(server, keptAs), before);
    assert.ok(!(await databasesOf(server)).includes(`${target}_restore_k3v9x2ma`));
    // The follow-up is a command that works as it is written.
    const [dropIt] = result.followUps;
    await output("sh", ["-c", dropIt!], {
      env: {
        PATH: `${server.binDir}:/usr/bin:/bin`,
        PGPASSWORD: server.password,
      },
    });
    assert.ok(!(await databasesOf(server)).includes(keptAs));
  });

  test("swaps databases whose names are as long as names get", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = `${freshName()}_${"ü".repeat(30)}`.slice(0, 40);
    await server.createDatabase(target);
    for (let round = 1; round <= 2; round++) {
      await server.psql(target, `CREATE TABLE round_${round} ()`);
      const { plan } = await restoreTo(optionsOf(server, target), backup, { isOverwrite: true });
      const { keptAs } = plan.steps[0]!;
      assert.ok(new TextEncoder().encode(keptAs).length <= 63);
      assert.match(keptAs!, /_before_k3v9x2ma(_2)?$/);
      assert.ok((await databasesOf(server)).includes(keptAs!));
    }
  });

  test("leaves the old one alone when the new one breaks halfway", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = await makePrecious(server);
    const before = await contentOf(server, target);
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, { isOverwrite: true }, { open: broken }),
      /network is gone/,
    );
    assert.equal(await contentOf(server, target), before);
    const leftOver = (await databasesOf(server)).filter((name) =>
      name.startsWith(target) && name !== target
    );
    assert.deepEqual(leftOver, []);
  });

  test("leaves the old one alone when the new one is not what was backed up", async () => {
    const server = await postgres(15);
    const [source, backup] = await makeShop(server);
    const target = await makePrecious(server);
    const before = await contentOf(server, target);
    const objects = backup.result.inventory.databases[0]!.objects.map((object) =>
      object.name === "orders" ? { ...object, count: 2999 } : object
    );
    const inventory = { databases: [{ database: source, objects }] };
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, { isOverwrite: true }, { inventory }),
      code("restore/incomplete", /table "public\.orders" holds \d+ instead of \d+/),
    );
    assert.equal(await contentOf(server, target), before);
  });

  test("refuses to swap a database that is in use, and names who uses it", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = await makePrecious(server);
    const sleeper = run(`${server.binDir}/psql`, ["-X", "-c", "SELECT pg_sleep(60)"], {
      env: {
        PGHOST: server.socketDir,
        PGPORT: String(server.port),
        PGUSER: "postgres",
        PGDATABASE: target,
        PGAPPNAME: "the shop",
      },
    });
    const isThere = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'the shop'";
    while (await server.psql("postgres", isThere) === "0");
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, { isOverwrite: true }),
      code("restore/in-use", /the shop of postgres is connected/),
    );
    await server.psql(
      "postgres",
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${target}'`,
    );
    await sleeper;
    assert.equal(await server.psql(target, "SELECT count(*) FROM precious"), "9");
  });

  test("restores single tables with all that belongs to them", async () => {
    const server = await postgres(15);
    const [source, backup] = await makeShop(server);
    const target = freshName();
    const { result } = await restoreTo(optionsOf(server, target), backup, {
      only: ["other.bills", "orders"],
    });
    assert.deepEqual(result.differences, []);
    const rows = (name: string) =>
      server.psql(name, "SELECT * FROM orders ORDER BY id; SELECT * FROM other.bills ORDER BY id");
    assert.equal(await rows(target), await rows(source));
    const names = await server.psql(
      target,
      `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', 'other')`,
    );
    assert.equal(
      names,
      "bills bills_pkey bills_total orders orders_id_seq orders_pkey",
    );
    assert.equal(await server.psql(target, "SELECT nextval('orders_id_seq')"), "3001");
    // Into the same database again: the types and the schema are there now.
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, { only: ["orders"] }),
      code("restore/not-empty", /public\.orders already/),
    );
    await server.psql(target, "DROP TABLE other.bills; DELETE FROM orders");
    const filled = await restoreTo(optionsOf(server, target), backup, { only: ["bills"] });
    assert.equal(filled.plan.steps[0]!.mode, "fill");
    const replaced = await restoreTo(optionsOf(server, target), backup, {
      only: ["orders"],
      isOverwrite: true,
    });
    assert.equal(replaced.plan.steps[0]!.mode, "replace");
    assert.match(replaced.plan.steps[0]!.loses!, /public\.orders/);
    assert.equal(await rows(target), await rows(source));
  });

  test("replaces a table in one transaction, so that a failure changes nothing", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = await server.createDatabase();
    await server.psql(target, "CREATE TABLE orders AS SELECT 'mine' AS note");
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, { only: ["orders"], isOverwrite: true }, {
        open: broken,
      }),
      /network is gone/,
    );
    assert.equal(await server.psql(target, "SELECT note FROM orders"), "mine");
  });

  test("says which table is not in the backup", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    await assert.rejects(
      restoreTo(optionsOf(server, freshName()), backup, { only: ["orders", "nope"] }),
      code("restore/no-such-object", /no table "nope"/),
    );
  });

  test("checks the space for a parallel restore first", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = freshName();
    const runtime = testRuntime({ tempDir: "/proc" });
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, { jobs: 2 }, {}, runtime),
      code("storage/no-temp-space"),
    );
    assert.ok(!(await databasesOf(server)).includes(target));
  });

  test("sees an archive that is cut off before it makes anything", async () => {
    const server = await postgres(15);
    const [, backup] = await makeShop(server);
    const target = freshName();
    await assert.rejects(
      restoreTo(optionsOf(server, target), backup, {}, {
        open: (bytes) => bytesOf(bytes.subarray(0, 300)),
      }),
      code("verification/truncated"),
    );
    assert.ok(!(await databasesOf(server)).includes(target));
  });
});
