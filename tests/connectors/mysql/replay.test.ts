import assert from "node:assert/strict";
import { test } from "node:test";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { needs } from "../../support/needs.ts";
import { restoreInto } from "../sqlite/memoryBackup.ts";
import { chainTo, takeBackup, type TakenBackup } from "./chains.ts";
import { connect, type Flavour, flavours } from "./flavours.ts";
import { stateOf } from "./writer.ts";

const starts = { mariadb: startMariadb, mysql: startMysql };

/** A full backup before and an increment after some SQL. */
async function chained(
  flavour: Flavour,
  server: MysqlServer,
  { databases, before, changes }: {
    readonly databases?: readonly string[];
    readonly before: string;
    readonly changes: readonly string[];
  },
): Promise<TakenBackup[]> {
  await server.sql("", before);
  const connector = await connect(
    flavour,
    server,
    databases === undefined ? {} : { databases: [...databases] },
  );
  try {
    const taken = [await takeBackup(flavour, connector)];
    for (const sql of changes) {
      await server.sql("", sql);
      taken.push(await takeBackup(flavour, connector, "incremental", taken.at(-1)!));
    }
    return taken;
  } finally {
    await connector.close();
  }
}

async function restored(
  flavour: Flavour,
  server: MysqlServer,
  taken: readonly TakenBackup[],
  { database, ...changed }: Partial<RestoreOptions> & { readonly database?: string } = {},
) {
  const connector = await connect(flavour, server, database === undefined ? {} : { database });
  try {
    return await restoreInto(connector, chainTo(taken, taken.at(-1)!), changed);
  } finally {
    await connector.close();
  }
}

const caught = async (promise: Promise<unknown>): Promise<BackupError> => {
  const error = await promise.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof BackupError, String(error));
  return error;
};

for (const flavour of flavours) {
  const isMysql = flavour.name === "mysql";
  needs(flavour.name).describe(`a replay on ${flavour.kind.title}`, () => {
    test("under another name leaves the original alone, however statements name it", async () => {
      const server = await starts[flavour.name]();
      const taken = await chained(flavour, server, {
        databases: ["shop"],
        before: "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY, v TEXT); " +
          "CREATE TABLE old (n INT); INSERT INTO t VALUES (1, 'a')",
        changes: [
          `USE shop;
           CREATE TABLE shop.kids (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES shop.t (id));
           ALTER TABLE \`shop\`.t ADD COLUMN shop INT;
           CREATE VIEW shop.seen AS SELECT shop.t.id, x.shop FROM shop.t, shop.t AS x;
           CREATE TRIGGER shop.noted BEFORE INSERT ON shop.t FOR EACH ROW SET NEW.v = 'shop.x';
           DROP TABLE shop.old; RENAME TABLE shop.kids TO shop.children;
           CREATE INDEX v ON shop.t (v(10)); INSERT INTO shop.t VALUES (2, 'b', 3);
           TRUNCATE shop.children; CREATE DATABASE other; ALTER DATABASE shop CHARACTER SET latin1;`,
          `USE other; ALTER TABLE shop.t COMMENT 'from elsewhere'; CREATE TABLE here (n INT);
           INSERT INTO here VALUES (1); UPDATE shop.t SET v = 'new' WHERE id = 1;
           CREATE PROCEDURE shop.p() DELETE FROM shop.t`,
        ],
      });
      const before = [await stateOf(server, "shop"), await stateOf(server, "other")];
      const { result } = await restored(flavour, server, taken, { database: "copy" });
      assert.deepEqual([await stateOf(server, "shop"), await stateOf(server, "other")], before);
      const names = (text: string) => text.replaceAll(/`?shop`?\./g, "");
      assert.equal(names(await stateOf(server, "copy")), names(before[0]!));
      assert.match(result.warnings.join("\n"), /"copy\.p", which names "shop"\. Change them/);
    });

    test("of one database out of several takes its own changes, or says what forbids it", async () => {
      const server = await starts[flavour.name]();
      const taken = await chained(flavour, server, {
        before: "CREATE DATABASE a; CREATE DATABASE b; CREATE TABLE a.t (n INT PRIMARY KEY); " +
          "CREATE TABLE b.t (n INT PRIMARY KEY); CREATE TABLE a.x (n INT); CREATE TABLE b.x (n INT)",
        changes: [
          "START TRANSACTION; INSERT INTO a.t VALUES (1); INSERT INTO b.t VALUES (1); COMMIT; " +
          "INSERT INTO b.t VALUES (2); USE b; ALTER TABLE a.t ADD COLUMN v INT; " +
          "UPDATE a.t, b.t SET a.t.v = 7, b.t.n = 9 WHERE a.t.n = b.t.n; GRANT SELECT ON a.* TO root@localhost",
        ],
      });
      const other = await starts[flavour.name]();
      await restored(flavour, other, taken, { databases: ["a"] });
      assert.equal(await other.sql("a", "SELECT * FROM t"), "1\t7");
      assert.doesNotMatch(await other.sql("", "SHOW DATABASES"), /^b$/m);
      const connector = await connect(flavour, server);
      await server.sql("", "DROP TABLE a.x, b.x");
      taken.push(await takeBackup(flavour, connector, "incremental", taken.at(-1)!));
      await connector.close();
      const error = await caught(
        restored(flavour, other, taken, { databases: ["a"], database: freshName() }),
      );
      assert.equal(error.code, "restore/failed");
      assert.match(
        error.message,
        /The statement at binlog\.\d+:\d+ changes several databases, of which not all are restored: DROP TABLE/,
      );
    });

    test("takes each row once, of statements with many and over databases with large ones", async () => {
      const server = await starts[flavour.name]();
      const rows = Array.from({ length: 2_000 }, (_, n) => `(${n}, REPEAT('x', 100))`).join();
      const taken = await chained(flavour, server, {
        before: "CREATE DATABASE a; CREATE DATABASE b; CREATE TABLE a.t (n INT, v TEXT); " +
          "CREATE TABLE b.t (n INT, v TEXT); CREATE TABLE a.u (n INT, v TEXT)",
        changes: [
          `INSERT INTO a.t VALUES ${rows}; INSERT INTO b.t SELECT * FROM a.t;
           INSERT INTO a.u VALUES ${rows};
           UPDATE a.t, b.t SET a.t.v = 'ab', b.t.v = 'ba' WHERE a.t.n = b.t.n AND a.t.n < 500;
           UPDATE b.t, a.u SET a.u.v = 'ub', b.t.v = 'bu' WHERE a.u.n = b.t.n AND a.u.n < 300;
           DELETE a.t, b.t FROM a.t, b.t WHERE a.t.n = b.t.n AND a.t.n > 1200`,
        ],
      });
      const other = await starts[flavour.name]();
      await restored(flavour, other, taken, { databases: ["a"] });
      await restored(flavour, other, taken, { databases: ["b"] });
      for (const database of ["a", "b"]) {
        assert.equal(await stateOf(other, database), await stateOf(server, database));
        assert.equal(await other.sql(database, "SELECT COUNT(*) FROM t"), "1201");
      }
      // Both kinds of end of a statement came: with its last rows let through, and left out.
      assert.equal(await other.sql("a", "SELECT COUNT(*) FROM u WHERE v = 'ub'"), "300");
    });

    test("that fails says where, drops what it made, and does not begin again on top", async () => {
      const server = await starts[flavour.name]();
      const taken = await chained(flavour, server, {
        databases: ["shop"],
        before: "CREATE DATABASE shop; CREATE TABLE shop.t (n INT PRIMARY KEY)",
        changes: ["INSERT INTO shop.t VALUES (1)", "UPDATE shop.t SET n = 2"],
      });
      const [full, , last] = taken;
      const broken = [full!, last!];
      const connector = await connect(flavour, server, { database: "copy" });
      const error = await caught(restoreInto(connector, broken, {}));
      await connector.close();
      assert.equal(error.code, "restore/failed");
      assert.match(
        error.message,
        /Replaying the changes failed at binlog\.000001:\d+: .*ERROR 1032/,
      );
      assert.match(error.hint!, /--at-position binlog\.000001:\d+/);
      assert.doesNotMatch(await server.sql("", "SHOW DATABASES"), /copy/);
      assert.equal(await server.sql("shop", "SELECT * FROM t"), "2");
    });

    test("reads what is compressed in the log, and rows of every sort", async () => {
      const server = await starts[flavour.name]();
      const compressed = isMysql
        ? "SET SESSION binlog_transaction_compression = ON;"
        : "SET GLOBAL log_bin_compress = ON; SET GLOBAL log_bin_compress_min_len = 10;";
      const types =
        "id INT PRIMARY KEY, j JSON, b LONGBLOB, g GEOMETRY, d DATE, t TIME(3), y YEAR, " +
        "e ENUM('x', 'y'), s SET('p', 'q'), n DECIMAL(30, 10), f FLOAT, bits BIT(9), " +
        "u VARCHAR(100) CHARACTER SET utf16, ts TIMESTAMP(6) NULL, gen INT AS (id * 2) STORED";
      const own = isMysql
        ? "CREATE TABLE vec (v VECTOR(3)); INSERT INTO vec VALUES (STRING_TO_VECTOR('[1,2,3]'));" +
          "SET SESSION binlog_row_value_options = PARTIAL_JSON;"
        : "CREATE SEQUENCE seq; SELECT NEXTVAL(seq); SELECT SETVAL(seq, 50); SELECT NEXTVAL(seq);" +
          "CREATE TABLE ver (n INT) WITH SYSTEM VERSIONING; INSERT INTO ver VALUES (1);" +
          "UPDATE ver SET n = 2; DELETE FROM ver;";
      const taken = await chained(flavour, server, {
        databases: ["shop"],
        before: `CREATE DATABASE shop; USE shop; CREATE TABLE t (${types})`,
        changes: [
          `USE shop; ${compressed} ${own}
           INSERT INTO t (id, j, b, g, d, t, y, e, s, n, f, bits, u, ts) VALUES
             (1, '{"a": [1, 2, {"b": "ü"}]}', REPEAT(x'00ff', 300000), ST_GeomFromText('POINT(1 2)'),
              '0001-01-01', '-838:59:59', 2155, 'y', 'p,q', -12345678901234567890.0123456789, 0.1,
              b'101010101', '😀', '2026-10-25 00:30:00.123456'), (2, NULL, '', NULL, NULL, NULL,
              NULL, NULL, '', NULL, NULL, NULL, NULL, NULL);
           UPDATE t SET j = JSON_SET(j, '$.a[0]', 99, '$.c', REPEAT('long', 100)) WHERE id = 1;
           DELETE FROM t WHERE id = 2`,
        ],
      });
      await restored(flavour, server, taken, { database: "copy" });
      assert.equal(await stateOf(server, "copy"), await stateOf(server, "shop"));
      if (!isMysql) {
        const history = "SELECT n, ROW_START, ROW_END FROM ver FOR SYSTEM_TIME ALL ORDER BY n, 2";
        assert.equal((await server.sql("copy", history)).split("\n").length, 2);
        // As on a replica: values that were reserved in memory are passed over, none is given twice.
        assert.ok(Number(await server.sql("copy", "SELECT NEXTVAL(seq)")) > 51);
      }
    });

    test("goes on in the middle of a log without checksums", async () => {
      const server = await starts[flavour.name]({ settings: { "binlog-checksum": "NONE" } });
      const taken = await chained(flavour, server, {
        databases: ["shop"],
        before: "CREATE DATABASE shop; CREATE TABLE shop.t (n INT PRIMARY KEY)",
        changes: ["INSERT INTO shop.t VALUES (1), (2)", "UPDATE shop.t SET n = 9 WHERE n = 2"],
      });
      await restored(flavour, server, taken, { database: "copy" });
      assert.equal(await server.sql("copy", "SELECT * FROM t ORDER BY n"), "1\n9");
    });

    test("keeps scheduled events at rest until its end, and then lets run what is to run", async () => {
      const server = await starts[flavour.name]();
      await server.sql("", "SET GLOBAL event_scheduler = OFF");
      const every = "ON SCHEDULE EVERY 1 SECOND DO DELETE FROM t";
      const taken = await chained(flavour, server, {
        databases: ["shop"],
        before: `CREATE DATABASE shop; USE shop; CREATE TABLE t (n INT PRIMARY KEY); ` +
          `CREATE EVENT old ${every}; CREATE EVENT still ON SCHEDULE EVERY 1 DAY DISABLE DO SET @a = 1`,
        changes: [
          `USE shop; CREATE EVENT fresh ${every}; CREATE EVENT gone ${every}; DROP EVENT gone;
           ALTER EVENT still ENABLE; ALTER EVENT old DISABLE; INSERT INTO t VALUES (1), (2);
           ALTER EVENT fresh RENAME TO renamed`,
          ...Array.from({ length: 4 }, (_, index) => `UPDATE shop.t SET n = n + 10 -- ${index}`),
        ],
      });
      await server.sql("", "SET GLOBAL event_scheduler = ON");
      // It takes seconds: an event that ran meanwhile would take away rows that are then missing.
      await restored(flavour, server, taken, { database: "copy" });
      await server.sql("", "SET GLOBAL event_scheduler = OFF");
      assert.equal(
        await server.sql(
          "copy",
          "SELECT EVENT_NAME, STATUS, DEFINER FROM information_schema.EVENTS " +
            "WHERE EVENT_SCHEMA = 'copy' ORDER BY 1",
        ),
        "old\tDISABLED\troot@localhost\nrenamed\tENABLED\troot@localhost\n" +
          "still\tENABLED\troot@localhost",
      );
    });
  });
}
