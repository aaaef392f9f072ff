import assert from "node:assert/strict";
import { test } from "node:test";
import { configure, reset } from "@logtape/logtape";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { BackupError } from "../../../src/core/errors.ts";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { output } from "../../support/run.ts";
import { shared } from "../../support/shared.ts";
import { tempDir } from "../../support/workspace.ts";
import { code, contentOf, databasesOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

/** Tables that need what a database can have, and what can need tables. */
const wide = `
CREATE SCHEMA app;
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, m mood);
CREATE FUNCTION is_pos(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
CREATE FUNCTION is_pos(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION calls(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.is_pos($1)';
CREATE DOMAIN pos AS int CHECK (is_pos(VALUE));
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE COLLATION ger (provider = icu, locale = 'de');
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($1, $2)';
CREATE OPERATOR CLASS own FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,
  OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp(int, int);
CREATE SEQUENCE loose START 40;
CREATE TABLE customers (id serial PRIMARY KEY, name citext);
INSERT INTO customers (name) VALUES ('Ann'), ('Bob');
COMMENT ON TABLE customers IS 'who buys';
GRANT SELECT (id) ON customers TO public;
CREATE TABLE orders (id int PRIMARY KEY DEFAULT nextval('loose'), c int REFERENCES customers,
  m mood, p pair, d pos, f floats, n text COLLATE ger, i int GENERATED ALWAYS AS IDENTITY,
  g int GENERATED ALWAYS AS (abs(c)) STORED, r customers, CHECK (calls(id)));
INSERT INTO orders (c, m, p, d, n, r) VALUES (1, 'ok', '(1,sad)', 3, 'Käse', '(1,x)');
CREATE INDEX orders_own ON orders (id own);
CREATE INDEX orders_words ON orders USING gin (to_tsvector('words', n));
CREATE STATISTICS orders_s ON id, c FROM orders;
CREATE VIEW shown AS SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.c;
CREATE VIEW shown_again AS SELECT * FROM shown;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM shown_again;
CREATE INDEX kept_id ON kept (id);
CREATE VIEW grouped AS SELECT id, name FROM customers GROUP BY id;
CREATE TABLE par (id int, k text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE par_a PARTITION OF par FOR VALUES IN ('a');
CREATE TABLE par_b PARTITION OF par FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE par_b1 PARTITION OF par_b DEFAULT;
CREATE INDEX par_id ON par (id);
INSERT INTO par VALUES (1, 'a'), (2, 'b');
CREATE TABLE old (id int);
CREATE TABLE young (x int) INHERITS (old);
CREATE TABLE younger (y int) INHERITS (old);
INSERT INTO young VALUES (1, 2);
CREATE TABLE log (n int);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO log VALUES (1); PERFORM nextval(''loose''); RETURN new; END';
CREATE TRIGGER notes AFTER INSERT ON par FOR EACH ROW EXECUTE FUNCTION noted();
CREATE FUNCTION standard() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM log; END;
CREATE VIEW counted AS SELECT standard() AS n;
CREATE TABLE guarded (id int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (EXISTS (SELECT 1 FROM customers));
CREATE RULE also AS ON INSERT TO guarded DO ALSO INSERT INTO young VALUES (1, 1);
CREATE FOREIGN DATA WRAPPER fdw;
CREATE SERVER away FOREIGN DATA WRAPPER fdw;
CREATE FOREIGN TABLE distant (a int) SERVER away;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE VIEW app.written AS SELECT 1 AS a;
CREATE TRIGGER takes INSTEAD OF INSERT ON app.written FOR EACH ROW EXECUTE FUNCTION instead();
ALTER VIEW app.written ALTER a SET DEFAULT 5;
`;

/** What each relation is to bring into a new database. */
const alone: readonly [string, readonly string[]][] = [
  ["orders", ["type public.pair", "table public.customers", "function public.is_pos(integer)"]],
  ["customers", ["extension citext"]],
  ["kept", ["view public.shown", "view public.shown_again", "table public.orders"]],
  ["grouped", ["table public.customers"]],
  ["par", ["function public.noted()", "sequence public.loose"]],
  ["par_a", []],
  ["par_b", []],
  ["old", []],
  ["young", ["table public.old"]],
  ["counted", ["function public.standard()", "table public.log"]],
  ["guarded", ["table public.customers", "table public.young"]],
  ["distant", ["server away", "foreign data wrapper fdw"]],
  ["written", ["schema app", "function public.instead()"]],
  ["loose", []],
  ["customers_id_seq", []],
];

/** What can be dropped alone, and comes back to the very same database. */
const droppable: readonly [string, string][] = [
  ["kept", "MATERIALIZED VIEW kept"],
  ["grouped", "VIEW grouped"],
  ["par", "TABLE par"],
  ["par_a", "TABLE par_a"],
  ["par_b", "TABLE par_b"],
  ["younger", "TABLE younger"],
  ["distant", "FOREIGN TABLE distant"],
  ["app.written", "VIEW app.written"],
];

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`--only, PostgreSQL ${version}`, () => {
    const started = () => shared(`postgres for parts ${version}`, () => startPostgres(version));

    /** The wide database and its backup, made once. */
    const made = () =>
      shared(`postgres parts ${version}`, async () => {
        const server = await started();
        const source = await server.createDatabase();
        await server.psql(source, wide);
        const backup = await dumpOf(optionsOf(server, source));
        return { server, source, backup, stop: () => Promise.resolve() };
      });

    for (const [name, along] of alone) {
      test(`${name} comes to a new database with what it needs`, async () => {
        const { server, source, backup } = await made();
        const target = freshName();
        const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
          only: [name],
        });
        assert.deepEqual([result.differences, result.failures, result.warnings], [[], [], []]);
        const told = plan.steps[0]!.part!.along.map((one) => one.replace(/ \(for .*/, ""));
        for (const one of along) assert.ok(told.includes(one), `${one} in ${told.join()}`);
        if (along.length === 0) assert.deepEqual(told, []);
        const names = plan.steps[0]!.part!.asked.map((one) => one.replace(/^.* /, ""));
        assert.equal(await tableOf(server, target, names), await tableOf(server, source, names));
        await server.psql("postgres", `DROP DATABASE ${target}`);
      });
    }

    for (const [name, dropped] of droppable) {
      test(`${name} comes back to where the rest is`, async () => {
        const { server, source, backup } = await made();
        const target = await copyOf(server, source);
        await server.psql(target, `DROP ${dropped}`);
        const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
          only: [name],
        });
        assert.equal(plan.steps[0]!.mode, "fill");
        assert.deepEqual(plan.steps[0]!.part!.along, []);
        assert.deepEqual([result.differences, result.failures, result.warnings], [[], [], []]);
        assert.equal(
          sorted(await contentOf(server, target)),
          sorted(await contentOf(server, source)),
        );
      });

      test(`${name} is put in the place of what is there`, async () => {
        const { server, source, backup } = await made();
        const target = await copyOf(server, source);
        const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
          only: [name],
          isOverwrite: true,
        });
        assert.equal(plan.steps[0]!.mode, "replace");
        assert.deepEqual([result.differences, result.failures, result.warnings], [[], [], []]);
        assert.equal(
          sorted(await contentOf(server, target)),
          sorted(await contentOf(server, source)),
        );
      });
    }

    test("what depends on a table stops its replacement, and is named", async () => {
      const { server, source, backup } = await made();
      const target = await copyOf(server, source);
      const before = await contentOf(server, target);
      const replace = (only: string[]) =>
        restoreTo(optionsOf(server, target), backup, { only, isOverwrite: true });
      await assert.rejects(
        replace(["orders"]),
        hinted(
          "restore/depended-on",
          /public\.orders in .*: view public\.shown depends on it$/,
          /--only public\.shown --only public\.shown_again --only public\.kept/,
        ),
      );
      await assert.rejects(
        replace(["customers"]),
        code("restore/depended-on", /policy own on public\.guarded.*public\.orders\.r.*grouped/),
      );
      await assert.rejects(
        replace(["log"]),
        code("restore/depended-on", /function public\.standard\(\) depends on it/),
      );
      await assert.rejects(
        replace(["loose"]),
        hinted("restore/depended-on", /default value/, /setval\('public\.loose', 40, true\)/),
      );
      await assert.rejects(
        replace(["orders_i_seq"]),
        hinted("restore/only-unsupported", /identity column of public\.orders/, /--only public/),
      );
      assert.equal(await contentOf(server, target), before);
      const { result } = await replace(["orders", "shown", "shown_again", "kept"]);
      assert.deepEqual([result.differences, result.warnings], [[], []]);
      assert.equal(sorted(await contentOf(server, target)), sorted(before));
    });

    test("foreign keys of others stay, and hold for new rows where old ones are gone", async () => {
      const server = await started();
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE TABLE a (id int PRIMARY KEY, b int); INSERT INTO a SELECT i, i FROM generate_series(1, 3) i;
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);
         INSERT INTO b SELECT i, i FROM generate_series(1, 3) i;
         ALTER TABLE a ADD CONSTRAINT round FOREIGN KEY (b) REFERENCES b DEFERRABLE;
         COMMENT ON CONSTRAINT b_a_fkey ON b IS 'it''s b''s';
         CREATE TABLE p (id int, a int REFERENCES a) PARTITION BY LIST (id);
         CREATE TABLE p1 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1, 1);
         CREATE PUBLICATION pub FOR TABLE a, b;`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const target = await copyOf(server, source);
      await server.psql(target, "UPDATE a SET b = NULL");
      const replace = (only: string[], changed: Partial<RestoreOptions> = {}) =>
        restoreTo(optionsOf(server, target), backup, { only, isOverwrite: true, ...changed });
      const { plan, result } = await replace(["a"]);
      assert.match(plan.steps[0]!.loses!, /2 foreign keys of other tables/);
      assert.deepEqual([result.differences, result.warnings], [[], []]);
      const before = sorted(await contentOf(server, source));
      assert.equal(sorted(await contentOf(server, target)), before);
      const both = await replace(["a", "b"]);
      assert.deepEqual([both.result.differences, both.result.warnings], [[], []]);
      assert.equal(sorted(await contentOf(server, target)), before);

      // Rows of now that the backup's do not know.
      await server.psql(
        target,
        "INSERT INTO a VALUES (9); INSERT INTO b VALUES (9, 9); UPDATE a SET b = NULL; " +
          "DELETE FROM b WHERE id = 2",
      );
      const { result: loose } = await replace(["a"]);
      assert.match(loose.warnings.join("\n"), /b_a_fkey of public\.b no longer holds for all rows/);
      assert.match(
        loose.warnings.join("\n"),
        /fk constraint public\.a round does not hold for all/,
      );
      assert.equal(
        await server.psql(
          target,
          "SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f' ORDER BY 1, conrelid::regclass::text LIMIT 2",
        ),
        "b_a_fkey|f\np_a_fkey|t",
      );
      assert.equal(await server.psql(target, "SELECT count(*) FROM b WHERE id = 9"), "1");
      await assert.rejects(
        replace(["a"], { isKeepGoing: true }),
        code("restore/only-unsupported", /--keep-going/),
      );
    });

    test("foreign keys to what does not come along are named, and made where it is there", async () => {
      const server = await started();
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a, b int REFERENCES b);
         INSERT INTO b VALUES (1, 1, 1);`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      const first = await restoreTo(optionsOf(server, target), backup, { only: ["b"] });
      assert.deepEqual(first.plan.steps[0]!.part!.notes, [
        "fk constraint public.b b_a_fkey is left out: public.a does not come along",
      ]);
      const second = await restoreTo(optionsOf(server, target), backup, { only: ["a"] });
      assert.match(
        second.plan.steps[0]!.part!.notes.join(),
        /b_a_fkey, which the backup has, is not/,
      );
      await server.psql(target, "DROP TABLE b");
      const third = await restoreTo(optionsOf(server, target), backup, { only: ["b"] });
      assert.deepEqual(third.result.warnings, []);
      assert.equal(
        sorted(await contentOf(server, target)),
        sorted(await contentOf(server, source)),
      );
    });

    test("partitions that the backup does not have are named before they go", async () => {
      const { server, source, backup } = await made();
      const target = await copyOf(server, source);
      await server.psql(target, "CREATE TABLE par_new PARTITION OF par FOR VALUES IN ('new')");
      const { plan } = await restoreTo(optionsOf(server, target), backup, {
        only: ["par"],
        isOverwrite: true,
      });
      assert.match(
        plan.steps[0]!.loses!,
        /public\.par_new, which the backup does not have, goes too/,
      );
    });

    test("a table takes the place of something else that has its name", async () => {
      const { server, backup } = await made();
      const target = await server.createDatabase();
      await server.psql(target, "CREATE VIEW old AS SELECT 'mine' AS id");
      await server.psql(target, "CREATE TABLE young AS SELECT 'mine' AS note");
      const { result } = await restoreTo(optionsOf(server, target), backup, {
        only: ["old"],
        isOverwrite: true,
      });
      assert.deepEqual([result.differences, result.warnings], [[], []]);
      assert.equal(await server.psql(target, "SELECT * FROM old"), "1");
    });

    test("names of others are not taken", async () => {
      const { server, backup } = await made();
      const target = await server.createDatabase();
      await server.psql(target, "CREATE TABLE mine (id int); CREATE INDEX par_id ON mine (id)");
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup, { only: ["par"] }),
        code("restore/not-empty", /something called like index public\.par_id already/),
      );
    });

    test("a failure leaves what was to be replaced", async () => {
      const { server, source, backup } = await made();
      const target = await copyOf(server, source);
      // The backup's rows are not as what is there wants them.
      await server.psql(
        target,
        `CREATE TABLE closed (id int, k text NOT NULL) PARTITION BY LIST (k);
         ALTER TABLE par DETACH PARTITION par_a; DROP TABLE par CASCADE; ALTER TABLE closed RENAME TO par;
         ALTER TABLE par ADD CHECK (id > 5)`,
      );
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup, { only: ["par_a"], isOverwrite: true }),
        code("restore/failed", /table attach public\.par_a: .*/),
      );
      assert.equal(await server.psql(target, "SELECT * FROM par_a"), "1|a");
    });

    test("what a CHECK's function reads comes along; what a trigger's names is told", async () => {
      const server = await started();
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE TABLE limits (most int); INSERT INTO limits VALUES (10);
         CREATE TABLE audit (at text); CREATE SEQUENCE ticks; CREATE TYPE note AS (t text);
         CREATE FUNCTION most() RETURNS int LANGUAGE plpgsql AS
           $$ DECLARE v public.limits%ROWTYPE; BEGIN SELECT * INTO v FROM public.limits; RETURN v.most; END $$;
         CREATE FUNCTION fits(n int) RETURNS bool LANGUAGE sql AS 'SELECT n < public.most()';
         CREATE FUNCTION named() RETURNS trigger LANGUAGE plpgsql AS $f$ DECLARE n note; BEGIN
           INSERT INTO audit VALUES ('x'); PERFORM nextval('public.ticks'); RETURN new; END $f$;
         CREATE TABLE things (n int CHECK (fits(n)), o oid, t text, words tsvector);
         CREATE TEXT SEARCH CONFIGURATION own (COPY = simple);
         CREATE TRIGGER reads BEFORE UPDATE ON things FOR EACH ROW
           EXECUTE FUNCTION tsvector_update_trigger('words', 'public.own', 't');
         CREATE TRIGGER names BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION named();
         ALTER TABLE things DISABLE TRIGGER names;
         INSERT INTO things VALUES (3); SELECT lo_create(0);`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
        only: ["things"],
      });
      assert.deepEqual([result.differences, result.failures], [[], []]);
      const { along, notes } = plan.steps[0]!.part!;
      assert.deepEqual(along.map((one) => one.replace(/ \(for .*/, "")).sort(), [
        ...["function public.fits(integer)", "function public.most()", "function public.named()"],
        ...["sequence public.ticks", "table public.limits", "text search configuration public.own"],
        "type public.note",
      ]);
      assert.deepEqual(notes, [
        "function public.named() names public.audit, which does not come along",
        "table public.things may point to large objects, which do not come along",
      ]);
      await server.psql(target, "UPDATE things SET t = 'a b'");
      assert.equal(await server.psql(target, "SELECT n FROM things; SELECT most()"), "3\n10");
      assert.equal(
        await server.psql(target, "SELECT tgenabled FROM pg_trigger WHERE tgname = 'names'"),
        "D",
      );
    });

    test("only the roles of what is restored have to be there", async () => {
      const server = await started();
      const source = await server.createDatabase();
      const role = freshName();
      await server.psql(
        source,
        `CREATE ROLE ${role}; CREATE TABLE mine (id int); CREATE TABLE theirs (id int);
         ALTER TABLE theirs OWNER TO ${role}; GRANT SELECT ON theirs TO ${role}`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      await server.psql(source, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
      const target = freshName();
      await restoreTo(optionsOf(server, target), backup, { only: ["mine"] });
      await assert.rejects(
        restoreTo(optionsOf(server, freshName()), backup, { only: ["theirs"] }),
        code("restore/missing-owners", new RegExp(role)),
      );
    });

    test("tables are replaced in databases of other encodings", async () => {
      const server = await started();
      const source = freshName();
      await server.psql(
        "postgres",
        `CREATE DATABASE ${source} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0`,
      );
      await server.psql(
        source,
        `CREATE TABLE "größe" (id int PRIMARY KEY); INSERT INTO "größe" VALUES (1);
         CREATE TABLE "straße" (id int CONSTRAINT "ü\\""x" REFERENCES "größe");
         COMMENT ON CONSTRAINT "ü\\""x" ON "straße" IS E'äöü''\\\\x'; INSERT INTO "straße" VALUES (1)`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const before = sorted(await contentOf(server, source));
      const { result } = await restoreTo(optionsOf(server, source), backup, {
        only: ["größe"],
        isOverwrite: true,
      });
      assert.deepEqual([result.differences, result.warnings], [[], []]);
      assert.equal(sorted(await contentOf(server, source)), before);
      assert.equal(
        await server.psql(
          source,
          "SELECT obj_description(oid) FROM pg_constraint WHERE contype = 'f'",
        ),
        "äöü'\\x",
      );
    });

    test("a session that holds what is replaced is named", async () => {
      const server = await started();
      const source = await server.createDatabase();
      await server.psql(source, "CREATE TABLE held AS SELECT 1 AS n");
      const backup = await dumpOf(optionsOf(server, source));
      const holder = server.psql(source, "BEGIN; LOCK TABLE held; SELECT pg_sleep(8); COMMIT");
      const isHeld =
        "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted " +
        "AND relation = 'held'::regclass";
      while (await server.psql(source, isHeld) === "0");
      const lines: string[] = [];
      await configure({
        sinks: { lines: ({ message }) => lines.push(message.map(String).join("")) },
        loggers: [
          { category: ["dbbackup"], sinks: ["lines"], lowestLevel: "warning" },
          { category: ["logtape", "meta"], lowestLevel: "error" },
        ],
      });
      try {
        const { result } = await restoreTo(optionsOf(server, source), backup, {
          only: ["held"],
          isOverwrite: true,
        });
        await holder;
        assert.deepEqual(result.differences, []);
      } finally {
        await reset();
      }
      assert.match(lines.join("\n"), /waits for .*psql of postgres.*pg_terminate_backend/);
    });

    test("a partition joins its table with its own indexes, by several workers and in phases, too", async () => {
      const server = await started();
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE TABLE last (n int); CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql AS
           'SELECT EXISTS (SELECT FROM public.last WHERE n >= $1)';
         INSERT INTO last VALUES (5);
         CREATE TABLE p (id int PRIMARY KEY CHECK (known(id))) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX p_i ON p ((id + 1));
         INSERT INTO p VALUES (1), (2)`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      for (const jobs of [1, 3]) {
        const target = await copyOf(server, source);
        await server.psql(target, "DROP TABLE p1");
        const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
          only: ["p1"],
          jobs,
        });
        assert.deepEqual(plan.steps[0]!.part!.used, ["function public.known(integer)"]);
        assert.deepEqual([result.differences, result.failures], [[], []]);
        assert.equal(
          sorted(await contentOf(server, target)),
          sorted(await contentOf(server, source)),
        );
        // All at once, the rows of the one before those of the other.
        const whole = freshName();
        const all = await restoreTo(optionsOf(server, whole), backup, { only: ["p"], jobs });
        assert.deepEqual([all.result.differences, all.result.failures], [[], []]);
        assert.equal(
          sorted(await contentOf(server, whole)),
          sorted(await contentOf(server, source)),
        );
      }
    });

    test("who may not drop a table is told before anything is done", async () => {
      const server = await started();
      const source = await server.createDatabase();
      const role = freshName();
      await server.psql(
        source,
        `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a);
         CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT ALL ON SCHEMA public TO ${role};`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const url = server.url(source, { user: role, password: "secret" });
      const replace = () =>
        restoreTo({ ...optionsOf(server), url }, backup, {
          only: ["a"],
          isOverwrite: true,
          restoreArgs: ["--no-owner"],
        });
      const denied = code(
        "connection/denied",
        /may not replace public\.a .*: public\.a belongs to/,
      );
      await assert.rejects(replace(), denied);
      await server.psql(source, `ALTER TABLE a OWNER TO ${role}`);
      await assert.rejects(replace(), code("connection/denied", /: public\.b belongs to/));
      await server.psql(source, `ALTER TABLE b OWNER TO ${role}`);
      const { result } = await replace();
      assert.deepEqual([result.differences, result.warnings], [[], []]);
    });

    test("what is there and does not fit leaves everything as it was", async () => {
      const { server, source, backup } = await made();
      const target = await copyOf(server, source);
      await server.psql(
        target,
        "DROP VIEW counted, grouped; ALTER TABLE customers RENAME name TO n",
      );
      const before = await contentOf(server, target);
      await assert.rejects(
        restoreTo(optionsOf(server, target), backup, { only: ["grouped"] }),
        hinted(
          "restore/failed",
          /public\.grouped.*: column .*name.* does not exist/,
          /Nothing was/,
        ),
      );
      assert.equal(await contentOf(server, target), before);
    });

    test("publications keep a table that is replaced, with its columns and filter", async () => {
      const server = await started();
      const source = await server.createDatabase();
      await server.psql(source, "CREATE TABLE t (id int PRIMARY KEY, n int, x int)");
      const backup = await dumpOf(optionsOf(server, source));
      await server.psql(source, "CREATE PUBLICATION p FOR TABLE t (id, n) WHERE (id > 3)");
      const before = await contentOf(server, source);
      await restoreTo(optionsOf(server, source), backup, { only: ["t"], isOverwrite: true });
      assert.equal(await contentOf(server, source), before);
    });

    test("names are found as they are, and as SQL writes them", async () => {
      const server = await started();
      const source = await server.createDatabase();
      const long = "ä".repeat(31) + "x";
      await server.psql(
        source,
        `CREATE SCHEMA "Mixed Case"; CREATE TABLE "Mixed Case"."Tab.le" (id int);
         CREATE SCHEMA a; CREATE TABLE a.twin (id int); CREATE TABLE twin (id int);
         CREATE TABLE "${long}" (id int); CREATE TABLE "日本" (id int); CREATE TABLE "q""t" (id int);
         CREATE TABLE orders (id int); CREATE FUNCTION works() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      const only = [
        ...['"Mixed Case"."Tab.le"', "public.twin", "a.twin", long, "日本", '"q""t"', "ORDERS"],
      ];
      const all = freshName();
      await restoreTo(optionsOf(server, all), backup, { only: [...only.slice(0, -1), "orders"] });
      assert.equal(
        await server.psql(all, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid > 16383"),
        "7",
      );
      const target = freshName();
      const wrong = (name: string, expected: string, message: RegExp, hint: RegExp) =>
        assert.rejects(
          restoreTo(optionsOf(server, target), backup, { only: [name] }),
          hinted(expected, message, hint),
        );
      await wrong(
        "twin",
        "restore/ambiguous-object",
        /"twin" is a\.twin and public\.twin/,
        /--only a\.twin or --only public\.twin/,
      );
      const none = "restore/no-such-object";
      await wrong("ORDERS", none, /no table "ORDERS"/, /Did you mean --only public\.orders\?/);
      await wrong("oders", none, /no table "oders"/, /Did you mean --only public\.orders\?/);
      await wrong("mixed case.tab.le", none, /./, /--only '"Mixed Case"\."Tab\.le"'\?/);
      await wrong("works", none, /./, /Function public\.works\(\) comes along/);
      await wrong("xyzzy", none, /./, /It has .*public\.orders/);
      assert.ok(!(await databasesOf(server)).includes(target));
    });
  });
}

needs("postgres18").describe("--only with tables of extensions", () => {
  test("their own rows come to a new database with them, and to no other", async () => {
    const folder = tempDir("extension");
    mkdirSync(path.join(folder, "extension"));
    writeFileSync(
      path.join(folder, "extension", "places.control"),
      "default_version = '1'\ncomment = 'places'\n",
    );
    writeFileSync(
      path.join(folder, "extension", "places--1.sql"),
      `CREATE TABLE place (id int, name text); INSERT INTO place VALUES (1, 'given');
       SELECT pg_catalog.pg_extension_config_dump('place', 'WHERE id > 1');`,
    );
    chmodSync(folder, 0o755);
    const server = await startPostgres(18, {
      settings: { extension_control_path: `${folder}:$system` },
    });
    try {
      const source = await server.createDatabase();
      await server.psql(
        source,
        `CREATE EXTENSION places; INSERT INTO place VALUES (2, 'own');
         CREATE TABLE users (id int, home place); INSERT INTO users VALUES (1, '(2,own)')`,
      );
      const backup = await dumpOf(optionsOf(server, source));
      for (const name of ["place", "users"]) {
        const target = freshName();
        const { plan, result } = await restoreTo(optionsOf(server, target), backup, {
          only: [name],
        });
        assert.deepEqual([result.differences, result.warnings], [[], []]);
        assert.match(JSON.stringify(plan.steps[0]!.part), /extension places/);
        assert.equal(await server.psql(target, "SELECT * FROM place"), "1|given\n2|own");
      }
      const before = await contentOf(server, source);
      for (const isOverwrite of [false, true]) {
        await assert.rejects(
          restoreTo(optionsOf(server, source), backup, { only: ["place"], isOverwrite }),
          code("restore/only-unsupported", /An extension makes public\.place/),
        );
      }
      assert.equal(await contentOf(server, source), before);
    } finally {
      await server.stop();
    }
  });
});

needs("postgres15").describe("--only with tools of another version", () => {
  test(
    "needs one transaction to replace, and says so",
    { skip: process.platform !== "linux" },
    async () => {
      const [old, young] = await Promise.all([
        shared("postgres for parts 15", () => startPostgres(15)),
        shared("postgres for parts 18", () => startPostgres(18)),
      ]);
      const source = await old.createDatabase();
      await old.psql(source, "CREATE TABLE t AS SELECT 1 AS n");
      const options = { ...optionsOf(old, source), toolsDir: young.binDir };
      const backup = await dumpOf(options);
      await assert.rejects(
        restoreTo(options, backup, { only: ["t"], isOverwrite: true }),
        hinted("restore/only-unsupported", /in one transaction/, /postgresql-client-15/),
      );
      await old.psql(source, "DROP TABLE t");
      await restoreTo(options, backup, { only: ["t"] });
      assert.equal(await old.psql(source, "SELECT * FROM t"), "1");
    },
  );
});

async function copyOf(server: PostgresServer, source: string): Promise<string> {
  const name = freshName();
  await server.psql("postgres", `CREATE DATABASE ${name} TEMPLATE ${source}`);
  return name;
}

/** Some relations with all that is theirs, as SQL. */
async function tableOf(
  server: PostgresServer,
  database: string,
  names: readonly string[],
): Promise<string> {
  const text = await output(
    path.join(server.binDir, "pg_dump"),
    names.map((name) => `--table=${name}`),
    {
      env: {
        ...process.env,
        PGHOST: server.socketDir,
        PGPORT: String(server.port),
        PGUSER: "postgres",
        PGDATABASE: database,
      },
    },
  );
  return text.split("\n").filter((line) =>
    // What joins it to others that did not come along.
    !/^($|--|\\(un)?restrict |ALTER (TABLE|INDEX).* ATTACH PARTITION |ALTER SEQUENCE .* OWNED BY )/
      .test(line)
  ).join("\n");
}

/** Their order depends on when they were made. */
function sorted(content: string): string {
  return content.split("\n").filter((line) => line !== "").sort().join("\n");
}

const hinted = (expected: string, message: RegExp, hint: RegExp) => (error: unknown) => {
  if (!code(expected, message)(error)) return false;
  if (error instanceof BackupError) assert.match(error.hint!, hint);
  return true;
};
