import assert from "node:assert/strict";
import { test } from "node:test";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";
import type { DumpSettings } from "../../../src/contracts/source.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import { shared } from "../../support/shared.ts";
import { code, contentOf, dumpOf, optionsOf, restoreTo, withConnector } from "./opened.ts";

const family = `
  CREATE TABLE "Par.ent" (id int, n text NOT NULL); INSERT INTO "Par.ent" VALUES (0, 'p');
  CREATE TABLE child (x int) INHERITS ("Par.ent"); INSERT INTO child VALUES (1, 'c', 2);
  CREATE INDEX child_x ON child (x);
  CREATE TABLE "Größe" (p "Par.ent"[]); INSERT INTO "Größe" VALUES (ARRAY[ROW(1, 'x')::"Par.ent"]);
  CREATE DOMAIN whole AS "Par.ent" CHECK ((value).id > 0);
  CREATE TYPE pair AS (a int, p "Par.ent");
  CREATE TABLE of_pairs (id int GENERATED ALWAYS AS IDENTITY, p pair);
  INSERT INTO of_pairs (p) VALUES (ROW(1, ROW(2, 'y')));
  CREATE VIEW seen AS SELECT count(*) FROM child;
  CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
  CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9); INSERT INTO parted VALUES (1);
  CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (5);`;

const elsewhere = `
  CREATE SCHEMA "Ext"; CREATE EXTENSION citext SCHEMA "Ext";
  CREATE SCHEMA other; CREATE TYPE other.mood AS ENUM ('a');
  CREATE FUNCTION other.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
  CREATE FUNCTION other.tg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
  CREATE FUNCTION other."My eq"(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
  CREATE OPERATOR other.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = other."My eq");
  CREATE COLLATION other.c FROM "C";
  CREATE TABLE words (w "Ext".citext); INSERT INTO words VALUES ('A');
  CREATE TABLE moods (m other.mood); INSERT INTO moods VALUES ('a');
  CREATE TABLE plain (id int, t text); INSERT INTO plain VALUES (1, 'x');
  CREATE INDEX plain_f ON plain (other.f(id)); CREATE INDEX plain_c ON plain (t COLLATE other.c);
  CREATE VIEW compared AS SELECT id OPERATOR(other.===) 1 AS is_one FROM plain;
  CREATE VIEW named AS SELECT other."My eq"(id, 1) AS is_one FROM plain;
  CREATE DOMAIN word AS "Ext".citext;
  CREATE TRIGGER stamps BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION other.tg();`;

const ways: [string, Partial<RestoreOptions>, boolean][] = [
  ["to a new database", {}, false],
  ["into an empty database by several workers", { jobs: 2 }, true],
  ["over an old database", { isOverwrite: true }, true],
];

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(
    `what a backup lacks and others in it need, PostgreSQL ${version}`,
    () => {
      const started = () =>
        shared(`postgres with what others need ${version}`, async () => {
          const server = await startPostgres(version);
          await server.psql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'r'; CREATE ROLE app");
          return server;
        });
      const made = async (sql: string) => {
        const server = await started();
        const source = await server.createDatabase();
        await server.psql(source, sql);
        return { server, source };
      };
      /** Looks and dumps, which say the same. */
      const backedUp = async (
        options: ReturnType<typeof optionsOf>,
        settings: DumpSettings,
      ) => {
        const info = await withConnector(
          options,
          (connector) => connector.inspect({ signal: never, settings }),
        );
        const backup = await dumpOf(options, { settings });
        assert.deepEqual(backup.result.omitted, info.omissions);
        for (const warning of info.warnings.filter((one) => one.startsWith("In "))) {
          assert.ok(backup.result.warnings.includes(warning), warning);
        }
        return { ...info, backup };
      };

      test("nothing is said of a backup that lacks nothing", async () => {
        const { server, source } = await made(family);
        const { omissions, warnings } = await backedUp(optionsOf(server, source), {
          exclude: ["kept"],
          excludeData: ["child"],
        });
        assert.deepEqual([omissions, warnings], [[], []]);
      });

      for (const [way, changed, isThere] of ways) {
        const target = async () => {
          const server = await started();
          const name = freshName();
          if (isThere) await server.createDatabase(name);
          if (changed.isOverwrite) await server.psql(name, "CREATE TABLE old (id int)");
          return name;
        };

        test(`tables of an excluded one are told, and all else is restored, ${way}`, async () => {
          const { server, source } = await made(family);
          const { omissions, warnings, backup } = await backedUp(optionsOf(server, source), {
            exclude: ['"Par.ent"', "parted"],
          });
          assert.deepEqual(omissions, [{
            name: "dependent-tables",
            reason: `in "${source}", the rows of public.child, public.Größe, public.of_pairs ` +
              'cannot be restored without table public."Par.ent", left out here',
            objects: ["public.child", "public.Größe", "public.of_pairs"],
            hint: 'Leave only the rows of public."Par.ent" out (--exclude-data). Or leave those ' +
              "tables out, too (--exclude).",
          }]);
          assert.deepEqual(warnings, [
            `In "${source}", table public."Par.ent" is left out, and so a restore leaves out what ` +
            "needs it: domain public.whole, type public.pair, view public.seen",
            `In "${source}", table public.parted is left out, and so a restore makes its partition ` +
            "public.part a table of its own, without the foreign keys, triggers and checks that " +
            "it has from there",
          ]);
          const name = await target();
          const { result } = await restoreTo(optionsOf(server, name), backup, changed);
          assert.deepEqual([result.differences, result.failures], [[], []]);
          const told = result.warnings.join("\n");
          for (
            const object of [
              "table public.child with its rows",
              "table public.Größe with its rows",
              "table public.of_pairs with its rows",
              "domain public.whole",
              "type public.pair",
              "view public.seen",
              "table attach public.part",
            ]
          ) assert.ok(told.includes(object), `${object} in ${told}`);
          assert.equal(
            await server.psql(
              name,
              `SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class
                WHERE relnamespace = 'public'::regnamespace`,
            ),
            "kept kept_pkey part part_pkey",
          );
          assert.equal(await server.psql(name, "TABLE kept; TABLE part"), "5\n1");
          await assert.rejects(
            restoreTo(optionsOf(server, freshName()), backup, { only: ["child"] }),
            code("restore/failed", /^pg_restore failed: table public\.child: /),
          );
          // Rows that nobody accepted to lose are not left out.
          const unaccepted = { ...backup, result: { ...backup.result, omitted: [] } };
          await assert.rejects(
            restoreTo(optionsOf(server, freshName()), unaccepted, changed),
            code("restore/failed", /table public\.\S+ .*does not exist/),
          );
        });

        test(`what is in other schemas is told, and all else is restored, ${way}`, async () => {
          const { server, source } = await made(elsewhere);
          const options = optionsOf(server, source);
          const { omissions, warnings, backup } = await backedUp(options, {
            dumpArgs: ["--schema=public"],
          });
          assert.deepEqual(omissions, [{
            name: "dependent-tables",
            reason: `in "${source}", the rows of public.words cannot be restored without the ` +
              "extension citext, left out here; the rows of public.moods cannot be restored " +
              "without type other.mood, left out here",
            objects: ["public.words", "public.moods"],
            hint: "Add --dump-arg=--extension=citext. Choose whole schemas, other among " +
              "them (--dump-arg=--schema=other), and no single tables. Or leave those tables out, " +
              "too (--exclude).",
          }]);
          const said = warnings.join("\n");
          const lost = [
            "index public.plain_f",
            "index public.plain_c",
            "view public.compared",
            "view public.named",
            "domain public.word",
            "trigger public.plain stamps",
          ];
          for (const object of lost) assert.ok(said.includes(object), `${object} in ${said}`);
          const name = await target();
          const { result } = await restoreTo(optionsOf(server, name), backup, changed);
          assert.deepEqual([result.differences, result.failures], [[], []]);
          const told = result.warnings.join("\n");
          for (const object of lost) assert.ok(told.includes(object), `${object} in ${told}`);
          assert.equal(await server.psql(name, "TABLE plain"), "1|x");

          const whole = await backedUp(options, {
            dumpArgs: ["--schema=public", "--extension=citext", "--schema=other"],
          });
          assert.deepEqual([whole.omissions, whole.warnings], [[], []]);
          const other = await target();
          const again = await restoreTo(optionsOf(server, other), whole.backup, changed);
          assert.deepEqual([again.result.differences, again.result.warnings], [[], []]);
          assert.equal(await contentOf(server, other), await contentOf(server, source));
        });

        test(`rows come that a CHECK refuses without what is left out, ${way}`, async () => {
          const { server, source } = await made(`
            CREATE TABLE gone AS SELECT 1 AS id;
            CREATE FUNCTION is_there(int) RETURNS bool LANGUAGE plpgsql
              AS 'BEGIN RETURN EXISTS (SELECT FROM public.gone WHERE id = $1); END';
            CREATE TABLE looking (id int CONSTRAINT "Looks" CHECK (is_there(id)));
            INSERT INTO looking VALUES (1); CREATE INDEX ON looking (id)`);
          const reasons: [DumpSettings, string][] = [
            [{ exclude: ["gone"] }, 'relation "public.gone" does not exist'],
            [
              { excludeData: ["gone"] },
              'new row for relation "looking" violates check constraint "Looks"',
            ],
          ];
          for (const [settings, reason] of reasons) {
            const backup = await dumpOf(optionsOf(server, source), { settings });
            const name = await target();
            const { result } = await restoreTo(optionsOf(server, name), backup, changed);
            assert.deepEqual([result.differences, result.failures], [[], []]);
            assert.deepEqual(result.warnings, [
              "The constraint Looks of public.looking refuses rows, as what it looks at may not be " +
              `in the backup (${reason}). The rows are there, and the constraint is NOT VALID: it ` +
              'holds for new rows. ALTER TABLE public.looking VALIDATE CONSTRAINT "Looks" once all ' +
              "rows fulfil it.",
            ]);
            assert.equal(await server.psql(name, "TABLE looking"), "1");
          }
        });

        test(`sequences that defaults need are made and go on, ${way}`, async () => {
          const { server, source } = await made(`
            CREATE SCHEMA other; CREATE SEQUENCE other."Odd.S""q'"; CREATE TABLE other.t (id int);
            CREATE TABLE t (id bigint DEFAULT nextval('other."Odd.S""q''"') PRIMARY KEY, n text);
            INSERT INTO t (n) SELECT 'a' FROM generate_series(1, 7); ALTER TABLE t OWNER TO app;
            ALTER SCHEMA public OWNER TO app`);
          for (
            const settings of [{ exclude: ["other.*"] }, { dumpArgs: ["-n", "public"] }] as const
          ) {
            const { omissions, warnings, backup } = await backedUp(
              optionsOf(server, source),
              settings,
            );
            assert.deepEqual(omissions, []);
            assert.deepEqual(warnings, [
              `In "${source}", sequence other."Odd.S""q'" is left out and a default of public.t ` +
              "needs it: a restore makes it anew, to go on after the column's largest value",
            ]);
            const name = await target();
            const { result } = await restoreTo(optionsOf(server, name), backup, changed);
            assert.deepEqual([result.differences, result.failures], [[], []]);
            assert.deepEqual(result.warnings, [
              "The sequence other.Odd.S\"q' is not in the backup, and the default of public.t.id " +
              "needs it: it was made anew; it goes on after 7, the largest value in " +
              "public.t.id. Only the table's owner has rights on it",
            ]);
            assert.equal(
              await server.psql(name, "SET ROLE app; INSERT INTO t (n) VALUES ('b') RETURNING id"),
              "8",
            );
            assert.equal(
              await server.psql(
                name,
                "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'public'",
              ),
              "app",
            );
          }
        });
      }

      test("names of every kind are found, left out and told", async () => {
        const long = "é".repeat(31) + "x";
        const { server, source } = await made(`
          CREATE SCHEMA "Sché.ma"; CREATE SCHEMA "a b"; CREATE SCHEMA "select";
          CREATE TABLE "Sché.ma"."T.a""b c" (id int PRIMARY KEY, "C""ol" int);
          CREATE TABLE "a b"."${long}" (x int) INHERITS ("Sché.ma"."T.a""b c");
          INSERT INTO "a b"."${long}" VALUES (1, 2, 3);
          CREATE TABLE "ключ" (k int REFERENCES "Sché.ma"."T.a""b c");
          CREATE VIEW "select"."V ""(w)" AS SELECT * FROM "Sché.ma"."T.a""b c";
          CREATE TYPE "a b"."Ty.pe" AS ENUM ('x'); CREATE TABLE ty AS SELECT '{x}'::"a b"."Ty.pe"[] AS t;
          CREATE FUNCTION "a b"."F(x)"(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
          CREATE TABLE plain AS SELECT 1 AS id; CREATE INDEX "I.x" ON plain ("a b"."F(x)"(id))`);
        const options = optionsOf(server, source);
        const cases: [DumpSettings, string[], RegExp][] = [
          [
            { exclude: ['"Sché.ma"."T.a""b c"'] },
            [`a b.${long}`],
            /needs it: fk constraint public\.ключ ключ_k_fkey|view select\.V "\(w\)/,
          ],
          [{ exclude: ['"Sché.ma".*'] }, [`a b.${long}`], /view select\.V "\(w\)/],
          [{ dumpArgs: ["-N", '"a b"'] }, ["public.ty"], /index public\.I\.x/],
        ];
        for (const [settings, tables, told] of cases) {
          const { omissions, warnings, backup } = await backedUp(options, settings);
          assert.deepEqual(omissions.map(({ objects }) => objects), [tables]);
          assert.match(warnings.join("\n"), told);
          const name = freshName();
          const { result } = await restoreTo(optionsOf(server, name), backup);
          assert.deepEqual([result.differences, result.failures], [[], []]);
          assert.match(result.warnings.join("\n"), told);
          assert.ok(result.warnings.join("\n").includes(`table ${tables[0]} with its rows`));
          assert.equal(await server.psql(name, "TABLE plain"), "1");
        }
        assert.match(
          (await backedUp(options, { dumpArgs: ["-N", '"a b"'] })).omissions[0]!.hint!,
          /"a b" among them \('--dump-arg=--schema="a b"'\)/,
        );
        const { warnings } = await backedUp(options, { exclude: ["Select.*", "PLAIN", "Ключ"] });
        assert.deepEqual(warnings.filter((one) => one.startsWith("Nothing")), [
          "Nothing is left out by Ключ: no table has such a name. Patterns are pg_dump's, and " +
          "names with capitals, dots or spaces are in double quotes",
        ]);
        await assert.rejects(
          backedUp(options, { exclude: ["Sché.ma.*"] }),
          (error) =>
            code("dump/failed", /cross-database references/)(error) &&
            error instanceof BackupError && /dots in double quotes\.$/.test(error.hint!),
        );
      });

      test("extensions and tables of one schema are told apart, and a target may have what lacks", async () => {
        const { server, source } = await made(`
          CREATE EXTENSION cube; CREATE EXTENSION earthdistance; CREATE SCHEMA s;
          CREATE TABLE s.places (c cube); INSERT INTO s.places VALUES ('(1,2)');
          CREATE TABLE s.earths (e earth); INSERT INTO s.earths VALUES (ll_to_earth(1, 2));
          CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1);
          CREATE TABLE s.fk (id int REFERENCES p); INSERT INTO s.fk VALUES (1);
          CREATE FUNCTION s.counts() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM p; END;
          CREATE RULE r AS ON INSERT TO s.fk DO ALSO INSERT INTO p VALUES (new.id)`);
        const options = optionsOf(server, source);
        const rows = "SELECT count(*) FROM s.places; SELECT count(*) FROM s.earths; TABLE s.fk";

        const excluded = await backedUp(options, { exclude: ["p"] });
        assert.deepEqual(excluded.omissions, []);
        const first = freshName();
        const one = await restoreTo(optionsOf(server, first), excluded.backup);
        assert.deepEqual(one.result.differences, []);
        assert.deepEqual(one.result.warnings, [
          "public.p is not in the backup, and so what uses it is left out: function s.counts(), " +
          "rule s.fk r, fk constraint s.fk fk_id_fkey",
        ]);
        assert.equal(await server.psql(first, rows), "1\n1\n1");

        const chosen = await backedUp(options, {
          dumpArgs: ["--schema=s", "--extension=earthdistance"],
        });
        assert.deepEqual(chosen.omissions.map(({ objects }) => objects), [[
          "s.places",
          "s.earths",
        ]]);
        assert.match(chosen.omissions[0]!.hint!, /^Add --dump-arg=--extension=cube\. Or/);
        const bare = await restoreTo(optionsOf(server, freshName()), chosen.backup);
        assert.deepEqual([bare.result.differences, bare.result.failures], [[], []]);
        assert.match(
          bare.result.warnings.join("\n"),
          /cube is not in the backup, and so what uses it is left out: extension earthdistance/,
        );

        const filled = await server.createDatabase();
        await server.psql(filled, "CREATE EXTENSION cube");
        const full = await restoreTo(optionsOf(server, filled), chosen.backup);
        assert.deepEqual(
          full.result.differences.map(({ name, problem, isFailure }) => [name, problem, isFailure]),
          [["cube", "extra", false]],
        );
        assert.equal(await server.psql(filled, rows), "1\n1\n1");
      });

      test("rows that are in left out partitions, or loaded through a left out table, are told", async () => {
        const { server, source } = await made(family);
        const options = optionsOf(server, source);
        const chosen = await backedUp(options, { dumpArgs: ["-t", "parted"] });
        assert.deepEqual([chosen.omissions, chosen.warnings], [[], [
          `In "${source}", rows of the partitioned table public.parted are left out with its ` +
          "partitions: public.part",
        ]]);
        const { omissions, backup } = await backedUp(options, {
          exclude: ["parted"],
          dumpArgs: ["--load-via-partition-root"],
        });
        assert.deepEqual(omissions.map(({ objects }) => objects), [["public.part"]]);
        assert.match(
          omissions[0]!.reason,
          /without table public\.parted, left out here, and they are loaded through it$/,
        );
        const name = freshName();
        const { result } = await restoreTo(optionsOf(server, name), backup);
        assert.match(result.warnings.join(), /table public\.part with its rows/);
        assert.equal(await server.psql(name, "TABLE kept"), "5");
      });

      test("sequences that may not be read go on after the largest value", async () => {
        const { server, source } = await made(`
          CREATE TABLE a (id serial, n int); INSERT INTO a (n) VALUES (1), (2);
          CREATE TABLE b (id int GENERATED ALWAYS AS IDENTITY, n int); INSERT INTO b (n) VALUES (1);
          CREATE TABLE secret (id serial PRIMARY KEY); CREATE TABLE uses (s int REFERENCES secret);
          CREATE VIEW shown AS TABLE secret; CREATE TABLE child (z int) INHERITS (secret);
          CREATE SEQUENCE lone; GRANT SELECT ON a, b, uses, shown, child TO reader`);
        const options = {
          url: server.url(source, { user: "reader", password: "r" }),
          toolsDir: server.binDir,
        };
        const { omissions, warnings, backup } = await backedUp(options, {});
        assert.match(
          `${omissions[1]!.reason}. ${omissions[1]!.hint}`,
          /the rows of public\.child cannot be restored without table public\.secret, which this user may not read\. Grant the right to read public\.secret\. Or leave /,
        );
        assert.deepEqual(omissions.map(({ name, objects }) => [name, objects]), [
          ["tables", [
            ...["public.a_id_seq", "public.b_id_seq", "public.lone", "public.secret"],
            "public.secret_id_seq",
          ]],
          ["dependent-tables", ["public.child"]],
        ]);
        assert.match(
          warnings.join("\n"),
          /table public\.secret is left out, .*: view public\.shown, fk constraint public\.uses uses_s_fkey/,
        );
        const name = freshName();
        const { result } = await restoreTo(optionsOf(server, name), backup);
        assert.deepEqual([result.differences, result.failures], [[], []]);
        const told = result.warnings.join("\n");
        assert.match(
          told,
          /value of the sequence public\.a_id_seq is not in the backup; it goes on after 2, the largest value in public\.a\.id/,
        );
        assert.match(told, /value of the sequence public\.lone .*; it begins anew/);
        assert.equal(
          await server.psql(
            name,
            "INSERT INTO a (n) VALUES (3) RETURNING id; INSERT INTO b (n) VALUES (3) RETURNING id",
          ),
          "3\n2",
        );
      });
    },
  );
}
