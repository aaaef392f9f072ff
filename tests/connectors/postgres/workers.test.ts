import assert from "node:assert/strict";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { contentOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

/** What pg_restore --jobs makes before the rows of the partitions are there. */
const onPartitions = `
  CREATE TABLE parted (id int, n int) PARTITION BY LIST (id);
  CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1);
  CREATE TABLE part_2 PARTITION OF parted FOR VALUES IN (2);
  INSERT INTO parted SELECT 1 + g % 2, g FROM generate_series(1, 2000) g;
  CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END';
  CREATE TRIGGER bump BEFORE INSERT ON parted FOR EACH ROW EXECUTE FUNCTION bump();
  CREATE TABLE parent (id int); CREATE TABLE heir () INHERITS (parent);
  INSERT INTO heir VALUES (-1);
  ALTER TABLE parent ADD CONSTRAINT positive CHECK (id > 0) NOT VALID`;

const notNullOnPartitions = `
  CREATE TABLE upgraded (a int) PARTITION BY LIST (a);
  CREATE TABLE upgraded_1 PARTITION OF upgraded DEFAULT; INSERT INTO upgraded VALUES (NULL);
  ALTER TABLE upgraded ADD CONSTRAINT filled NOT NULL a NOT VALID`;

/** An index that counts the rows of another table while it is made. */
const lookingIndex = `
  CREATE TABLE a_indexed (id int); INSERT INTO a_indexed SELECT generate_series(1, 100);
  CREATE TABLE z_counted (id int); INSERT INTO z_counted SELECT generate_series(1, 30000);
  CREATE FUNCTION counted(int) RETURNS bigint IMMUTABLE LANGUAGE sql
    AS 'SELECT count(*) FROM public.z_counted';
  CREATE INDEX ON a_indexed (counted(id))`;

/** Two that lock what the other one has: rows and indexes, each by two workers. */
const deadlocking = `
  CREATE FUNCTION locking(mine int, other regclass) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(0.7);
    EXECUTE 'LOCK TABLE ' || other::text || ' IN ACCESS EXCLUSIVE MODE';
    RETURN true; END $$;
  CREATE FUNCTION locked(mine int, other regclass) RETURNS bool IMMUTABLE LANGUAGE plpgsql
    AS 'BEGIN RETURN public.locking(mine, other); END';
  CREATE TABLE one (id int); CREATE TABLE two (id int);
  INSERT INTO one VALUES (1); INSERT INTO two VALUES (1);`;
const deadlockingRows = `${deadlocking}
  ALTER TABLE one ADD CHECK (locking(id, 'public.two')) NOT VALID;
  ALTER TABLE two ADD CHECK (locking(id, 'public.one')) NOT VALID;
  UPDATE pg_constraint SET convalidated = true WHERE contype = 'c' AND conrelid >= 16384`;
const deadlockingIndexes = `${deadlocking}
  CREATE INDEX of_one ON one (locked(id, 'public.two'));
  CREATE INDEX of_two ON two (locked(id, 'public.one'))`;

/** An index that another one, which takes a while, has to be there for. */
const inOrder = `
  CREATE TABLE t (id int); INSERT INTO t VALUES (1);
  CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(1.5); RETURN $1; END';
  CREATE FUNCTION late(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    IF to_regclass('public.a_slow') IS NULL THEN RAISE EXCEPTION 'too early'; END IF;
    RETURN $1; END $$;
  CREATE INDEX a_slow ON t (slow(id)); CREATE INDEX b_late ON t (late(id))`;

/** Indexes of a function that finds another one by the search_path. */
const unsafeIndexes = `
  CREATE FUNCTION inner_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
  CREATE FUNCTION outer_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT inner_one($1)';
  CREATE TABLE t (id int); INSERT INTO t VALUES (1);
  CREATE INDEX unsafe_1 ON t (outer_one(id)); CREATE INDEX unsafe_2 ON t (outer_one(id + 1));
  CREATE INDEX unsafe_3 ON t (outer_one(id + 2))`;

async function made(server: PostgresServer, sql: string): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, sql);
  return name;
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`several workers on PostgreSQL ${version}`, () => {
    for (
      const [title, sql] of [
        ["load the rows of partitions before their triggers are there", onPartitions],
        ...version < 18 ? [] : [
          ["load rows that break a NOT NULL which is NOT VALID", notNullOnPartitions] as const,
        ],
        ["restore rows that lock each other out", deadlockingRows],
        ["make again what one of them was too early for", inOrder],
        ["restore indexes that lock each other out", deadlockingIndexes],
      ] as const
    ) {
      test(title, async () => {
        const server = await postgres(version);
        const source = await made(server, sql);
        const backup = await dumpOf(optionsOf(server, source));
        for (const target of [freshName(), await server.createDatabase()]) {
          const { result } = await restoreTo(optionsOf(server, target), backup, { jobs: 3 });
          assert.deepEqual([result.failures, result.differences], [[], []]);
          assert.equal(await contentOf(server, target), await contentOf(server, source));
        }
      });
    }

    test("make an index when all rows are there that its function looks at", async () => {
      const server = await postgres(version);
      const backup = await dumpOf(optionsOf(server, await made(server, lookingIndex)));
      const target = freshName();
      await restoreTo(optionsOf(server, target), backup, { jobs: 3 });
      assert.equal(
        await server.psql(
          target,
          "SET enable_seqscan = off; SELECT count(*) FROM a_indexed WHERE counted(id) = 30000",
        ),
        "100",
      );
    });

    // Newer ones make no such index in the first place.
    if (version < 17) {
      test("make what fails for the search_path again, without a password, too", async () => {
        const server = await postgres(version);
        const source = await made(server, unsafeIndexes);
        const backup = await dumpOf(optionsOf(server, source));
        const target = freshName();
        const host = encodeURIComponent(server.socketDir);
        const url = `postgres://postgres@${host}:${server.port}/${target}`;
        await restoreTo({ url, toolsDir: server.binDir }, backup, { jobs: 3 });
        assert.equal(await contentOf(server, target), await contentOf(server, source));
      });
    }

    test("become one where the server has no connections for them", async () => {
      const server = await postgres(version);
      const source = await made(server, onPartitions);
      const backup = await dumpOf(optionsOf(server, source));
      const user = freshName();
      await server.psql(
        "postgres",
        `CREATE ROLE ${user} LOGIN CREATEDB PASSWORD 'x' CONNECTION LIMIT 4`,
      );
      const target = freshName();
      const url = server.url(target, { user, password: "x" });
      const { result } = await restoreTo(optionsOf(server, target, { url }), backup, {
        jobs: 8,
        restoreArgs: ["--no-owner"],
      });
      assert.match(
        result.warnings.join("\n"),
        /^The server has no connections for several workers \(.*too many connections for role .*\): one restored "\w+" alone$/m,
      );
      assert.equal(await server.psql(target, "SELECT sum(n) FROM parted"), "2001000");
    });
  });
}
