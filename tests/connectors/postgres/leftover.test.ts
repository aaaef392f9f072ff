import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, bytesOf } from "../../../src/core/bytes.ts";
import { BackupError } from "../../../src/core/errors.ts";
import type { Inventory } from "../../../src/contracts/inventory.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { run } from "../../support/run.ts";
import type { MemoryBackup } from "../sqlite/memoryBackup.ts";
import { code, contentOf, databasesOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

async function makeShop(server: PostgresServer): Promise<[string, MemoryBackup]> {
  const database = await server.createDatabase();
  await server.psql(
    database,
    `CREATE TABLE orders AS SELECT generate_series(1, 100) AS id;
     COMMENT ON DATABASE "${database}" IS 'the shop''s'`,
  );
  return [database, await dumpOf(optionsOf(server, database))];
}

async function makePrecious(server: PostgresServer): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, "CREATE TABLE precious AS SELECT generate_series(1, 9) AS n");
  return name;
}

/** The inventory of a backup that says one row more than there is. */
function wrongInventory({ result }: MemoryBackup): Inventory {
  return {
    databases: result.inventory.databases.map(({ database, objects }) => ({
      database,
      objects: objects.map((one) => one.count === undefined ? one : { ...one, count: 101 }),
    })),
  };
}

async function failing(restoring: Promise<unknown>): Promise<BackupError> {
  const error = await restoring.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof BackupError, String(error));
  return error;
}

const commentOf = (server: PostgresServer, name: string) =>
  server.psql(
    "postgres",
    `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '${name}'`,
  );

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`what a restore leaves on PostgreSQL ${version}`, () => {
    test("a database that differs stays beside, and is taken as it is when that is accepted", async () => {
      const server = await postgres(version);
      const [source, backup] = await makeShop(server);
      const target = await makePrecious(server);
      const inventory = wrongInventory(backup);
      const options = optionsOf(server, target);
      const error = await failing(restoreTo(options, backup, { isOverwrite: true }, { inventory }));
      assert.equal(error.code, "restore/incomplete");
      const name = `${target}_restore_k3v9x2ma`;
      assert.deepEqual(error.details?.["left"], [{ from: source, to: target, name }]);
      assert.equal(await server.psql(name, "SELECT count(*) FROM orders"), "100");
      assert.equal(await server.psql(target, "SELECT count(*) FROM precious"), "9");

      // Without the flag it is restored again, and what is left is told and stays.
      const again = await failing(restoreTo(options, backup, { isOverwrite: true }, { inventory }));
      const second = `${name}_2`;
      assert.deepEqual(again.details?.["left"], [{ from: source, to: target, name: second }]);

      // Another part, another backup or another target is not this one.
      const other = await makePrecious(server);
      const elsewhere = await restoreTo(optionsOf(server, other), backup, {
        isOverwrite: true,
        isDifferenceAccepted: true,
      }, { inventory });
      assert.equal(elsewhere.plan.steps[0]!.adopts, undefined);
      assert.deepEqual(elsewhere.result.differences.map(({ isFailure }) => isFailure), [true]);

      const { plan, result } = await restoreTo(options, backup, {
        isOverwrite: true,
        isDifferenceAccepted: true,
      }, { inventory, open: unreadable });
      const keptAs = `${target}_before_k3v9x2ma`;
      assert.deepEqual(plan.steps, [
        { from: source, to: target, mode: "swap", keptAs, adopts: second },
      ]);
      assert.match(plan.warnings.join("\n"), new RegExp(`"${name}" is what an earlier restore`));
      assert.deepEqual(result.differences.map(({ problem }) => problem), ["count"]);
      assert.equal(await contentOf(server, target), await contentOf(server, source));
      assert.equal(await server.psql(keptAs, "SELECT count(*) FROM precious"), "9");
      assert.equal(await commentOf(server, target), "the shop's");
      assert.equal(await server.psql(name, "SELECT count(*) FROM orders"), "100");
    });

    test("a new database that differs stays under a name of its own", async () => {
      const server = await postgres(version);
      const [source, backup] = await makeShop(server);
      const target = freshName();
      const inventory = wrongInventory(backup);
      const options = optionsOf(server, target);
      const error = await failing(restoreTo(options, backup, {}, { inventory }));
      const name = `${target}_restore_k3v9x2ma`;
      assert.deepEqual(error.details?.["left"], [{ from: source, to: target, name }]);
      assert.ok(!(await databasesOf(server)).includes(target));
      const { plan } = await restoreTo(options, backup, { isDifferenceAccepted: true }, {
        inventory,
        open: unreadable,
      });
      assert.deepEqual(plan.steps, [{ from: source, to: target, mode: "create", adopts: name }]);
      assert.equal(await contentOf(server, target), await contentOf(server, source));
      assert.equal(await commentOf(server, target), "the shop's");
      assert.ok(!(await databasesOf(server)).includes(name));
    });

    test("a database that was filled and differs is taken where it is", async () => {
      const server = await postgres(version);
      const [source, backup] = await makeShop(server);
      const target = await server.createDatabase();
      await server.psql(target, `COMMENT ON DATABASE "${target}" IS 'mine; before: yours'`);
      const inventory = wrongInventory(backup);
      const options = optionsOf(server, target);
      const error = await failing(restoreTo(options, backup, {}, { inventory }));
      assert.deepEqual(error.details?.["left"], [{ from: source, to: target, name: target }]);
      assert.equal(await server.psql(target, "SELECT count(*) FROM orders"), "100");
      await assert.rejects(restoreTo(options, backup), code("restore/not-empty"));
      const { plan } = await restoreTo(options, backup, { isDifferenceAccepted: true }, {
        inventory,
        open: unreadable,
      });
      assert.deepEqual(plan.steps, [{ from: source, to: target, mode: "fill", adopts: target }]);
      assert.equal(await commentOf(server, target), "mine; before: yours");
    });

    test("what a killed restore left is dropped, and nothing else is", async () => {
      const server = await postgres(version);
      const [, backup] = await makeShop(server);
      const target = await makePrecious(server);
      const name = `${target}_restore_killed`;
      const busy = `${target}_restore_busy`;
      const alike = `${target}_restore_mine`;
      const mark = 'dbbackup: restore of "a" from backup killed (0123456789abcdef) as ' +
        `"${target}", unfinished`;
      for (const one of [name, busy, alike]) {
        await server.createDatabase(one);
        await server.psql(one, "CREATE TABLE half (n int)");
      }
      for (const one of [name, busy]) {
        await server.psql("postgres", `COMMENT ON DATABASE "${one}" IS '${mark}'`);
      }
      const sleeper = sleepIn(server, busy);
      while (await server.psql("postgres", connectedTo(busy)) === "0");
      const { plan } = await restoreTo(optionsOf(server, target), backup, { isOverwrite: true });
      const warnings = plan.warnings.join("\n");
      assert.match(warnings, new RegExp(`"${name}" is what an interrupted restore .* left; it is`));
      assert.match(warnings, new RegExp(`"${busy}" is being restored for .* right now`));
      const names = await databasesOf(server);
      assert.ok(!names.includes(name));
      assert.ok(names.includes(busy) && names.includes(alike));
      await server.psql(
        "postgres",
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '${busy}'`,
      );
      await sleeper;
    });

    test("connections to what is being restored, as a pooler keeps them, are ended", async () => {
      const server = await postgres(version);
      const [source, backup] = await makeShop(server);
      const target = await makePrecious(server);
      const beside = `${target}_restore_k3v9x2ma`;
      let sleeper: Promise<unknown> | undefined;
      async function* open(bytes: Uint8Array): Bytes {
        yield* bytesOf(bytes);
        if (await server.psql("postgres", existing(beside)) === "0") return;
        sleeper ??= sleepIn(server, beside);
        while (await server.psql("postgres", connectedTo(beside)) === "0");
      }
      await restoreTo(optionsOf(server, target), backup, { isOverwrite: true }, { open });
      assert.notEqual(sleeper, undefined);
      await sleeper;
      assert.equal(await contentOf(server, target), await contentOf(server, source));
    });

    test("what was restored while others connected to the old database is kept", async () => {
      const server = await postgres(version);
      const [source, backup] = await makeShop(server);
      const target = await makePrecious(server);
      let sleeper: Promise<unknown> | undefined;
      async function* open(bytes: Uint8Array): Bytes {
        sleeper ??= sleepIn(server, target);
        while (await server.psql("postgres", connectedTo(target)) === "0");
        yield* bytesOf(bytes);
      }
      const options = optionsOf(server, target);
      const isDump = backup.artifacts.filter(({ head }) => head.role === "dump");
      const whole = { ...backup, artifacts: isDump };
      // Only once it is planned: until then nobody is connected.
      let reads = 0;
      const error = await failing(
        restoreTo(options, whole, { isOverwrite: true }, {
          open: (bytes) => reads++ < 2 ? bytesOf(bytes) : open(bytes),
        }),
      );
      assert.equal(error.code, "restore/in-use");
      assert.match(error.hint!, /whole, as ".*_restore_k3v9x2ma".* --accept-differences/);
      await server.psql(
        "postgres",
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '${target}'`,
      );
      await sleeper;
      assert.equal(await server.psql(target, "SELECT count(*) FROM precious"), "9");
      const { plan, result } = await restoreTo(options, whole, {
        isOverwrite: true,
        isDifferenceAccepted: true,
      }, { open: unreadable });
      assert.equal(plan.steps[0]!.adopts, `${target}_restore_k3v9x2ma`);
      assert.deepEqual(result.differences, []);
      assert.equal(await contentOf(server, target), await contentOf(server, source));
    });

    test("others are restored when one of several databases fails", async () => {
      const server = await startPostgres(version);
      const names = ["a", "b", "c"];
      for (const name of names) {
        await server.createDatabase(name);
        await server.psql(name, `CREATE TABLE t AS SELECT '${name}' AS name`);
      }
      const options = optionsOf(server, undefined, { databases: names });
      const backup = await dumpOf(options);
      for (const name of names) await server.psql("postgres", `DROP DATABASE ${name}`);
      const inventory = {
        databases: backup.result.inventory.databases.map((one) =>
          one.database === "b"
            ? { ...one, objects: [...one.objects, { type: "table" as const, name: "no" }] }
            : one
        ),
      };
      const error = await failing(restoreTo(options, backup, {}, { inventory }));
      assert.equal(error.code, "restore/incomplete");
      assert.match(
        error.message,
        /^1 database of 3 could not be restored:\n {2}b: .*"no" is missing/,
      );
      assert.match(error.hint!, /The others .* are restored\. .*--database b/);
      for (const name of ["a", "c"]) {
        assert.equal(await server.psql(name, "SELECT name FROM t"), name);
      }
      assert.equal(await server.psql("b_restore_k3v9x2ma", "SELECT name FROM t"), "b");
      const { result } = await restoreTo(options, backup, { databases: ["b"] });
      assert.deepEqual(result.differences, []);
      assert.equal(await server.psql("b", "SELECT name FROM t"), "b");
      await server.stop();
    });

    test("a database with a subscription is restored disabled, and swapped when the old one is", async () => {
      const server = await startPostgres(version, { settings: { wal_level: "logical" } });
      const publisher = await server.createDatabase("publisher");
      await server.psql(
        publisher,
        "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t;" +
          "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
      );
      const source = await server.createDatabase("subscriber");
      await server.psql(
        source,
        `CREATE TABLE t (id int PRIMARY KEY);
         CREATE SUBSCRIPTION s CONNECTION 'host=${server.socketDir} port=${server.port} user=postgres
           dbname=publisher' PUBLICATION p WITH (create_slot = false)`,
      );
      const options = optionsOf(server, source);
      const backup = await dumpOf(options);
      while (await server.psql("postgres", connectedTo(source)) === "0");
      await assert.rejects(
        restoreTo(options, backup, { isOverwrite: true }),
        code("restore/in-use", /logical replication .* it has a subscription/),
      );
      await server.psql(source, "ALTER SUBSCRIPTION s DISABLE");
      while (await server.psql("postgres", connectedTo(source)) !== "0");
      // One that fails leaves nothing behind.
      await assert.rejects(
        restoreTo(options, backup, { isOverwrite: true, restoreArgs: ["--role=nobody"] }),
        code("restore/failed"),
      );
      assert.ok(!(await databasesOf(server)).some((name) => name.includes("_restore_")));
      const { result } = await restoreTo(options, backup, { isOverwrite: true });
      assert.deepEqual(result.differences, []);
      assert.match(result.warnings.join(), /subscription.* s .*disabled/);
      const isEnabled = "SELECT subenabled FROM pg_subscription s JOIN pg_database d " +
        "ON d.oid = subdbid WHERE datname = current_database()";
      assert.equal(await server.psql(source, isEnabled), "f");
      await server.stop();
    });

    test("a database whose sessions may only read is restored", async () => {
      const server = await postgres(version);
      const [source] = await makeShop(server);
      await server.psql(
        "postgres",
        `ALTER DATABASE "${source}" SET default_transaction_read_only = on;
         ALTER DATABASE "${source}" SET app.tenant = 'x';
         ALTER DATABASE "${source}" CONNECTION LIMIT 5`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const settings = (name: string) =>
        server.psql(
          "postgres",
          `SELECT setconfig, datconnlimit FROM pg_database d
             JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = '${name}'`,
        );
      for (const target of [freshName(), await makePrecious(server)]) {
        const { result } = await restoreTo(optionsOf(server, target), backup, {
          isOverwrite: true,
        });
        assert.deepEqual(result.differences, []);
        assert.deepEqual(
          (await settings(target)).split(/[{},|]/).sort(),
          (await settings(source)).split(/[{},|]/).sort(),
        );
        assert.equal(await commentOf(server, target), "the shop's");
      }
    });

    test("a database that an interrupted DROP DATABASE left invalid is named", async () => {
      const server = await postgres(version);
      const [, backup] = await makeShop(server);
      const target = await makePrecious(server);
      await server.psql(
        "postgres",
        `UPDATE pg_database SET datconnlimit = -2 WHERE datname = '${target}'`,
      );
      for (const isOverwrite of [false, true]) {
        await assert.rejects(
          restoreTo(optionsOf(server, target), backup, { isOverwrite }),
          code("restore/not-empty", /is invalid: somebody's DROP DATABASE/),
        );
      }
      await server.psql("postgres", `DROP DATABASE "${target}"`);
    });
  });
}

const existing = (name: string) => `SELECT count(*) FROM pg_database WHERE datname = '${name}'`;

const connectedTo = (name: string) =>
  `SELECT count(*) FROM pg_stat_activity WHERE datname = '${name}'`;

function sleepIn(server: PostgresServer, database: string) {
  return run(`${server.binDir}/psql`, ["-X", "-c", "SELECT pg_sleep(60)"], {
    env: {
      PGHOST: server.socketDir,
      PGPORT: String(server.port),
      PGUSER: "postgres",
      PGDATABASE: database,
    },
  });
}

/** Gives the table of contents, for the plan; after that nothing may be read. */
function unreadable(bytes: Uint8Array): Bytes {
  return bytesOf(bytes.subarray(0, Math.max(bytes.length - 200, 1)));
}
