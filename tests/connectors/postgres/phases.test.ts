import assert from "node:assert/strict";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { code, contentOf, databasesOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

async function made(server: PostgresServer, sql: string): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, sql);
  return name;
}

/** CHECKs that look into tables whose rows come later, one after the other, and what stands on them. */
const looking = `
  CREATE TABLE z_last (id int); INSERT INTO z_last VALUES (1);
  CREATE FUNCTION has_last() RETURNS bool LANGUAGE sql
    AS 'SELECT EXISTS (SELECT FROM public.z_last)';
  CREATE TABLE n_middle (id int PRIMARY KEY CHECK (has_last())); INSERT INTO n_middle VALUES (7);
  CREATE FUNCTION in_middle(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM public.n_middle WHERE id = $1) THEN
      RAISE EXCEPTION 'no % in the middle', $1; END IF; RETURN true; END $$;
  CREATE TABLE a_first (id int PRIMARY KEY, n int CHECK (in_middle(n)));
  CREATE TABLE seen (id int);
  CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO public.seen VALUES (NEW.id); RETURN NEW; END';
  INSERT INTO a_first VALUES (1, 7), (2, 7);
  CREATE TRIGGER a_seen AFTER INSERT ON a_first FOR EACH ROW EXECUTE FUNCTION see();
  CREATE TABLE child (id int REFERENCES a_first); INSERT INTO child VALUES (1), (2);
  CREATE INDEX ON a_first (n); COMMENT ON INDEX a_first_n_idx IS 'x';
  CREATE MATERIALIZED VIEW of_both AS SELECT count(*) AS n FROM a_first`;

/** Rows that no order of theirs makes fit: the function says something else since they came. */
const unfit = `
  CREATE TABLE limits (most int); INSERT INTO limits VALUES (10);
  CREATE FUNCTION fits(int) RETURNS bool LANGUAGE sql
    AS 'SELECT $1 <= coalesce((SELECT most FROM public.limits), 3)';
  CREATE TABLE parted (id int, CONSTRAINT fitting CHECK (fits(id))) PARTITION BY LIST (id);
  CREATE TABLE part PARTITION OF parted FOR VALUES IN (5);
  CREATE TABLE things (id int PRIMARY KEY CONSTRAINT "Fitting" CHECK (fits(id)),
    CONSTRAINT again CHECK (fits(id + 1)));
  CREATE TABLE child (id int REFERENCES things);
  INSERT INTO things VALUES (5), (6); INSERT INTO child VALUES (5); INSERT INTO parted VALUES (5);
  CREATE TABLE good AS SELECT generate_series(1, 50) AS n;
  UPDATE limits SET most = 3`;

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`rows that are refused on PostgreSQL ${version}`, () => {
    test("come when those are there that a CHECK looks at", async () => {
      const server = await postgres(version);
      const source = await made(server, looking);
      const backup = await dumpOf(optionsOf(server, source));
      const filled = await server.createDatabase();
      const runs = [
        [freshName(), { jobs: 1 }],
        [freshName(), { jobs: 3 }],
        [freshName(), { isKeepGoing: true }],
        [await made(server, "CREATE TABLE old ()"), { isOverwrite: true }],
        [filled, {}],
      ] as const;
      for (const [target, changed] of runs) {
        const { result } = await restoreTo(optionsOf(server, target), backup, changed);
        assert.deepEqual([result.failures, result.left, result.differences], [[], [], []]);
        assert.equal(await contentOf(server, target), await contentOf(server, source));
        // Several workers may load them in any order.
        if ("jobs" in changed && changed.jobs > 1) continue;
        assert.match(
          result.warnings.join("\n"),
          /The rows of table public\.a_first, table public\.n_middle came after all others, which a constraint looks at \(no 7 in the middle\)\. /,
        );
      }
    });

    test("end a restore that leaves nothing, where they do not fit", async () => {
      const server = await postgres(version);
      const source = await made(server, unfit);
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup),
        code("restore/failed", /violates check constraint/),
      );
      assert.ok(!(await databasesOf(server)).some((name) => name.startsWith(target)));
      const filled = await server.createDatabase();
      await assert.rejects(restoreTo(optionsOf(server, filled), backup), code("restore/failed"));
      assert.equal(
        await server.psql(filled, "SELECT count(*) FROM pg_class WHERE relnamespace = 2200"),
        "0",
      );
    });

    for (const jobs of [1, 3]) {
      test(`come all the same to a restore that keeps going, with ${jobs} jobs`, async () => {
        const server = await postgres(version);
        const source = await made(server, unfit);
        const backup = await dumpOf(optionsOf(server, source));
        const target = freshName();
        const { result } = await restoreTo(optionsOf(server, target), backup, {
          isKeepGoing: true,
          jobs,
        });
        assert.deepEqual(
          result.failures.map(({ object }) => object).sort(),
          [
            "constraint Fitting of public.things",
            "constraint again of public.things",
            "constraint fitting of public.parted",
          ],
        );
        for (const { leaves } of result.failures) {
          assert.match(
            leaves,
            /^The rows are there, and the constraint is NOT VALID: .* ALTER TABLE public\.\w+ VALIDATE CONSTRAINT ".+" once/,
          );
        }
        assert.deepEqual(result.differences.filter(({ isFailure }) => isFailure), []);
        assert.equal(
          await server.psql(
            target,
            `SELECT (SELECT count(*) FROM things), (SELECT count(*) FROM child),
               (SELECT count(*) FROM parted), (SELECT count(*) FROM good)`,
          ),
          "2|1|1|50",
        );
        await assert.rejects(
          server.psql(target, "INSERT INTO things VALUES (9)"),
          /violates check/,
        );
      });
    }

    test("come without the CHECK of a domain, and without what a column computes", async () => {
      const server = await postgres(version);
      const source = await made(
        server,
        `CREATE TABLE limits (most int); INSERT INTO limits VALUES (10);
         CREATE FUNCTION fits(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql
           AS 'BEGIN RETURN $1 <= coalesce((SELECT most FROM public.limits), 3); END';
         CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
           IF NOT public.fits($1) THEN RAISE 'too much'; END IF; RETURN 2 * $1; END $$;
         CREATE DOMAIN small AS int CONSTRAINT fitting CHECK (fits(VALUE));
         CREATE TABLE of_domain (id small, ids small[]); INSERT INTO of_domain VALUES (5, '{6}');
         CREATE TABLE of_computed (id int, n int GENERATED ALWAYS AS (twice(id)) STORED);
         INSERT INTO of_computed VALUES (5); CREATE INDEX ON of_computed (n);
         UPDATE limits SET most = 3`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      const { result } = await restoreTo(optionsOf(server, target), backup, { isKeepGoing: true });
      assert.deepEqual(
        result.failures.map(({ object, leaves }) => [object, leaves]).sort(),
        [
          [
            "constraint fitting of public.small",
            "The rows are there, and the constraint is NOT VALID: it holds for new rows. " +
            'ALTER DOMAIN public.small VALIDATE CONSTRAINT "fitting" once all rows fulfil it.',
          ],
          [
            "generated column n of public.of_computed",
            "The rows are there, and this is missing: what is in n, and that it is GENERATED " +
            "ALWAYS AS (public.twice(id)) STORED.",
          ],
        ],
      );
      const rows = "SELECT * FROM of_domain; SELECT * FROM of_computed";
      assert.equal(await server.psql(target, rows), "5|{6}\n5|");
      await assert.rejects(server.psql(target, "SELECT 9::small"), /violates check/);
    });
  });
}
