import assert from "node:assert/strict";
import { test } from "node:test";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { shared } from "../../support/shared.ts";
import { contentOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

const users = `
  CREATE TABLE gone (id int PRIMARY KEY, n text);
  INSERT INTO gone VALUES (1, 'a');
  CREATE TABLE stays (id int PRIMARY KEY, gone_id int REFERENCES gone);
  INSERT INTO stays VALUES (1, 1);
  CREATE VIEW v AS SELECT s.id, g.n FROM stays s JOIN gone g ON g.id = s.gone_id;
  COMMENT ON VIEW v IS 'x';
  GRANT SELECT ON v TO public;
  CREATE VIEW v2 AS SELECT * FROM v;
  CREATE MATERIALIZED VIEW m AS SELECT * FROM v2;
  CREATE UNIQUE INDEX m_i ON m (id);
  CREATE FUNCTION takes(gone) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION gives() RETURNS SETOF gone LANGUAGE sql AS 'SELECT NULL::gone';
  CREATE FUNCTION counts() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM gone; END;
  CREATE RULE r AS ON INSERT TO stays DO ALSO INSERT INTO gone VALUES (new.id, 'r');
  CREATE POLICY p ON stays USING (EXISTS (SELECT 1 FROM gone));
  CREATE PUBLICATION p FOR TABLE gone, stays;
  CREATE STATISTICS s ON id, n FROM gone;
  CREATE SEQUENCE owned OWNED BY gone.id;
  CREATE TABLE parent (id int PRIMARY KEY, k int) PARTITION BY RANGE (id);
  CREATE INDEX parent_k ON parent (k);
  CREATE TABLE part PARTITION OF parent FOR VALUES FROM (0) TO (10);
  INSERT INTO parent VALUES (1, 1);`;

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(
    `what depends on something left out, PostgreSQL ${version}`,
    () => {
      const started = () =>
        shared(`postgres with what depends on it ${version}`, () => startPostgres(version));
      for (
        const [way, how] of [["one worker", {}], ["several workers", { jobs: 2 }]] as const
      ) {
        test(`a view that selects from itself is left out and told, by ${way}`, async () => {
          const server = await started();
          const source = await server.createDatabase();
          await server.psql(
            source,
            `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
             CREATE VIEW "My view" AS SELECT 1 AS a;
             CREATE OR REPLACE VIEW "My view" AS SELECT a FROM "My view";
             CREATE VIEW of_it AS SELECT a FROM "My view"; COMMENT ON VIEW "My view" IS 'x'`,
          );
          const backup = await dumpOf(optionsOf(server, source));
          const target = freshName();
          const { result } = await restoreTo(optionsOf(server, target), backup, how);
          assert.deepEqual([result.differences, result.failures], [[], []]);
          assert.match(
            result.warnings.join("\n"),
            /view public\.My view selects from itself.* left out\n.*view public\.of_it/,
          );
          await server.psql(source, `DROP VIEW "My view" CASCADE`);
          assert.equal(await contentOf(server, target), await contentOf(server, source));
        });
      }

      test("a single table brings the functions that its trigger, index and policy call", async () => {
        const server = await started();
        const source = await server.createDatabase();
        await server.psql(
          source,
          `CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
         CREATE FUNCTION allowed(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
         CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
         CREATE INDEX t_f ON t (f(id));
         CREATE TRIGGER stamps BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();
         CREATE POLICY p ON t USING (allowed(id)); CREATE TABLE unasked (id int)`,
        );
        const backup = await dumpOf(optionsOf(server, source));
        const target = freshName();
        const { result } = await restoreTo(optionsOf(server, target), backup, { only: ["t"] });
        assert.deepEqual([result.differences, result.failures], [[], []]);
        await server.psql(source, "DROP TABLE unasked");
        assert.equal(await contentOf(server, target), await contentOf(server, source));
      });

      const ways: [string, Partial<RestoreOptions>, boolean][] = [
        ["to a new database", {}, false],
        ["to a new database by several workers", { jobs: 2 }, false],
        ["into an empty database", {}, true],
        ["over an old database", { isOverwrite: true }, true],
      ];

      for (const [way, changed, isThere] of ways) {
        test(`is left out with it and told, ${way}`, async () => {
          const server = await started();
          const source = await server.createDatabase();
          await server.psql(source, users);
          const backup = await dumpOf(optionsOf(server, source), {
            settings: { exclude: ["gone", "parent"] },
          });
          const target = freshName();
          if (isThere) await server.createDatabase(target);
          if (changed.isOverwrite) await server.psql(target, "CREATE TABLE old (id int)");
          const { result } = await restoreTo(optionsOf(server, target), backup, changed);
          assert.deepEqual([result.differences, result.failures], [[], []]);
          const told = result.warnings.join("\n");
          for (
            const object of [
              "view public.v",
              "view public.v2",
              "materialized view public.m",
              "function public.takes(public.gone)",
              "function public.gives()",
              "function public.counts()",
              "rule public.stays r",
              "policy public.stays p",
              "fk constraint public.stays stays_gone_id_fkey",
              "table attach public.part",
            ]
          ) assert.ok(told.includes(object), `${object} in ${told}`);
          assert.match(told, /public\.gone is not in the backup, and so what uses it is left out/);
          assert.equal(
            await server.psql(
              target,
              `SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class
              WHERE relnamespace = 'public'::regnamespace`,
            ),
            "owned part part_k_idx part_pkey stays stays_pkey",
          );
          assert.equal(
            await server.psql(target, "SELECT * FROM stays; SELECT * FROM part"),
            "1|1\n1|1",
          );
          assert.equal(
            await server.psql(target, "SELECT tablename FROM pg_publication_tables"),
            "stays",
          );
        });

        test(`chosen schemas and tables are restored, ${way}`, async () => {
          const server = await started();
          const source = await server.createDatabase();
          await server.psql(
            source,
            `CREATE TABLE here (id serial PRIMARY KEY); INSERT INTO here DEFAULT VALUES;
           CREATE SCHEMA other; CREATE TABLE other."T x" AS SELECT 5 AS id`,
          );
          const cases: [string[], string][] = [
            [["--schema=public"], "public.here"],
            [["-n", "public", "--schema=other"], 'other."T x" public.here'],
            [["--table=public.here"], "public.here"],
            [['--table=other."T x"'], 'other."T x"'],
            [["--exclude-schema=public"], 'other."T x"'],
            [["--no-owner", "--clean", "--create"], 'other."T x" public.here'],
          ];
          for (const [dumpArgs, expected] of cases) {
            const backup = await dumpOf(optionsOf(server, source), { settings: { dumpArgs } });
            const target = freshName();
            if (isThere) await server.createDatabase(target);
            if (changed.isOverwrite) await server.psql(target, "CREATE TABLE old (id int)");
            const { result } = await restoreTo(optionsOf(server, target), backup, changed);
            assert.deepEqual([result.differences, result.failures], [[], []]);
            assert.equal(
              await server.psql(
                target,
                `SELECT string_agg(format('%I.%I', schemaname, tablename), ' ' ORDER BY schemaname)
                 FROM pg_tables WHERE schemaname IN ('other', 'public')`,
              ),
              expected,
              dumpArgs.join(" "),
            );
          }
        });

        test(`a foreign key to rows left out holds for new rows, ${way}`, async () => {
          const server = await started();
          const source = await server.createDatabase();
          await server.psql(source, users);
          const backup = await dumpOf(optionsOf(server, source), {
            settings: { excludeData: ["gone"] },
          });
          const target = freshName();
          if (isThere) await server.createDatabase(target);
          if (changed.isOverwrite) await server.psql(target, "CREATE TABLE old (id int)");
          const { result } = await restoreTo(optionsOf(server, target), backup, changed);
          assert.deepEqual([result.differences, result.failures], [[], []]);
          assert.deepEqual(result.warnings, [
            "fk constraint public.stays stays_gone_id_fkey points to rows that are not in the backup: " +
            "it is NOT VALID, and holds for new rows only",
          ]);
          assert.equal(
            await server.psql(target, "SELECT convalidated FROM pg_constraint WHERE contype = 'f'"),
            "f",
          );
          await assert.rejects(
            server.psql(target, "INSERT INTO stays VALUES (2, 2)"),
            /foreign key/,
          );
        });
      }
    },
  );
}
