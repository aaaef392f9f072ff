import assert from "node:assert/strict";
import { test } from "node:test";
import { BackupError } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { code, contentOf, databasesOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

const unaccent = `
  CREATE EXTENSION unaccent;
  CREATE FUNCTION f_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT unaccent('unaccent', $1) $$;
  CREATE TABLE names (id int, n text); INSERT INTO names VALUES (1, 'é');`;

/** What only fails to be made again with the empty search_path of archives. */
const cases: Readonly<Record<string, string>> = {
  "a generated column on the unaccent wrapper": `${unaccent}
    CREATE TABLE made (id int, n text, u text GENERATED ALWAYS AS (f_unaccent(n)) STORED);
    INSERT INTO made VALUES (1, 'é'); CREATE INDEX ON made (u);
    CREATE TABLE other AS SELECT generate_series(1, 10) AS n`,
  "a check through a function": `
    CREATE FUNCTION size(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)';
    CREATE FUNCTION is_short(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT size($1) < 5';
    CREATE TABLE words (w text CHECK (is_short(w)));
    INSERT INTO words VALUES ('a'), ('bcd'); CREATE TABLE z AS SELECT 1 AS one`,
  "a path of its own": `
    CREATE SCHEMA "Chado & co"; CREATE SCHEMA "ünï";
    CREATE FUNCTION "ünï".unit() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
    SET search_path = public, "Chado & co", "ünï";
    CREATE FUNCTION "Chado & co".is_fine(int) RETURNS bool LANGUAGE sql IMMUTABLE
      AS 'SELECT unit() > $1';
    CREATE TABLE locations (id int CHECK (is_fine(id)));
    INSERT INTO locations VALUES (1), (2);
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, "Chado & co", "ünï",
      pg_catalog', current_database()); END $$`,
  "a partition's trigger that pg_dump restores before its parent's": `
    CREATE TABLE parent (id int) PARTITION BY LIST (id);
    CREATE TABLE a_part PARTITION OF parent FOR VALUES IN (1);
    INSERT INTO parent VALUES (1);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touched AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION touch();
    ALTER TABLE a_part DISABLE TRIGGER touched`,
};

/** PostgreSQL 17 and newer refuse to make these at all: they do so with a search_path of their own. */
const until16: Readonly<Record<string, string>> = {
  "an index of earthdistance": `
    CREATE TABLE places (id int PRIMARY KEY, lat float8, lng float8);
    INSERT INTO places VALUES (1, 1, 1), (2, 50, 8);
    CREATE FUNCTION around(x float8) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT round(x)::text';
    CREATE FUNCTION place(lat float8, lng float8) RETURNS text LANGUAGE sql IMMUTABLE
      AS 'SELECT around(lat) || '','' || around(lng)';
    CREATE EXTENSION cube; CREATE EXTENSION earthdistance;
    CREATE INDEX places_earth ON places USING gist (ll_to_earth(lat, lng));
    CREATE INDEX places_place ON places (place(lat, lng)); COMMENT ON INDEX places_place IS 'x'`,
  "an index on the unaccent wrapper": `${unaccent} CREATE INDEX ON names (f_unaccent(n))`,
  "materialized views through functions and texts": `
    CREATE TABLE words (w text); INSERT INTO words VALUES ('a'), ('bcd');
    CREATE FUNCTION longest() RETURNS text LANGUAGE sql STABLE
      AS 'SELECT w FROM words ORDER BY length(w) DESC LIMIT 1';
    CREATE MATERIALIZED VIEW top AS SELECT longest() AS w;
    CREATE MATERIALIZED VIEW stats AS SELECT * FROM ts_stat('SELECT to_tsvector(w) FROM words');
    CREATE UNIQUE INDEX ON stats (word);
    CREATE MATERIALIZED VIEW above AS SELECT count(*) AS n FROM stats`,
};

async function made(server: PostgresServer, sql: string): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, sql);
  return name;
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(
    `functions without a search_path on PostgreSQL ${version}`,
    () => {
      for (const [what, sql] of Object.entries(version === 15 ? { ...cases, ...until16 } : cases)) {
        test(`${what} comes back by itself`, async () => {
          const server = await postgres(version);
          const source = await made(server, sql);
          const backup = await dumpOf(optionsOf(server, source));
          const filled = await server.createDatabase();
          const swapped = await made(server, "CREATE TABLE old ()");
          const runs = [
            [freshName(), { jobs: 1 }],
            [freshName(), { jobs: 3 }],
            [freshName(), { isKeepGoing: true }],
            [swapped, { isOverwrite: true }],
            [filled, {}],
            [await server.createDatabase(), { jobs: 3 }],
          ] as const;
          for (const [target, changed] of runs) {
            const { result } = await restoreTo(optionsOf(server, target), backup, changed);
            assert.deepEqual(result.differences, []);
            assert.deepEqual([result.failures, result.left], [[], []]);
            assert.equal(await contentOf(server, target), await contentOf(server, source));
            if (
              what.startsWith("a partition") || what.includes("earth") && version === 18
            ) continue;
            assert.match(
              result.warnings.join("\n"),
              /with the empty search_path .* SET search_path/,
            );
          }
        });
      }

      test("a name that no path finds fails, and leaves nothing", async () => {
        const server = await postgres(version);
        const source = await made(
          server,
          `CREATE SCHEMA s; CREATE FUNCTION s.one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
         SET search_path = public, s;
         CREATE FUNCTION two() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT one() + 1';
         CREATE TABLE t (id int CHECK (id + two() > 0)); INSERT INTO t VALUES (1)`,
        );
        const backup = await dumpOf(optionsOf(server, source));
        const target = freshName();
        await assert.rejects(
          restoreTo(optionsOf(server, target), backup),
          code("restore/failed", /table public\.t: .*function one\(\) does not exist/),
        );
        assert.ok(!(await databasesOf(server)).some((name) => name.startsWith(target)));
      });
    },
  );

  needs(`postgres${version}`).describe(
    `a restore that keeps going on PostgreSQL ${version}`,
    () => {
      const broken = `
      CREATE TABLE good AS SELECT generate_series(1, 50) AS n;
      CREATE SCHEMA s; CREATE FUNCTION s.one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
      SET search_path = public, s;
      CREATE FUNCTION two() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT one() + 1';
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
      ${version === 15 ? "" : "ALTER FUNCTION two() SET search_path = s;"}
      CREATE INDEX t_two ON t ((id + two())); COMMENT ON INDEX t_two IS 'gone';
      ALTER FUNCTION two() RESET search_path;
      CREATE TABLE b_later (a int); INSERT INTO b_later VALUES (1);
      CREATE FUNCTION has_later() RETURNS bool LANGUAGE sql
        AS 'SELECT EXISTS (SELECT 1 FROM public.b_later)';
      CREATE TABLE a_checked (a int CHECK (has_later())); INSERT INTO a_checked VALUES (1), (2);
      CREATE EXTENSION postgres_fdw;
      CREATE SERVER dead FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1');
      CREATE USER MAPPING FOR PUBLIC SERVER dead OPTIONS (user 'x', password 'y');
      CREATE FOREIGN TABLE far (a int) SERVER dead;
      CREATE MATERIALIZED VIEW near AS SELECT a FROM far WITH NO DATA`;

      for (const jobs of [1, 3]) {
        test(`lists what failed and leaves the rest beside, with ${jobs} jobs`, async () => {
          const server = await postgres(version);
          const source = await made(server, broken);
          // As it would be of a server that was there when it was filled.
          await server.psql(
            source,
            "UPDATE pg_class SET relispopulated = true WHERE relname = 'near'",
          );
          const backup = await dumpOf(optionsOf(server, source));
          await assert.rejects(
            restoreTo(optionsOf(server, freshName()), backup, { jobs }),
            (error: unknown) =>
              error instanceof BackupError && error.code === "restore/failed" &&
              /--keep-going/.test(error.hint!),
          );
          const precious = await made(server, "CREATE TABLE precious ()");
          for (const target of [freshName(), precious]) {
            const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
              jobs,
              isKeepGoing: true,
              isOverwrite: true,
            });
            // In the place of nothing, what there is is better than nothing.
            const isBeside = target === precious;
            const name = isBeside ? `${target}_restore_k3v9x2ma` : target;
            assert.deepEqual(result.left, isBeside ? [{ from: source, to: target, name }] : []);
            const failed = result.failures.map(({ object }) => object).sort();
            assert.deepEqual(failed, [
              "comment public.INDEX t_two",
              "index public.t_two",
              "materialized view public.near",
            ]);
            for (const { database, message, leaves } of result.failures) {
              assert.equal(database, target);
              assert.ok(message !== "" && /\.$/.test(leaves), leaves);
            }
            assert.equal(await server.psql(name, "SELECT count(*) FROM good"), "50");
            assert.equal(await server.psql(name, "SELECT count(*) FROM a_checked"), "2");
            assert.deepEqual(
              result.differences.filter(({ isFailure }) => isFailure).map(({ name }) => name)
                .sort(),
              ["public.t_two"],
            );
            if (!isBeside) continue;
            // And is taken when it is mended.
            const taken = await restoreTo(optionsOf(server, target), backup, {
              isDifferenceAccepted: true,
              isOverwrite: true,
            });
            assert.equal(taken.plan.steps[0]!.adopts, name);
            assert.equal(taken.plan.steps[0]!.mode, plan.steps[0]!.mode);
            assert.equal(await server.psql(target, "SELECT count(*) FROM good"), "50");
          }
        });
      }

      test("leaves what it could restore in a database that was empty", async () => {
        const server = await postgres(version);
        const source = await made(server, broken);
        const backup = await dumpOf(optionsOf(server, source));
        const target = await server.createDatabase();
        const { result } = await restoreTo(optionsOf(server, target), backup, {
          isKeepGoing: true,
        });
        assert.deepEqual(result.left, []);
        assert.ok(result.failures.length >= 2);
        assert.equal(await server.psql(target, "SELECT count(*) FROM good"), "50");
      });

      test("names everything that needs an extension which the user may not make", async () => {
        const server = await postgres(version);
        const user = freshName();
        await server.psql("postgres", `CREATE ROLE ${user} LOGIN CREATEDB PASSWORD 'secret'`);
        const source = await made(
          server,
          `CREATE EXTENSION postgres_fdw; CREATE EXTENSION earthdistance CASCADE;
         CREATE TABLE places (id int PRIMARY KEY, at earth); INSERT INTO places VALUES (1, NULL);
         CREATE INDEX ON places USING gist (at);
         CREATE TABLE plain AS SELECT generate_series(1, 7) AS n`,
        );
        const backup = await dumpOf(optionsOf(server, source));
        const options = {
          url: server.url(freshName(), { user, password: "secret" }),
          toolsDir: server.binDir,
        };
        const restoreArgs = ["--no-owner", "--no-privileges"];
        await assert.rejects(
          restoreTo(options, backup, { restoreArgs }),
          code("restore/failed", /extension postgres_fdw|extension earthdistance/),
        );
        const { plan, result } = await restoreTo(options, backup, {
          restoreArgs,
          isKeepGoing: true,
        });
        assert.equal(await server.psql(plan.steps[0]!.to, "SELECT count(*) FROM plain"), "7");
        const failed = result.failures.map(({ object }) => object);
        assert.ok(
          failed.includes("extension postgres_fdw") || failed.includes("extension earthdistance"),
        );
        assert.ok(failed.includes("table public.places"));
      });
    },
  );
}

needs("postgres15", "postgres18").describe("PostgreSQL 15 and 18", () => {
  test("an index that newer servers refuse to make is told, and what to do", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const source = await made(old, until16["an index on the unaccent wrapper"]!);
    const backup = await dumpOf(optionsOf(old, source));
    const target = freshName();
    await assert.rejects(
      restoreTo(optionsOf(young, target), backup),
      (error: unknown) =>
        error instanceof BackupError && /index public\.names_f_unaccent_idx/.test(error.message) &&
        /17 and newer .* --keep-going, then ALTER FUNCTION/.test(error.hint!),
    );
    const { result } = await restoreTo(optionsOf(young, target), backup, { isKeepGoing: true });
    assert.equal(result.failures.length, 1);
    assert.equal(await young.psql(target, "SELECT n FROM names"), "é");
  });
});
