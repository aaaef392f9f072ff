import assert from "node:assert/strict";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import { dumpOf, optionsOf, withConnector } from "./opened.ts";

function warningsOf(server: PostgresServer, database: string): Promise<readonly string[]> {
  return withConnector(
    optionsOf(server, database),
    async (connector) => (await connector.inspect({ signal: never })).warnings,
  );
}

async function made(server: PostgresServer, sql: string): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, sql);
  return name;
}

const wrapper = `CREATE EXTENSION unaccent;
  CREATE FUNCTION f_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT unaccent('unaccent', $1) $$;`;
/** An index on 17 and newer is made only while its functions are safe. */
const safely = (names: string, sql: string) => {
  const all = (what: string) =>
    names.split(" ").map((name) => `ALTER FUNCTION ${name} ${what};`).join(" ");
  return `${all("SET search_path = public")} ${sql}; ${all("RESET search_path")}`;
};

/** What fails with an empty search_path, and what is said of it. */
const cases: readonly (readonly [what: string, sql: string, said: RegExp])[] = [
  [
    "an index on the unaccent wrapper",
    `${wrapper} CREATE TABLE names (n text);
     ${safely("f_unaccent", "CREATE INDEX names_idx ON names (f_unaccent(n))")}`,
    /index public\.names_idx uses public\.f_unaccent\(text\), which fails .*function unaccent\(unknown, text\) does not exist\)\. ALTER FUNCTION public\.f_unaccent\(text\) SET search_path = public /,
  ],
  [
    "the predicate of an index",
    `${wrapper} CREATE TABLE names (n text);
     ${safely("f_unaccent", "CREATE INDEX names_idx ON names (n) WHERE f_unaccent(n) <> ''")}`,
    /index public\.names_idx uses public\.f_unaccent/,
  ],
  [
    "a generated column",
    `${wrapper} CREATE TABLE "Made" (n text, u text GENERATED ALWAYS AS (f_unaccent(n)) STORED)`,
    /generated column public\."Made"\.u uses public\.f_unaccent/,
  ],
  [
    "CHECKs of a table and of a domain",
    `CREATE FUNCTION size(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)';
     CREATE FUNCTION is_short(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT size($1) < 5';
     CREATE TABLE words (w text CONSTRAINT short CHECK (is_short(w)));
     CREATE DOMAIN word AS text CONSTRAINT brief CHECK (is_short(VALUE))`,
    /constraint brief of public\.word, constraint short of public\.words use public\.is_short\(text\), .*size\(text\)/,
  ],
  [
    "a partition key",
    `CREATE FUNCTION size(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)';
     CREATE FUNCTION parity(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT size($1) % 2';
     CREATE TABLE parted (w text) PARTITION BY LIST (parity(w))`,
    /partition key of public\.parted uses public\.parity\(text\)/,
  ],
  [
    "a materialized view, through a view and an operator",
    `CREATE TABLE words (w text);
     CREATE FUNCTION longest() RETURNS text LANGUAGE sql STABLE
       AS 'SELECT 1; SELECT w FROM words ORDER BY length(w) DESC LIMIT 1';
     CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE sql STABLE
       AS 'SELECT $1 = $2 AND longest() <> $1';
     CREATE OPERATOR === (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
     CREATE VIEW seen AS SELECT longest() AS w;
     ${
      safely(
        "longest same",
        "CREATE MATERIALIZED VIEW top AS SELECT 1 AS one FROM seen WHERE w === 'a'",
      )
    }`,
    /materialized view public\.top uses public\.longest\(\), .*relation "words" does not exist[\s\S]*top uses public\.same\(text,text\)/,
  ],
  [
    "a function that is called by its whole name",
    `${wrapper}
     CREATE FUNCTION outer_f(text) RETURNS text LANGUAGE sql IMMUTABLE
       AS 'SELECT public.f_unaccent($1)';
     CREATE TABLE names (n text CONSTRAINT named CHECK (outer_f(n) <> ''))`,
    /constraint named of public\.names uses f_unaccent, which fails .* ALTER FUNCTION f_unaccent SET search_path = public /,
  ],
  [
    "a name that no path finds",
    `CREATE SCHEMA s; CREATE FUNCTION s.one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
     SET search_path = public, s;
     CREATE FUNCTION two() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT one() + 1';
     CREATE TABLE t (id int CHECK (id + two() > 0))`,
    /function one\(\) does not exist\), and with this database's own\. ALTER FUNCTION public\.two\(\) SET search_path = … /,
  ],
];

const sound = `
  CREATE EXTENSION unaccent; CREATE EXTENSION cube;
  CREATE FUNCTION by_name(text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT public.unaccent('public.unaccent', $1) $$;
  CREATE FUNCTION by_path(text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = public
    AS $$ SELECT unaccent('unaccent', $1) $$;
  CREATE FUNCTION by_body(text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN unaccent('unaccent', $1);
  CREATE FUNCTION in_plpgsql(text) RETURNS text LANGUAGE plpgsql IMMUTABLE
    AS $$ BEGIN RETURN lower($1); END $$;
  CREATE FUNCTION any_one(anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1';
  CREATE TABLE z (); CREATE FUNCTION never_used() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM z';
  CREATE TABLE t (n text CHECK (by_name(n) <> '' AND by_path(n) <> ''), m int CHECK (any_one(m) > 0),
    u text GENERATED ALWAYS AS (by_body(n)) STORED);
  CREATE INDEX ON t (by_name(n)); CREATE INDEX ON t (in_plpgsql(n)) WHERE by_path(n) <> 'x';
  CREATE MATERIALIZED VIEW v AS SELECT by_name(n) AS a, by_body(n) AS b FROM t;
  CREATE VIEW w AS SELECT never_used() AS n;`;

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`a look at PostgreSQL ${version} before it hurts`, () => {
    for (const [what, sql, said] of cases) {
      test(`warns of ${what}`, async () => {
        const server = await postgres(version);
        const database = await made(server, sql);
        const text = (await warningsOf(server, database)).join("\n");
        assert.match(text, said);
        assert.match(text, new RegExp(`^In "${database}", `));
      });
    }

    test("says nothing of a schema that restores, nor of what no restore evaluates", async () => {
      const server = await postgres(version);
      const database = await made(server, sound);
      assert.deepEqual(await warningsOf(server, database), []);
    });

    test("runs nothing, and is held up by no lock", async () => {
      const server = await postgres(version);
      const database = await made(
        server,
        `CREATE TABLE seen (n int); CREATE SEQUENCE runs;
         CREATE FUNCTION run() RETURNS int LANGUAGE plpgsql VOLATILE
           AS $$ BEGIN PERFORM nextval('public.runs'); PERFORM pg_sleep(60); RETURN 1; END $$;
         CREATE FUNCTION once() RETURNS int LANGUAGE sql AS 'SELECT public.run() FROM public.seen';
         CREATE FUNCTION bare() RETURNS int LANGUAGE sql STABLE AS 'SELECT n FROM seen';
         CREATE TABLE t (a int CHECK (once() > 0), b int CHECK (bare() > 0))`,
      );
      const locked = server.psql(
        database,
        "BEGIN; LOCK TABLE seen, t; SELECT pg_sleep(4)",
      );
      try {
        while (
          await server.psql(
            database,
            "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND granted",
          ) === "0"
        );
        // It cannot tell, and that is no failure; nor is a word of it left in the session.
        await warningsOf(server, database);
      } finally {
        await locked;
      }
      assert.match((await warningsOf(server, database)).join(), /uses public\.bare\(\)/);
      assert.equal(await server.psql(database, "SELECT is_called FROM runs"), "f");
    });

    test("a user who may run none of it backs up without a word of it", async () => {
      const server = await postgres(version);
      const user = freshName();
      await server.psql(
        "postgres",
        `CREATE ROLE ${user} LOGIN PASSWORD 'secret'; GRANT pg_read_all_data TO ${user}`,
      );
      const database = await made(
        server,
        `${cases[0]![1]}; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC`,
      );
      const url = server.url(database, { user, password: "secret" });
      const backup = await dumpOf({ url, toolsDir: server.binDir });
      assert.ok(backup);
    });
  });
}

needs("postgres15").describe("earthdistance on PostgreSQL 15", () => {
  test("is told with its extension, which alone can mend it", async () => {
    const server = await postgres(15);
    const database = await made(
      server,
      `CREATE EXTENSION earthdistance CASCADE; CREATE TABLE places (lat float8, lng float8);
       CREATE INDEX places_earth ON places USING gist (ll_to_earth(lat, lng))`,
    );
    assert.match(
      (await warningsOf(server, database)).join("\n"),
      /index public\.places_earth uses public\.ll_to_earth\(.*type "earth" does not exist.* extension earthdistance .* ALTER EXTENSION "earthdistance" UPDATE$/,
    );
  });
});

needs("postgres18").describe("earthdistance on PostgreSQL 18", () => {
  test("is sound", async () => {
    const server = await postgres(18);
    const database = await made(
      server,
      `CREATE EXTENSION earthdistance CASCADE; CREATE TABLE places (lat float8, lng float8);
       CREATE INDEX places_earth ON places USING gist (ll_to_earth(lat, lng))`,
    );
    assert.deepEqual(await warningsOf(server, database), []);
  });
});
