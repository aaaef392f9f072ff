import assert from "node:assert/strict";
import { test } from "node:test";
import { areChoosing, assertDumpArgs } from "../../../src/connectors/postgres/dump-args.ts";
import { patternOf } from "../../../src/connectors/postgres/exclusion.ts";
import type { DumpSettings } from "../../../src/contracts/source.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import { shared } from "../../support/shared.ts";
import { code, contentOf, dumpOf, optionsOf, restoreTo, withConnector } from "./opened.ts";

test("a pattern of tables is read as pg_dump reads it", () => {
  const cases: Record<string, [schema: string | undefined, name: string]> = {
    "secret": [undefined, "^(secret)$"],
    "Public.Secret": ["^(public)$", "^(secret)$"],
    '"Odd.Schema"."Ta""ble"': ["^(Odd\\.Schema)$", '^(Ta"ble)$'],
    "log_*.part?": ["^(log_.*)$", "^(part.)$"],
    "a|b": [undefined, "^(a|b)$"],
    '"a|b*"': [undefined, "^(a\\|b\\*)$"],
    "ÄbC": [undefined, "^(Äbc)$"],
    "x[]$": [undefined, "^(x\\[\\]\\$)$"],
  };
  for (const [text, [schema, name]] of Object.entries(cases)) {
    assert.deepEqual(patternOf(text), { schema, name }, text);
  }
});

test("arguments that make of an archive what cannot be restored as it was are refused", () => {
  const cases = [
    ...["-a", "--data-only", "--section=data", "--no-schema", "--statistics-only", "-Fd"],
    ...["--format=plain", "-f", "--file=x", "-j4", "--compress=9", "-dshop", "--dbname=shop"],
    // Shortened, and several letters at once, as getopt takes them.
    ...["--data", "--sect=data", "--form=p", "-Oa", "-vxFp", "--no-sch", "--stati"],
    ...["--inserts", "--column-inserts", "--attribute-inserts", "--rows-per-insert=100"],
    ...["--on-conflict-do-nothing", "--extra-float-digits=0", "--include-foreign-data=s"],
    ...["--filter=x", "--snapshot=1", "--serializable-deferrable", "--binary-upgrade", "-W"],
    ...["-hother", "--host=other", "-p1", "--port", "-Uother", "--username=x", "--help", "-V"],
    ...["--restrict-key=x", "other", ""],
  ];
  for (const arg of cases) {
    assert.throws(
      () => assertDumpArgs(["--no-owner", arg]),
      (error) => {
        code("usage/bad-value")(error);
        assert.ok(error instanceof Error && error.message.startsWith(`pg_dump's "${arg}" `));
        return true;
      },
      arg,
    );
  }
  assertDumpArgs(["--no-owner", "--clean", "--create", "-n", "public", "--schema-only", "-N", "x"]);
  // Values are no options, and no names of databases.
  assertDumpArgs(["-t", "-a", "--table", "public.inserts", "-vtother", "--exclude-table=--file"]);
  assertDumpArgs(["--sch=public", "--exclude-table-d", "x", "--lock-wait-timeout", "10s"]);
});

test("arguments that choose what is dumped are told from others", () => {
  for (const args of [["-n", "x"], ["-vtx"], ["--exclude-table-d=x"], ["-e", "x"], ["--sche=x"]]) {
    assert.ok(areChoosing(args), args.join(" "));
  }
  for (const args of [[], ["-v"], ["--no-owner", "-sx"], ["--role", "--table"], ["-E", "-nx"]]) {
    assert.ok(!areChoosing(args), args.join(" "));
  }
});

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`a PostgreSQL ${version} with things left out`, () => {
    const started = () =>
      shared(`postgres with things left out ${version}`, async () => {
        const server = await startPostgres(version);
        await server.psql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'r'");
        return server;
      });

    test("needs no right to read what the job excludes", async () => {
      const server = await started();
      const database = await server.createDatabase();
      await server.psql(
        database,
        `CREATE TABLE open (id int); INSERT INTO open VALUES (1); GRANT SELECT ON open TO reader;
         CREATE TABLE secret (id serial PRIMARY KEY);
         CREATE SCHEMA inner_part; CREATE TABLE inner_part."Secret" (id serial);`,
      );
      const options = {
        url: server.url(database, { user: "reader", password: "r" }),
        toolsDir: server.binDir,
      };
      const omitted = (settings: DumpSettings) =>
        withConnector(options, async (connector) => {
          const { omissions } = await connector.inspect({ signal: never, settings });
          return omissions.find(({ name }) => name === "tables")?.objects ?? [];
        });
      const all = ["public.secret", "public.secret_id_seq"];
      const inside = ["inner_part.Secret", "inner_part.Secret_id_seq"];
      assert.deepEqual(await omitted({}), [...inside, ...all]);
      assert.deepEqual(await omitted({ exclude: ["public.secret"] }), inside);
      assert.deepEqual(await omitted({ exclude: ["SECRET"] }), inside);
      assert.deepEqual(await omitted({ exclude: ["*.secret", 'inner_part."S*"'] }), [
        ...inside,
      ]);
      assert.deepEqual(await omitted({ exclude: ["*.secret", 'inner_part."Secret"'] }), []);
      assert.deepEqual(
        await omitted({ dumpArgs: ["-N", "inner_part", "--exclude-table=sec*"] }),
        [],
      );
      assert.deepEqual(await omitted({ dumpArgs: ["--schema=inner_part"] }), inside);
      assert.deepEqual(await omitted({ dumpArgs: ["-vt", "public.open"] }), []);
      assert.deepEqual(await omitted({ dumpArgs: ["-t", "secret", "-N", "public"] }), all);
      // Locked, and so read, though without its rows.
      assert.deepEqual(await omitted({ excludeData: ["public.secret"] }), [...inside, ...all]);
      const backup = await dumpOf(options, {
        settings: { exclude: ["public.secret", 'inner_part."Secret"'] },
      });
      assert.deepEqual(backup.result.omitted, []);
      const tables = backup.result.inventory.databases[0]!.objects
        .filter(({ type }) => type === "table");
      assert.deepEqual(tables.map(({ name, count }) => [name, count]), [["open", 1]]);
    });

    test("shows all rows to who sees only some, where no rows are asked for", async () => {
      const server = await started();
      const database = await server.createDatabase();
      await server.psql(
        database,
        `CREATE TABLE rows (id int); ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
         GRANT SELECT ON rows TO reader`,
      );
      const options = {
        url: server.url(database, { user: "reader", password: "r" }),
        toolsDir: server.binDir,
      };
      const names = (settings: DumpSettings) =>
        withConnector(
          options,
          async (connector) =>
            (await connector.inspect({ signal: never, settings })).omissions.map(({ name }) =>
              name
            ),
        );
      assert.deepEqual(await names({}), ["tables"]);
      assert.deepEqual(await names({ schemaOnly: true }), []);
      assert.deepEqual(await names({ excludeData: ["rows"] }), []);
    });

    test("backs up templates with all databases, and what somebody put into template1", async () => {
      const server = await startPostgres(version);
      const options = optionsOf(server);
      const names = () =>
        withConnector(options, (connector) => connector.databases({ signal: never }));
      assert.deepEqual(await names(), ["postgres"]);
      await server.psql(
        "template1",
        "CREATE TABLE in_every_database AS SELECT 1 AS id; CREATE EXTENSION plpgsql_check",
      ).catch(() => {});
      await server.psql("template1", "CREATE TABLE IF NOT EXISTS in_every_database (id int)");
      await server.psql(
        "postgres",
        `CREATE DATABASE shop TEMPLATE template0; CREATE DATABASE pattern TEMPLATE template0`,
      );
      await server.psql("pattern", "CREATE TABLE p AS SELECT generate_series(1, 7) AS id");
      await server.psql("postgres", "ALTER DATABASE pattern IS_TEMPLATE true");
      assert.deepEqual(await names(), ["pattern", "postgres", "shop", "template1"]);

      const backup = await dumpOf(options);
      const target = await startPostgres(version);
      await restoreTo(optionsOf(target), backup);
      assert.equal(
        await target.psql(
          "postgres",
          "SELECT datname, datistemplate FROM pg_database ORDER BY 1",
        ),
        "pattern|t\npostgres|f\nshop|f\ntemplate0|t\ntemplate1|t",
      );
      for (const database of ["pattern", "shop", "template1"]) {
        assert.equal(await contentOf(target, database), await contentOf(server, database));
      }
      // A new database has it all, and nobody keeps it from being made.
      await target.psql("postgres", "CREATE DATABASE fresh");
      assert.equal(
        await target.psql("fresh", "SELECT count(*) FROM in_every_database"),
        await server.psql("template1", "SELECT count(*) FROM in_every_database"),
      );
      // Again, over what is there now.
      const { result } = await restoreTo(optionsOf(target), backup, {
        isOverwrite: true,
        databases: ["pattern", "template1"],
      });
      assert.deepEqual(result.steps.map(({ to, mode }) => [to, mode]), [
        ["pattern", "swap"],
        ["template1", "swap"],
      ]);
      assert.equal(await target.psql("pattern", "SELECT count(*) FROM p"), "7");
      assert.equal(
        await target.psql(
          "postgres",
          "SELECT datname FROM pg_database WHERE datistemplate ORDER BY 1",
        ),
        "pattern\npattern_before_k3v9x2ma\ntemplate0\ntemplate1\ntemplate1_before_k3v9x2ma",
      );
    });

    test("names databases that nobody can get into, and backs up the rest", async () => {
      const server = await startPostgres(version);
      await server.psql("postgres", "CREATE DATABASE half_dropped; CREATE DATABASE shut");
      await server.psql(
        "postgres",
        `UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half_dropped';
         UPDATE pg_database SET datallowconn = false WHERE datname = 'shut'`,
      );
      const { result } = await dumpOf(optionsOf(server));
      assert.deepEqual(result.inventory.databases.map(({ database }) => database), ["postgres"]);
      assert.deepEqual(result.omitted, [{
        name: "databases",
        reason: "half_dropped is left over from an interrupted DROP DATABASE: drop it again; " +
          "shut does not accept connections",
        objects: ["half_dropped", "shut"],
      }]);
      await assert.rejects(
        dumpOf(optionsOf(server, "half_dropped")),
        code(
          "connection/denied",
          /"half_dropped" .* does not accept connections: cannot connect to inv/,
        ),
      );
      await assert.rejects(
        dumpOf(optionsOf(server, "shut")),
        code("connection/denied", /"shut" .* does not accept connections/),
      );
    });
  });
}
