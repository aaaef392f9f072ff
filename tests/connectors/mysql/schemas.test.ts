import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { copied } from "./copies.ts";
import { connect, flavours } from "./flavours.ts";
import { contentOf } from "./sample.ts";
import { freshUser } from "./users.ts";

const [mariadb, mysql] = flavours as [typeof flavours[number], typeof flavours[number]];

for (const flavour of flavours) {
  needs(flavour.name).describe(`schemas of ${flavour.kind.title}`, () => {
    test("with a view WITH CHECK OPTION over views that sort later come back", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `CREATE TABLE base (n INT);
         CREATE VIEW z AS SELECT n FROM base WHERE n > 0;
         CREATE VIEW m AS SELECT n FROM z WHERE n < 100 WITH CHECK OPTION;
         CREATE VIEW a AS SELECT n FROM m WHERE n <> 5 WITH LOCAL CHECK OPTION;
         CREATE VIEW b AS SELECT COUNT(*) AS c FROM a;
         CREATE FUNCTION f() RETURNS INT DETERMINISTIC NO SQL RETURN 1`,
      );
      const { copy, result } = await copied(flavour, server, database);
      assert.deepEqual(result.differences, []);
      assert.deepEqual(await contentOf(server, copy), await contentOf(server, database));
    });

    test("lose with an excluded table the views that read it, and say so", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `CREATE TABLE secret (n INT); CREATE TABLE open (n INT);
         CREATE VIEW v AS SELECT n FROM secret; CREATE VIEW over_v AS SELECT n FROM v;
         CREATE VIEW fine AS SELECT n FROM open`,
      );
      const { copy, info, backup, result } = await copied(flavour, server, database, {
        settings: { exclude: ["secret"] },
      });
      for (const warnings of [info.warnings, backup.result.warnings]) {
        const told = warnings.filter((text) => text.includes("reads what is excluded"));
        assert.deepEqual(told.map((text) => text.split(" ")[1]), [
          `${database}.v`,
          `${database}.over_v`,
        ]);
      }
      assert.deepEqual(result.differences, []);
      assert.equal(await server.sql(copy, "SHOW TABLES"), "fine\nopen");
    });

    test("with events on which the tools never end come back whole", async () => {
      // Nobody else's dump of everything is to meet such an event.
      const server = await (flavour === mysql ? startMysql() : startMariadb());
      const [database, second] = [await server.createDatabase(), await server.createDatabase()];
      await server.sql(
        database,
        `DELIMITER ~~
         CREATE EVENT \`a;;\` ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1~~
         CREATE EVENT b ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DISABLE COMMENT ';;' DO
           BEGIN SELECT 'ü $$ ''', "\\\\"; SELECT '*/'; END~~
         SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'~~
         CREATE EVENT "c""d" ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 'x;;;y\\' AS "z"~~
         SET sql_mode = DEFAULT~~ SET time_zone = '+05:30'~~
         CREATE EVENT other ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DISABLE DO SELECT ';'~~
         CREATE PROCEDURE \`p;;\`() SELECT ';;'~~
         CREATE TABLE t (n INT)~~ INSERT INTO t VALUES (1)~~
         CREATE TRIGGER \`t;;\` BEFORE INSERT ON t FOR EACH ROW SET @a = ';;'~~
         USE \`${second}\`~~ CREATE TABLE t (n INT)~~
         CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1~~`,
      );
      const whole = async (one: string) => [
        ...await contentOf(server, one),
        await server.sql(
          one,
          "SELECT EVENT_NAME, DEFINER, TIME_ZONE, SQL_MODE, STARTS, STATUS, COLLATION_CONNECTION " +
            `FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '${one}' ORDER BY 1`,
        ),
      ];
      for (const dumpArgs of [[], ["--skip-tz-utc"]]) {
        const { copy, info, backup, result } = await copied(flavour, server, database, {
          settings: { dumpArgs },
        });
        assert.deepEqual([...info.omissions, ...backup.result.omitted], []);
        assert.deepEqual(result.differences, []);
        assert.deepEqual(await whole(copy), await whole(database));
      }
      const before = [await whole(database), await whole(second)];
      const all = await connect(flavour, server, { databases: [database, second] });
      const backup = await backUp(flavour.kind, all);
      await server.sql("", `DROP DATABASE ${database}; DROP DATABASE ${second}`);
      const { result } = await restoreInto(all, chainOf(flavour.kind, backup));
      assert.deepEqual(result.differences, []);
      assert.deepEqual([await whole(database), await whole(second)], before);
      await all.close();
      await server.stop();
    });

    test("whose programs name their own database are told before a copy is made", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `CREATE TABLE t (n INT); CREATE VIEW v AS SELECT n FROM ${database}.t;
         CREATE TRIGGER plain BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1;
         CREATE TRIGGER pointing AFTER INSERT ON t FOR EACH ROW
           DELETE FROM \`${database}\`.t2 WHERE n = NEW.n;
         CREATE PROCEDURE plain() SELECT n FROM t;
         CREATE PROCEDURE pointing() SELECT n FROM ${database}.t;
         CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM ${database} . t`,
      );
      const { copy, plan } = await copied(flavour, server, database);
      assert.deepEqual(plan.warnings.filter((text) => text.includes("WRITE")), [
        `In "${copy}", 3 objects will still read or WRITE database "${database}", which their ` +
        "text names: trigger pointing, event e, routine pointing. Change them before anything " +
        `uses "${copy}"`,
      ]);
      await server.sql("", `DROP DATABASE ${copy}`);
    });

    test("are read with SELECT on mysql.user alone as without it, but for the accounts", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      const user = await freshUser(server, "pw", [
        "SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON *.*",
        ...flavour.name === "mysql" ? ["RELOAD, SHOW_ROUTINE ON *.*"] : [],
      ]);
      const poor = await freshUser(server, "pw", [
        `SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON \`${database}\`.*`,
        "SELECT ON mysql.user",
        ...flavour.name === "mysql" ? ["RELOAD, SHOW_ROUTINE ON *.*"] : ["SELECT ON mysql.proc"],
      ]);
      for (const [name, hasAccounts] of [[user, true], [poor, false]] as const) {
        const connector = await connect(flavour, server, { user: name, password: "pw", database });
        const info = await connector.inspect({ signal: never });
        const right = info.privileges.find(({ name }) => name === "SELECT on mysql.*");
        assert.equal(right?.isGranted, hasAccounts);
        const { artifacts } = await backUp(flavour.kind, connector);
        assert.equal(artifacts.some(({ head }) => head.role === "accounts"), hasAccounts);
        await connector.close();
      }
    });

    test("bring no account that would keep the operator out", async () => {
      const server = await flavour.server();
      const operator = await freshUser(server, "pw", ["ALL ON *.*"]);
      await server.sql("", `GRANT ALL ON *.* TO '${operator}'@'%' WITH GRANT OPTION`);
      const database = await server.createDatabase();
      await server.sql(
        database,
        `CREATE TABLE t (n INT); CREATE USER '${operator}'@'127.0.0.1' IDENTIFIED BY 'other'`,
      );
      const source = await connect(flavour, server, { database });
      const backup = await backUp(flavour.kind, source);
      await source.close();
      await server.sql("", `DROP USER '${operator}'@'127.0.0.1'`);
      const target = await connect(flavour, server, {
        user: operator,
        password: "pw",
        database: freshName(),
      });
      const { result } = await restoreInto(target, chainOf(flavour.kind, backup), {
        isWithAccounts: true,
      });
      assert.match(result.warnings.join("\n"), new RegExp(`logging in: .*${operator}@127.0.0.1`));
      assert.doesNotMatch(result.warnings.join("\n"), /PUBLIC/);
      await target.close();
      const found = await server.sql("", `SELECT Host FROM mysql.user WHERE User = '${operator}'`);
      assert.equal(found, "%");
    });
  });
}

needs("mariadb").describe("schemas of MariaDB alone", () => {
  test("with a sequence as a default come back, each copy with a sequence of its own", async () => {
    const server = await mariadb.server();
    const database = await server.createDatabase();
    await server.sql(
      database,
      `CREATE SEQUENCE \`z\`\`seq\` START WITH 5;
       CREATE TABLE a (id BIGINT NOT NULL DEFAULT NEXTVAL(\`z\`\`seq\`) PRIMARY KEY, t TEXT);
       INSERT INTO a (t) VALUES ('a'), ('b')`,
    );
    const { copy, result } = await copied(mariadb, server, database);
    assert.deepEqual(result.differences, []);
    assert.match(await server.sql(copy, "SHOW CREATE TABLE a"), new RegExp(`nextval\\(.${copy}`));
    await server.sql("", `DROP DATABASE ${database}`);
    await server.sql(copy, "INSERT INTO a (t) VALUES ('c')");
    assert.equal(await server.sql(copy, "SELECT COUNT(*), COUNT(DISTINCT id) FROM a"), "3\t3");
  });

  test("tell of statistics that a restore has to make again", async () => {
    const server = await mariadb.server();
    const database = await server.createDatabase();
    await server.sql(
      database,
      "CREATE TABLE t (n INT, KEY (n)); CREATE TABLE u (n INT); ANALYZE TABLE t PERSISTENT FOR ALL",
    );
    const { copy, info, result } = await copied(mariadb, server, database);
    assert.deepEqual(result.differences, []);
    assert.doesNotMatch(info.warnings.join(), /Statistics/);
    assert.match(info.advice!.join(), new RegExp(`of 1 table are not dumped: ${database}\\.t\\.`));
    await server.sql(copy, "CREATE TABLE v (n INT)");
    const again = await copied(mariadb, server, copy);
    assert.deepEqual(again.info.advice, []);
  });

  test("with rights of PUBLIC bring them along", async () => {
    const server = await startMariadb();
    const database = await server.createDatabase();
    await server.sql(database, `CREATE TABLE t (n INT); GRANT SELECT ON ${database}.t TO PUBLIC`);
    const source = await connect(mariadb, server, { database });
    const { artifacts } = await backUp(mariadb.kind, source);
    const accounts = artifacts.find(({ head }) => head.role === "accounts")!;
    const sql = new TextDecoder().decode(accounts.bytes);
    assert.match(sql, /-- Grants "PUBLIC"\nGRANT .* TO (`PUBLIC`|PUBLIC)/);
    assert.doesNotMatch(sql, /CREATE ROLE/);
    await source.close();
    await server.stop();
  });
});

needs("mysql").describe("schemas of MySQL alone", () => {
  test("keep their histograms", async () => {
    const server = await mysql.server();
    const database = await server.createDatabase();
    await server.sql(
      database,
      `CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2), (3);
       ANALYZE TABLE t UPDATE HISTOGRAM ON n WITH 7 BUCKETS`,
    );
    const { copy } = await copied(mysql, server, database);
    const buckets = await server.sql(
      "",
      `SELECT HISTOGRAM->'$."number-of-buckets-specified"' FROM information_schema.COLUMN_STATISTICS
       WHERE SCHEMA_NAME = '${copy}'`,
    );
    assert.equal(buckets, "7");
  });
});

needs("mysql", "mariadb").describe("schemas of both", () => {
  test("with foreign keys to keys that are not unique come to MySQL, which makes none", async () => {
    const to = await mysql.server();
    for (const flavour of flavours) {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `/*!80400 SET restrict_fk_on_non_standard_key = 0 */;
         CREATE TABLE parent (a INT, KEY (a)); INSERT INTO parent VALUES (1), (1);
         CREATE TABLE child (a INT, FOREIGN KEY (a) REFERENCES parent (a));
         INSERT INTO child VALUES (1)`,
      );
      const { copy, backup, result } = await copied(flavour, server, database, {
        to,
        toFlavour: mysql,
      });
      assert.deepEqual(result.differences, []);
      assert.match(await to.sql(copy, "SHOW CREATE TABLE child"), /FOREIGN KEY/);
      const sql = new TextDecoder().decode(backup.artifacts[0]!.bytes);
      assert.equal(sql.match(/restrict_fk_on_non_standard_key/g)?.length, 1);
    }
  });

  test("with generated columns are not dumped from MySQL by MariaDB's client", async () => {
    const [server, other] = [await mysql.server(), await mariadb.server()];
    const database = await server.createDatabase();
    await server.sql(database, "CREATE TABLE t (a INT, b INT AS (a + 1) STORED)");
    const source = await connect(mysql, server, { database, toolsDir: other.binDir });
    await assert.rejects(
      backUp(mysql.kind, source),
      (error) => hasCode(error, "dump/tool-foreign") && /\.t\.b"/.test(error.message),
    );
    await source.close();
  });

  test("with generated columns go from MariaDB to MySQL and back", async () => {
    const [from, to] = [await mariadb.server(), await mysql.server()];
    const database = await from.createDatabase();
    await from.sql(
      database,
      `CREATE TABLE people (id INT PRIMARY KEY, v INT AS (id + 1) VIRTUAL, name VARCHAR(90),
         s VARCHAR(90) GENERATED ALWAYS AS (concat(name, ')', '\\\\', '''', ',(')) STORED
           COMMENT 'GENERATED, \`x\` (', \`a\`\`VALUES\` INT);
       INSERT INTO people (id, name, \`a\`\`VALUES\`) VALUES (1, 'O''Hara, (Jo)', 5), (2, NULL, NULL),
         (3, '\\\\', -1), (4, 'x\\n),\\n(5', 0), (5, '日本', 7);
       CREATE TABLE last (a INT, doc VARCHAR(90), g DECIMAL(9, 2) AS (a / 3) STORED);
       INSERT INTO last (a, doc) VALUES (1, '{"generated": [1, (2)]}'), (NULL, '');
       CREATE TABLE named (a INT, g INT AS (a * 2) VIRTUAL, z INT);
       INSERT INTO named (a, z) VALUES (1, 3), (4, 6);
       CREATE TABLE plain (g INT, \`generated\` VARCHAR(9) DEFAULT 'GENERATED');
       INSERT INTO plain VALUES (1, 'kept')`,
    );
    const answers = async (server: typeof from, name: string) =>
      await server.sql(
        name,
        `SELECT HEX(id), v, HEX(name), HEX(s), \`a\`\`VALUES\` FROM people ORDER BY id;
         SELECT a, HEX(doc), g FROM last ORDER BY a; SELECT a, g, z FROM named ORDER BY a;
         SELECT * FROM plain`,
      );
    const settings = { dumpArgs: ["--complete-insert"] };
    for (const one of [{}, settings]) {
      const there = await copied(mariadb, from, database, {
        to,
        toFlavour: mysql,
        settings: one,
      });
      assert.deepEqual(there.result.differences, []);
      assert.equal(await answers(to, there.copy), await answers(from, database));
      await to.sql(there.copy, "INSERT INTO named (a) VALUES (21)");
      assert.equal(await to.sql(there.copy, "SELECT MAX(g) FROM named"), "42");
      await to.sql(there.copy, "DELETE FROM named WHERE a = 21");
      const back = await copied(mysql, to, there.copy, { to: from, toFlavour: mariadb });
      assert.deepEqual(back.result.differences, []);
      assert.equal(await answers(from, back.copy), await answers(from, database));
    }
  });

  test("keep the accounts of one from the other", async () => {
    const [from, to] = [await mariadb.server(), await mysql.server()];
    const database = await from.createDatabase();
    await from.sql(database, "CREATE TABLE t (n INT)");
    const before = await to.sql("", "SELECT User, Host FROM mysql.user");
    await assert.rejects(
      copied(mariadb, from, database, { to, toFlavour: mysql, changed: { isWithAccounts: true } }),
      (error) => hasCode(error, "restore/other-flavour") && /--accounts/.test(error.hint!),
    );
    assert.equal(await to.sql("", "SELECT User, Host FROM mysql.user"), before);
  });
});
