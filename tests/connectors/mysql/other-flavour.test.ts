import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../../src/core/errors.ts";
import { nearestCollation } from "../../../src/connectors/mysql/collations.ts";
import { needs } from "../../support/needs.ts";
import { copied } from "./copies.ts";
import { flavours } from "./flavours.ts";

const [mariadb, mysql] = flavours as [typeof flavours[number], typeof flavours[number]];

/** What a restore to the other flavour says, and the copy that it makes. */
async function taken(from: typeof mariadb, sql: string, changed = {}) {
  const to = from === mysql ? mariadb : mysql;
  const [server, target] = [await from.server(), await to.server()];
  const database = await server.createDatabase();
  await server.sql(database, sql);
  const { copy, plan, result } = await copied(from, server, database, {
    to: target,
    toFlavour: to,
    changed,
  });
  return {
    database,
    result,
    /** Without the one that every such restore begins with. */
    warnings: plan.warnings.slice(1).map((text) => text.replaceAll(`${database}.`, "")),
    source: (query: string) => server.sql(database, query),
    ask: (query: string) => target.sql(copy, query),
  };
}

needs("mysql", "mariadb").describe("a restore to the other flavour", () => {
  test("brings what MySQL makes without being asked, in the nearest collations", async () => {
    const { result, warnings, source, ask } = await taken(
      mysql,
      `CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(20) UNIQUE,
         b VARCHAR(9) COLLATE utf8mb4_0900_bin, d VARCHAR(9) COLLATE utf8mb4_de_pb_0900_as_cs,
         g VARCHAR(9) CHARACTER SET gb18030, j JSON DEFAULT (JSON_ARRAY()),
         u VARCHAR(40) DEFAULT (uuid()), gc GEOMCOLLECTION, c VARCHAR(99) COMMENT 'COLLATE utf8mb4_0900_bin');
       INSERT INTO t (a, b, d, g, c) VALUES ('x', 'x', 'Ä', '中', 'COLLATE utf8mb4_0900_ai_ci'), ('x ', '', '', '', '');
       CREATE VIEW v AS SELECT a COLLATE utf8mb4_0900_as_cs AS s FROM t;
       CREATE PROCEDURE p(IN x VARCHAR(9)) SELECT a FROM t WHERE a = x COLLATE utf8mb4_0900_ai_ci;
       CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.c = 'utf8mb4_0900_ai_ci';
       CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1`,
    );
    assert.deepEqual(result.differences, []);
    const rows =
      "SELECT id, HEX(a), HEX(b), HEX(d), HEX(CONVERT(g USING utf8mb4)), u, HEX(c) FROM t";
    assert.equal(await ask(rows), await source(rows));
    assert.match(
      await ask("SHOW CREATE TABLE t"),
      /`d`.*COLLATE utf8mb4_uca1400_german2_nopad_as_cs/,
    );
    assert.match(await ask("SHOW CREATE TABLE t"), /COMMENT 'COLLATE utf8mb4_0900_bin'/);
    assert.equal(await ask("CALL p('X')"), "x");
    assert.equal(await ask("SELECT @@collation_database"), "utf8mb4_uca1400_nopad_ai_ci");
    assert.deepEqual(warnings.slice(0, 2), [
      "On MariaDB, collation utf8mb4_0900_bin becomes utf8mb4_nopad_bin, in 1 object: t",
      "On MariaDB, collation utf8mb4_de_pb_0900_as_cs becomes " +
      "utf8mb4_uca1400_german2_nopad_as_cs, in 1 object: t",
    ]);
    assert.match(warnings.join("\n"), /0900_as_cs becomes utf8mb4_uca1400_nopad_as_cs, .*: v\n/);
    assert.match(warnings.at(-1)!, /unique key/);
  });

  test("leaves out of MySQL's tables what MariaDB has not, and says so", async () => {
    const { result, warnings, ask } = await taken(
      mysql,
      `CREATE TABLE t (a INT NOT SECONDARY, b INT INVISIBLE DEFAULT 7, t TEXT, KEY k ((a + 1), b) INVISIBLE,
         UNIQUE KEY mv (a, (b * 2)), KEY plain (a DESC, t(5)), FULLTEXT KEY ft (t) WITH PARSER ngram,
         CONSTRAINT loose CHECK (a < 0) NOT ENFORCED, CONSTRAINT strict CHECK (a > 0),
         CONSTRAINT pattern CHECK (regexp_like(concat(t, ','), '^[a-z(]+,\\\\.?$') AND a > 0))
         SECONDARY_ENGINE=rapid CHARSET latin1;
       INSERT INTO t (a, b, t) VALUES (5, 6, 'x')`,
    );
    assert.deepEqual(result.differences, []);
    assert.deepEqual(warnings, [
      "On MariaDB, invisible columns and keys become visible, in 1 object: t",
      "On MariaDB, key mv of an expression is left out, in 1 object: t",
      "On MariaDB, key k of an expression is left out, in 1 object: t",
      "On MariaDB, parser ngram gives way to the built-in one, in 1 object: t",
      "On MariaDB, check loose that is not enforced is left out, in 1 object: t",
    ]);
    assert.equal(await ask("SELECT a, b, t FROM t"), "5\t6\tx");
    await assert.rejects(ask("INSERT INTO t (a, t) VALUES (1, '1')"), /`pattern` failed/);
    await ask("INSERT INTO t (a, t) VALUES (1, 'a(')");
    const made = await ask("SHOW CREATE TABLE t");
    assert.match(made, /KEY `plain`.*KEY `ft`.*`strict` CHECK/);
    assert.doesNotMatch(made, /`k`|`mv`|loose/);
  });

  test("brings MariaDB's own types, options, defaults and modes in MySQL's words", async () => {
    const { result, warnings, source, ask } = await taken(
      mariadb,
      `CREATE TABLE t (id UUID PRIMARY KEY DEFAULT uuid(), a VARCHAR(20) COLLATE uca1400_as_cs UNIQUE,
         b VARCHAR(20) COLLATE utf8mb4_nopad_bin, i6 INET6, i4 INET4 DEFAULT '10.0.0.1', t TEXT DEFAULT 'it''s (',
         bl BLOB DEFAULT 'x', n INT DEFAULT (1 + 2), d VARCHAR(40) DEFAULT concat('a', (uuid())),
         ts TIMESTAMP NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
         KEY ig (n) IGNORED, p INT AS (n + 1) PERSISTENT) PAGE_COMPRESSED=0 CHARSET utf8mb4;
       INSERT INTO t (a, i6) VALUES ('x', '2001:db8::1'), ('X', '::');
       CREATE TABLE ar (n INT) ENGINE=Aria TRANSACTIONAL=0 PAGE_CHECKSUM=1; INSERT INTO ar VALUES (1);
       CREATE TRIGGER tr BEFORE INSERT ON ar FOR EACH ROW SET NEW.n = NEW.n + 1;
       CREATE PROCEDURE p() SELECT 'NO_AUTO_CREATE_USER';
       CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1`,
    );
    assert.deepEqual(result.differences, []);
    const rows = "SELECT id, a, b, i6, i4, t, HEX(bl), n, d, ts, p FROM t ORDER BY HEX(a)";
    assert.equal(await ask(rows), await source(rows));
    assert.deepEqual(warnings.slice(0, 5), [
      "On MySQL, type uuid becomes char(36), in 1 object: t",
      "On MySQL, collation utf8mb4_uca1400_as_cs becomes utf8mb4_0900_as_cs, in 1 object: t",
      "On MySQL, collation utf8mb4_nopad_bin becomes utf8mb4_0900_bin, in 1 object: t",
      "On MySQL, type inet6 becomes varchar(39), in 1 object: t",
      "On MySQL, type inet4 becomes varchar(15), in 1 object: t",
    ]);
    await ask("INSERT INTO t (a) VALUES ('new'); INSERT INTO ar VALUES (5)");
    assert.equal(
      await ask("SELECT i4, t, bl, n, p FROM t WHERE a = 'new'"),
      "10.0.0.1\tit's (\tx\t3\t4",
    );
    assert.equal(await ask("SELECT n FROM ar ORDER BY n"), "1\n6");
    assert.match(await ask("SHOW CREATE TABLE t"), /KEY `ig`.*INVISIBLE/);
    assert.equal(await ask("CALL p()"), "NO_AUTO_CREATE_USER");
  });

  test("is refused before anything is touched where something cannot come over", async () => {
    const cases = [
      [mariadb, "CREATE SEQUENCE s", /need: sequence \(\w+\.s\)$/],
      [mariadb, "CREATE TABLE t (n INT) WITH SYSTEM VERSIONING", /system versioning \(\w+\.t\)$/],
      [mariadb, "CREATE TABLE t (a DATE, b DATE, PERIOD FOR p (a, b))", /period \(\w+\.t\)$/],
      [mysql, "CREATE TABLE t (v VECTOR(3))", /type vector \(\w+\.t\)$/],
      [mysql, "CREATE TABLE t (a TEXT, CHECK (regexp_like(a, 'x', 'c')))", /function regexp_like/],
      [
        mysql,
        "CREATE TABLE t (a INT); CREATE VIEW v AS SELECT x.b FROM t, LATERAL (SELECT t.a AS b) x",
        /lateral \(\w+\.v\)$/,
      ],
    ] as const;
    for (const [from, sql, message] of cases) {
      await assert.rejects(
        taken(from, sql),
        (error) =>
          hasCode(error, "restore/other-flavour") && message.test(error.message) &&
          /everything else with --keep-going/.test(error.hint!),
      );
    }
  });

  test("and goes on without it when told to", async () => {
    const { result, warnings, ask } = await taken(
      mariadb,
      "CREATE SEQUENCE s; CREATE TABLE t (n INT); INSERT INTO t VALUES (1)",
      { isKeepGoing: true },
    );
    assert.match(warnings.join(), /These will not be made: sequence/);
    assert.ok(result.failures.some(({ object }) => object === "sequence s"));
    assert.equal(await ask("SELECT n FROM t"), "1");
  });
});

test("the nearest collation is of the same language, and tells no less apart where it can", () => {
  const old = new Set([
    "utf8mb4_unicode_520_nopad_ci",
    "utf8mb4_unicode_520_ci",
    "utf8mb4_nopad_bin",
    "utf8mb4_bin",
  ]);
  assert.equal(nearestCollation("utf8mb4_0900_ai_ci", old), "utf8mb4_unicode_520_nopad_ci");
  assert.equal(nearestCollation("utf8mb4_de_pb_0900_ai_ci", old), "utf8mb4_unicode_520_nopad_ci");
  assert.equal(nearestCollation("utf8mb4_0900_as_cs", old), "utf8mb4_nopad_bin");
  assert.equal(nearestCollation("utf8mb4_0900_bin", old), "utf8mb4_nopad_bin");
  const mysql = new Set(["utf8mb4_0900_as_cs", "utf8mb4_0900_ai_ci", "utf8mb3_unicode_520_ci"]);
  assert.equal(nearestCollation("utf8mb4_uca1400_nopad_ai_cs", mysql), "utf8mb4_0900_as_cs");
  assert.equal(nearestCollation("utf8mb3_uca1400_ai_ci", mysql), "utf8mb3_unicode_520_ci");
  assert.equal(nearestCollation("klingon_ci", mysql), undefined);
});
