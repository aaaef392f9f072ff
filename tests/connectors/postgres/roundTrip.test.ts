import assert from "node:assert/strict";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import {
  code,
  contentOf,
  databasesOf,
  dumpOf,
  optionsOf,
  restoreTo,
  withConnector,
} from "./opened.ts";
import { sample } from "./sample.ts";

async function makeSample(server: PostgresServer): Promise<string> {
  const database = await server.createDatabase();
  await server.psql(database, sample);
  return database;
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`PostgreSQL ${version}`, () => {
    test("comes back with every object and every row", async () => {
      const server = await postgres(version);
      const source = await makeSample(server);
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      const { plan, result } = await restoreTo(optionsOf(server, target), backup);
      assert.deepEqual(plan.steps, [{ from: source, to: target, mode: "create" }]);
      assert.deepEqual(result.differences, []);
      assert.equal(await contentOf(server, target), await contentOf(server, source));
    });

    test("comes back through several workers", async () => {
      const server = await postgres(version);
      const source = await makeSample(server);
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      await restoreTo(optionsOf(server, target), backup, { jobs: 3 });
      assert.equal(await contentOf(server, target), await contentOf(server, source));
    });

    test("describes an archive and a live database alike", async () => {
      const server = await postgres(version);
      const source = await makeSample(server);
      const { result } = await dumpOf(optionsOf(server, source));
      const live = await withConnector(
        optionsOf(server, source),
        (connector) => connector.inventory(source, { signal: never }),
      );
      const lines = (objects: typeof live.objects) =>
        objects.map((one) => JSON.stringify(one)).sort();
      const texts = (objects: typeof live.objects) =>
        lines(objects.map(({ type, schema, name, count, isExact }) => ({
          type,
          schema: schema ?? "",
          name,
          ...count === undefined ? {} : { count, isExact },
        })));
      assert.deepEqual(texts(result.inventory.databases[0]!.objects), texts(live.objects));
    });

    test("counts what is in the dump while others write", async () => {
      const server = await postgres(version);
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE TABLE a (n int); CREATE TABLE b (n int);
         INSERT INTO a SELECT generate_series(1, 20000); INSERT INTO b SELECT n FROM a`,
      );
      let isOver = false;
      const writer = (async () => {
        while (!isOver) {
          await server.psql(
            source,
            "BEGIN; INSERT INTO a VALUES (0); INSERT INTO b VALUES (0); COMMIT; " +
              "BEGIN; DELETE FROM a WHERE n = 17; DELETE FROM b WHERE n = 17; COMMIT",
          );
        }
      })();
      const backup = await dumpOf(optionsOf(server, source));
      isOver = true;
      await writer;
      const counts = backup.result.inventory.databases[0]!.objects.map(({ count }) => count);
      assert.equal(counts[0], counts[1], "both tables show the same moment");
      const target = freshName();
      const { result } = await restoreTo(optionsOf(server, target), backup);
      assert.deepEqual(result.differences, []);
    });

    test("knows its moment and its position", async () => {
      const server = await postgres(version);
      const source = await server.createDatabase();
      const before = await server.psql(source, "SELECT pg_current_wal_lsn()");
      const startedAt = Date.now();
      const { result } = await dumpOf(optionsOf(server, source));
      const after = await server.psql(source, "SELECT pg_current_wal_lsn()");
      assert.ok(result.consistentAt.getTime() >= startedAt);
      assert.equal(result.to?.type, "lsn");
      assert.equal(result.to?.["timeline"], 1);
      const isBetween = await server.psql(
        source,
        `SELECT '${result.to?.["lsn"]}'::pg_lsn BETWEEN '${before}' AND '${after}'`,
      );
      assert.equal(isBetween, "t");
    });

    test("recreates a database's own properties", async () => {
      const server = await postgres(version);
      const owner = freshName();
      const source = `Pro"p'e ${freshName()}`;
      await server.psql(
        "postgres",
        `CREATE ROLE ${owner};
         CREATE DATABASE "${source.replaceAll('"', '""')}" OWNER ${owner} ENCODING 'LATIN1'
           LOCALE 'C' TEMPLATE template0 CONNECTION LIMIT 7;
         COMMENT ON DATABASE "${source.replaceAll('"', '""')}" IS 'it''s DATABASE x; yes';
         ALTER DATABASE "${source.replaceAll('"', '""')}" SET work_mem = '7MB';
         ALTER DATABASE "${source.replaceAll('"', '""')}" SET search_path = 'DATABASE', "a;b";
         ALTER ROLE ${owner} IN DATABASE "${source.replaceAll('"', '""')}" SET work_mem = '8MB';
         GRANT CREATE ON DATABASE "${source.replaceAll('"', '""')}" TO ${owner};
         REVOKE TEMP ON DATABASE "${source.replaceAll('"', '""')}" FROM PUBLIC;`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const target = `Ziel ${freshName()}`;
      await restoreTo(optionsOf(server, target), backup);
      const properties = (name: string) =>
        server.psql(
          "postgres",
          `SELECT pg_get_userbyid(datdba), encoding, datcollate, datctype, datconnlimit,
                  (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a),
                  shobj_description(d.oid, 'pg_database'),
                  (SELECT array_agg(setrole::regrole || ':' || setconfig::text ORDER BY setrole)
                     FROM pg_db_role_setting WHERE setdatabase = d.oid)
             FROM pg_database d WHERE datname = '${name.replaceAll("'", "''")}'`,
        );
      const found = await properties(target);
      assert.equal(found, await properties(source));
      assert.match(found, /7MB.*8MB/s);
    });

    test("keeps names apart that shells, URLs and libpq take for something else", async () => {
      const server = await postgres(version);
      const end = freshName();
      const names = [
        ...[`with space ${end}`, `quo'te"${end}`, `sla/sh\\${end}`, `ünï 日本 ${end}`],
        ...[`Twin${end}`, `twin${end}`, `-d${end}`, `dbname=postgres ${end}`],
        ...[`postgresql://x/${end}`, `per%cent${end}`],
      ];
      for (const name of names) {
        await server.createDatabase(name.replaceAll('"', '""'));
        await server.psql(
          `dbname='${name.replaceAll(/['\\]/g, "\\$&")}'`,
          `CREATE TABLE who AS SELECT '${name.replaceAll("'", "''")}'::text AS name`,
        );
      }
      const options = optionsOf(server, undefined, { databases: names });
      const backup = await dumpOf(options);
      const dumps = backup.artifacts.filter(({ head }) => head.role === "dump");
      assert.deepEqual(dumps.map(({ head }) => head.databases[0]), names);
      for (const name of names) {
        await server.psql("postgres", `DROP DATABASE "${name.replaceAll('"', '""')}"`);
      }
      const { result } = await restoreTo(options, backup);
      assert.deepEqual(result.differences, []);
      for (const name of names) {
        const where = `dbname='${name.replaceAll(/['\\]/g, "\\$&")}'`;
        assert.equal(await server.psql(where, "SELECT name FROM who"), name);
      }
      // And swapped, where the names for the old and the new are made of them.
      const one = await dumpOf(optionsOf(server, names[1]));
      const swapped = await restoreTo(optionsOf(server, names[1]), one, { isOverwrite: true });
      assert.ok((await databasesOf(server)).includes(swapped.plan.steps[0]!.keptAs!));
    });

    test("dumps all databases, of which one can be restored", async () => {
      const server = await startPostgres(version);
      const wanted = await server.createDatabase();
      await server.psql(wanted, "CREATE TABLE t AS SELECT 42 AS answer");
      const backup = await dumpOf(optionsOf(server));
      const names = backup.artifacts.filter(({ head }) => head.role === "dump")
        .flatMap(({ head }) => head.databases);
      assert.ok(names.includes(wanted) && names.includes("postgres"));
      assert.ok(!names.some((name) => name.startsWith("template")));
      const target = freshName();
      await restoreTo(optionsOf(server, target), backup, { databases: [wanted] });
      assert.equal(await server.psql(target, "SELECT answer FROM t"), "42");
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup, { databases: ["nope"] }),
        code("restore/no-such-object"),
      );
      await server.stop();
    });

    test("leaves out what it is told to", async () => {
      const server = await postgres(version);
      const source = await server.createDatabase();
      await server.psql(
        source,
        "CREATE TABLE a AS SELECT 1 n; CREATE TABLE b AS SELECT 1 n; CREATE TABLE c AS SELECT 1 n",
      );
      const objectsOf = async (settings: object) => {
        const { result } = await dumpOf(optionsOf(server, source), { settings });
        return result.inventory.databases[0]!.objects.map(({ name, count }) => [name, count]);
      };
      assert.deepEqual(await objectsOf({ exclude: ["a"], excludeData: ["public.b"] }), [
        ["b", undefined],
        ["c", 1],
      ]);
      const schema = await objectsOf({ schemaOnly: true });
      assert.deepEqual(schema, [["a", undefined], ["b", undefined], ["c", undefined]]);
      assert.deepEqual(await objectsOf({ dumpArgs: ["--table=c"] }), [["c", 1]]);
    });
  });
}

needs("postgres15", "postgres18").describe("PostgreSQL 15 and 18", () => {
  test("a dump of 15 comes back on 18", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const source = await makeSample(old);
    const backup = await dumpOf(optionsOf(old, source));
    const target = freshName();
    const { result } = await restoreTo(optionsOf(young, target), backup);
    assert.deepEqual(result.differences, []);
    assert.equal(
      await young.psql(target, "SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t"),
      await old.psql(source, "SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t"),
    );
  });

  test("a dump of 18 is refused by 15", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const backup = await dumpOf(optionsOf(young, await young.createDatabase()));
    const target = freshName();
    await assert.rejects(
      restoreTo(optionsOf(old, target, { toolsDir: young.binDir }), backup),
      code("restore/target-too-old"),
    );
    assert.ok(!(await databasesOf(old)).includes(target));
  });

  test("tools of 18 dump 15 and restore it there, for want of others", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const options = (name: string) => optionsOf(old, name, { toolsDir: young.binDir });
    const source = await makeSample(old);
    const backup = await dumpOf(options(source));
    const target = freshName();
    await restoreTo(options(target), backup);
    assert.equal(await contentOf(old, target), await contentOf(old, source));
  });

  test("a tool that is older than the server is refused", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const options = optionsOf(young, await young.createDatabase(), { toolsDir: old.binDir });
    await assert.rejects(dumpOf(options), code("dump/tool-too-old", /15\.\d+ .* 18\.\d+/));
  });

  test("an archive that is too new for pg_restore is refused", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const source = await old.createDatabase();
    const backup = await dumpOf(optionsOf(old, source, { toolsDir: young.binDir }));
    await assert.rejects(
      restoreTo(optionsOf(old, freshName()), backup),
      code("dump/tool-too-old", /pg_restore 15.* pg_dump 18/),
    );
  });
});
