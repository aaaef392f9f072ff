import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { DumpPlan } from "../../../src/contracts/dump.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { connect, type Flavour, flavours } from "./flavours.ts";
import { contentOf, makeSample } from "./sample.ts";
import { freshUser } from "./users.ts";

const starts = { mariadb: startMariadb, mysql: startMysql };

async function dumpOf(
  flavour: Flavour,
  server: MysqlServer,
  options: Parameters<typeof connect>[2],
  plan: Partial<DumpPlan> = {},
) {
  const connector = await connect(flavour, server, options);
  try {
    const info = await connector.inspect({ signal: never });
    return { info, backup: await backUp(flavour.kind, connector, plan) };
  } finally {
    await connector.close();
  }
}

const programs = `
  CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2);
  CREATE VIEW v AS SELECT n FROM t;
  CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.n = NEW.n;
  CREATE FUNCTION f() RETURNS INT DETERMINISTIC NO SQL RETURN 1;
  CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM t;`;

/** A dump tool of one's own making, in a folder for toolsDir. */
function toolThat(flavour: Flavour, server: MysqlServer, script: string): string {
  const folder = tempDir("tools");
  const name = flavour.name === "mysql" ? "mysqldump" : "mariadb-dump";
  const real = join(server.binDir, name);
  const file = join(folder, name);
  writeFileSync(
    file,
    `#!/bin/sh\ncase "$*" in *--version*) exec ${real} --version;; esac\nREAL=${real}\n${script}\n`,
  );
  chmodSync(file, 0o755);
  return folder;
}

for (const flavour of flavours) {
  needs(flavour.name).describe(`${flavour.kind.title} dump`, () => {
    const omissionsFor = async (grants: (database: string) => string[], isAll = false) => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, programs);
      const user = await freshUser(server, "pw", grants(database));
      const options = { user, password: "pw", ...isAll ? {} : { database } };
      const { info, backup } = await dumpOf(flavour, server, options);
      const found = backup.result.inventory.databases.find((one) => one.database === database);
      return {
        names: namesOf(info.omissions),
        omitted: namesOf(backup.result.omitted),
        types: (found?.objects ?? []).map(({ type }) => type).sort(),
        position: backup.result.to,
        backup,
      };
    };
    const namesOf = (omissions: readonly { name: string }[]) =>
      omissions.map(({ name }) => name).sort();
    const all = ["event", "routine", "table", "trigger", "view"];

    test("tells what a user with few rights would leave out, and dumps the rest", async () => {
      const reader = await omissionsFor((db) => [`SELECT ON \`${db}\`.*`]);
      assert.deepEqual(reader.names, ["events", "routines", "triggers", "views"]);
      assert.deepEqual(reader.omitted, reader.names);
      assert.deepEqual(reader.types, ["table"]);
      const oneTable = await omissionsFor((db) => [`SELECT ON \`${db}\`.t`]);
      assert.deepEqual(oneTable.names, ["events", "routines", "tables", "triggers"]);
      assert.deepEqual(oneTable.types, ["table"]);
    });

    test("names the routines of others that an owner cannot read, and dumps the rest", async () => {
      const owner = await omissionsFor((db) => [`ALL ON \`${db}\`.*`]);
      assert.deepEqual(owner.names, ["routines"]);
      assert.deepEqual(owner.types, all.filter((type) => type !== "routine"));
      assert.match(owner.backup.result.warnings.join(), /Users and grants are not in the backup/);
      const [omission] = owner.backup.result.omitted;
      assert.match(omission!.objects!.join(), /\.f$/);
    });

    test("lacks nothing once the statements that it names have run", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, programs);
      const user = await freshUser(server, "pw", [`SELECT ON \`${database}\`.t`]);
      const options = { user, password: "pw", database };
      const omissions = async () => (await dumpOf(flavour, server, options)).info.omissions;
      const [first] = await omissions();
      assert.match(first!.reason, new RegExp(`^user ${user}@.* has no SELECT privilege on `));
      // Who may read more sees more that cannot be read.
      for (let round = 0; round < 2; round++) {
        for (const { hint } of await omissions()) {
          await server.sql("", /^Run: (GRANT .*)\.$/.exec(hint!)![1]!);
        }
      }
      assert.deepEqual((await dumpOf(flavour, server, options)).info.omissions, []);
    });

    test("needs nothing more than the rights it names", async () => {
      const routines = flavour.name === "mysql" ? "SHOW_ROUTINE ON *.*" : "SELECT ON mysql.proc";
      const enough = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];
      const one = await omissionsFor((db) => [
        `${enough.join(", ")} ON \`${db}\`.*`,
        routines,
      ]);
      assert.deepEqual([one.names, one.types], [[], all]);
      const whole = await omissionsFor(() => [`${enough.join(", ")}, SHOW DATABASES ON *.*`], true);
      assert.deepEqual([whole.names, whole.types], [[], all]);
      assert.equal(whole.position, undefined);
      const few = await omissionsFor(
        (db) => [`${enough.join(", ")} ON \`${db}\`.*`, routines],
        true,
      );
      assert.deepEqual(few.names, ["accounts", "databases"]);
    });

    test("records the position for who may see it", async () => {
      const more = flavour.name === "mysql"
        ? ["REPLICATION CLIENT, RELOAD ON *.*"]
        : ["BINLOG MONITOR ON *.*"];
      const { position, names } = await omissionsFor((db) => [
        ...["SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE"].map((list) => `${list} ON \`${db}\`.*`),
        ...more,
      ]);
      assert.equal(position?.type, "binlog");
      assert.ok(position?.["gtid"]);
      // Who may run routines sees them, and that their text is closed.
      assert.deepEqual(names, ["routines"]);
    });

    test("takes settings: tables and rows left out, definitions only, more arguments", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `${programs} CREATE TABLE log_1 (n INT); INSERT INTO log_1 VALUES (1);
         CREATE TABLE big (n INT); INSERT INTO big VALUES (1), (2);`,
      );
      const countsWith = async (settings: DumpPlan["settings"]) => {
        const { backup } = await dumpOf(flavour, server, { database }, { settings });
        const [found] = backup.result.inventory.databases;
        return Object.fromEntries(
          found!.objects.filter(({ type }) => type === "table").map((o) => [o.name, o.count]),
        );
      };
      assert.deepEqual(await countsWith({}), { t: 2, log_1: 1, big: 2 });
      assert.deepEqual(await countsWith({ exclude: ["log_*", `${database}.big`] }), { t: 2 });
      assert.deepEqual(await countsWith({ excludeData: ["big"] }), { t: 2, log_1: 1, big: 0 });
      assert.deepEqual(await countsWith({ schemaOnly: true }), { t: 0, log_1: 0, big: 0 });
      assert.deepEqual(await countsWith({ dumpArgs: ["--where=n=1"] }), { t: 1, log_1: 1, big: 1 });
      await assert.rejects(
        countsWith({ exclude: ["bigg"] }),
        (error) => error instanceof BackupError && error.code === "config/no-such-table",
      );
    });

    test("shows one moment while a writer keeps moving money", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `CREATE TABLE a (id INT PRIMARY KEY, money INT, pad VARCHAR(2000));
         CREATE TABLE z (id INT PRIMARY KEY, money INT);
         INSERT INTO a VALUES ${
          Array.from({ length: 500 }, (_, id) => `(${id}, 100, REPEAT('x', 2000))`).join(",")
        };
         INSERT INTO z SELECT id, 100 FROM a;`,
      );
      let isDone = false;
      let transfers = 0;
      const writing = (async () => {
        while (!isDone) {
          const id = transfers % 500;
          await server.sql(
            database,
            `START TRANSACTION; UPDATE a SET money = money - 7 WHERE id = ${id};
             UPDATE z SET money = money + 7 WHERE id = ${id}; COMMIT;`,
          );
          transfers++;
        }
      })();
      while (transfers === 0) await Bun.sleep(5);
      const before = transfers;
      const { backup } = await dumpOf(flavour, server, { database });
      isDone = true;
      await writing;
      assert.ok(transfers > before, "the writer wrote meanwhile");
      const target = freshName();
      const connector = await connect(flavour, server, { database: target });
      await restoreInto(connector, chainOf(flavour.kind, backup));
      await connector.close();
      const sum = "SELECT (SELECT SUM(money) FROM a) + (SELECT SUM(money) FROM z)";
      assert.equal(await server.sql(target, sum), "100000");
    });

    test("shows no password to those who list processes or read the environment", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      const password = "canary-4711-\\#";
      const user = await freshUser(server, password, [`ALL ON \`${database}\`.*`]);
      const seen = join(tempDir("seen"), "seen");
      const script = `echo "$@" >${seen}; env >>${seen}; exec "$REAL" "$@"`;
      const toolsDir = toolThat(flavour, server, script);
      await dumpOf(flavour, server, { database, user, password, toolsDir });
      const text = readFileSync(seen, "utf8");
      assert.ok(text.includes(database) && !text.includes("canary"), text);
    });

    test("warns of tables without transactions", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE plain (n INT) ENGINE=MyISAM");
      const { info } = await dumpOf(flavour, server, { database });
      assert.match(info.warnings.join(), /plain \(MyISAM\)/);
      assert.ok(info.estimatedBytes! >= 0 && Math.abs(info.clockOffsetMs!) < 5_000);
    });

    test("fails when the tool is killed, ends early, hangs, or exits otherwise", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, programs);
      const code = async (script: string, plan: Partial<DumpPlan> = {}) => {
        const toolsDir = toolThat(flavour, server, script);
        try {
          await dumpOf(flavour, server, { database, toolsDir }, plan);
          return "none";
        } catch (error) {
          return error instanceof BackupError ? error.code : String(error);
        }
      };
      assert.equal(await code('exec "$REAL" "$@"'), "none");
      assert.equal(await code('"$REAL" "$@"; exit 3'), "dump/failed");
      assert.equal(await code('"$REAL" "$@" | head -c 900; kill -9 $$'), "dump/failed");
      assert.equal(await code('"$REAL" "$@" | head -c 900'), "verification/truncated");
      assert.equal(
        await code('"$REAL" "$@" | head -c 900; sleep 60', { stallMs: 300 }),
        "dump/stalled",
      );
      assert.match(await code('"$REAL" "$@" --skip-triggers'), /^dump\/|^verification\//);
      assert.equal(await code('"$REAL" "$@" | grep -v "FUNCTION"'), "dump/failed");
    });

    test("brings data back from a server of other modes, and rows of 20 MB", async () => {
      const server = await starts[flavour.name]({
        settings: {
          "default-time-zone": "-07:00",
          "max-allowed-packet": "128M",
          ...flavour.name === "mysql"
            ? { "innodb-redo-log-capacity": "400M" }
            : { "innodb-log-file-size": "400M" },
        },
      });
      await server.sql(
        "",
        "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
      );
      const database = await server.createDatabase();
      await server.sql(
        database,
        `CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB, x TEXT, ts TIMESTAMP NULL);
` +
          String.raw`
         INSERT INTO t VALUES (1, NULL, 'a\', '2026-01-01 00:00:00'), (2, NULL, '\n''), (', NULL);
         INSERT INTO t VALUES (3, REPEAT(UNHEX('00FF275C0A'), 4000000), NULL, NULL);
         CREATE FUNCTION f() RETURNS TEXT DETERMINISTIC NO SQL RETURN 'a\' || "f2"();
         CREATE FUNCTION f2() RETURNS TEXT DETERMINISTIC NO SQL RETURN '\';`,
      );
      const { backup } = await dumpOf(flavour, server, { database });
      const target = freshName();
      const connector = await connect(flavour, server, { database: target });
      await restoreInto(connector, chainOf(flavour.kind, backup));
      await connector.close();
      const sums = "SELECT id, SHA2(b, 256), LENGTH(b), HEX(x), ts FROM t ORDER BY id";
      assert.equal(await server.sql(target, sums), await server.sql(database, sums));
      assert.equal(await server.sql(target, "SELECT HEX(f())"), "615C5C");
      await server.stop();
    });
  });
}

needs("mariadb")(
  "MariaDB tells of servers for remote tables, which are in no database",
  async () => {
    const [flavour] = flavours as [Flavour];
    const server = await startMariadb();
    const database = await server.createDatabase();
    await server.sql(
      "",
      "CREATE SERVER far FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'far.invalid')",
    );
    const { info } = await dumpOf(flavour, server, {});
    assert.deepEqual(info.omissions.map(({ name, objects }) => [name, objects]), [
      ["server-objects", ["far"]],
    ]);
    assert.deepEqual((await dumpOf(flavour, server, { database })).info.omissions, []);
    await server.stop();
  },
);

needs("mariadb")("MariaDB keeps the history of its tables, and its sequences' values", async () => {
  const [flavour] = flavours as [Flavour];
  const server = await flavour.server();
  const database = await server.createDatabase();
  await makeSample(server, database);
  const { backup } = await dumpOf(flavour, server, { database });
  const target = freshName();
  const connector = await connect(flavour, server, { database: target });
  await restoreInto(connector, chainOf(flavour.kind, backup));
  await connector.close();
  const past = "SELECT COUNT(*) FROM history FOR SYSTEM_TIME ALL";
  assert.equal(await server.sql(target, past), "3");
  assert.equal(await server.sql(target, "SELECT NEXTVAL(seq)"), "7100");
  assert.ok((await contentOf(server, target)).length > 50);
});
