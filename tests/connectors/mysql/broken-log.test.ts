import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { partialReason } from "../../../src/connectors/mysql/binlog/requirements.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { takeBackup, type TakenBackup } from "./chains.ts";
import { connect, type Flavour, flavours } from "./flavours.ts";
import { logPosition, purgeLogs, resetLogs } from "./logs.ts";

const startOf = ({ name }: Flavour) => name === "mariadb" ? startMariadb : startMysql;

async function withTable(server: MysqlServer): Promise<string> {
  const database = await server.createDatabase();
  await server.sql(database, "CREATE TABLE t (n INT PRIMARY KEY); INSERT INTO t VALUES (1)");
  return database;
}

async function continues(connector: Connector, { manifest: parent }: TakenBackup) {
  const since = { kind: "incremental", parent } as const;
  const { continues } = await connector.inspect({ signal: never, since });
  return continues?.isPossible === false ? continues.reason : "possible";
}

for (const flavour of flavours) {
  const isMysql = flavour.name === "mysql";
  needs(flavour.name).describe(`the log of ${flavour.kind.title}`, () => {
    test("goes on over a restart and new files, and not when the file is purged", async () => {
      const server = await startOf(flavour)();
      const database = await withTable(server);
      const connector = await connect(flavour, server, { database });
      const full = await takeBackup(flavour, connector);
      assert.equal(await continues(connector, full), "possible");
      await server.sql(database, "INSERT INTO t VALUES (2); FLUSH BINARY LOGS");
      await server.stop("SIGKILL");
      await server.start();
      assert.equal(await continues(connector, full), "possible");
      const next = await takeBackup(flavour, connector, "incremental", full);
      assert.ok(next.artifacts.filter(({ role }) => role === "log").length > 1);
      await purgeLogs(server);
      assert.match(await continues(connector, next), /^binlog\.\d+ was purged: the log begins at /);
      await connector.close();
    });

    test("that was begun anew is told, also where names and places are used again", async () => {
      const server = await startOf(flavour)();
      const database = await withTable(server);
      const connector = await connect(flavour, server, { database });
      await resetLogs(server);
      await server.sql(database, "INSERT INTO t VALUES (10)");
      const full = await takeBackup(flavour, connector);
      const place = await logPosition(server);
      await resetLogs(server);
      assert.match(await continues(connector, full), /begun anew/);
      // The very same changes, so that the log is as long as before.
      await server.sql(database, "INSERT INTO t VALUES (20)");
      assert.equal(await logPosition(server), place, "it is as long");
      assert.match(
        await continues(connector, full),
        /^what stands before binlog\.000001:\d+ is not what was backed up/,
      );
      await connector.close();
    });

    test("of another server is told, whatever it is called", async () => {
      const [one, other] = await Promise.all([startOf(flavour)(), startOf(flavour)()]);
      const database = await withTable(one);
      await other.createDatabase(database);
      await other.sql(database, "CREATE TABLE t (n INT PRIMARY KEY); INSERT INTO t VALUES (1)");
      const [source, replaced] = [
        await connect(flavour, one, { database }),
        await connect(flavour, other, { database }),
      ];
      const full = await takeBackup(flavour, source);
      const reason = await continues(replaced, full);
      assert.match(
        reason,
        isMysql
          ? /^the server is another: its server_uuid is /
          : /is not what was backed up|begun anew/,
      );
      await Promise.all([source.close(), replaced.close()]);
    });

    test("that is set up in another way makes full backups, and says what to set", async () => {
      const server = await startOf(flavour)();
      const database = await withTable(server);
      const connector = await connect(flavour, server, { database });
      const full = await takeBackup(flavour, connector);
      for (const [setting, value, before] of settings) {
        await server.sql("", `SET GLOBAL ${setting} = ${value}`);
        assert.match(await continues(connector, full), new RegExp(`^${setting} is ${value}`));
        const { warnings, window } = (await takeBackup(flavour, connector)).result;
        assert.equal(window, undefined);
        assert.ok(warnings.some((one) => one.includes(`${setting} is ${value}`)), warnings.join());
        await server.sql("", `SET GLOBAL ${setting} = ${before}`);
      }
      await connector.close();
    });

    test("that this user may not read makes full backups, with the GRANT to run", async () => {
      const server = await startOf(flavour)();
      const database = await withTable(server);
      await server.sql(
        "",
        `CREATE USER small IDENTIFIED BY 'pw'; GRANT ALL ON \`${database}\`.* TO small; ` +
          `GRANT ${isMysql ? "PROCESS, RELOAD" : "RELOAD"} ON *.* TO small`,
      );
      const url = server.url(database, { user: "small", password: "pw" });
      const connector = await connect(flavour, server, { url });
      const full = await takeBackup(flavour, connector);
      assert.match(
        full.result.warnings.join("\n"),
        /may not read the binary log; run: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON \*\.\* TO 'small'@'%'/,
      );
      await server.sql("", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO small");
      await connector.close();
      // A session keeps the rights that it began with.
      const granted = await connect(flavour, server, { url });
      const again = await takeBackup(flavour, granted);
      assert.equal(await continues(granted, again), "possible");
      await takeBackup(flavour, granted, "incremental", again);
      await granted.close();
    });

    const unfit: readonly (readonly [string, string, RegExp])[] = [
      [
        "a statement",
        "SET SESSION binlog_format = STATEMENT; INSERT INTO t VALUES (CONNECTION_ID())",
        /binlog\.\d+:\d+ has a change as a statement/,
      ],
      [
        "an XA transaction",
        "XA START 'x'; INSERT INTO t VALUES (7); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'",
        /has an XA transaction/,
      ],
      [
        "a table whose name would end mysqlbinlog's remark",
        "CREATE TABLE `a\n; DROP TABLE t; #x` (n INT); INSERT INTO `a\n; DROP TABLE t; #x` VALUES (1)",
        /whose name has a line break/,
      ],
    ];
    for (const [what, sql, reason] of unfit) {
      test(`with ${what} cannot be gone on with`, async () => {
        const server = await startOf(flavour)();
        const database = await withTable(server);
        const connector = await connect(flavour, server, { database });
        const full = await takeBackup(flavour, connector);
        await server.sql(database, sql);
        const error = await takeBackup(flavour, connector, "incremental", full)
          .then(() => undefined, (error) => error);
        assert.ok(hasCode(error, "dump/cannot-continue"), String(error));
        assert.match(error.message, reason);
        await connector.close();
      });
    }
  });
}

const settings = [
  ["binlog_format", "MIXED", "ROW"],
  ["binlog_row_image", "MINIMAL", "FULL"],
] as const;

describe("what a job leaves out", () => {
  test("keeps it from having increments, since the log has the changes of all", () => {
    assert.equal(partialReason({}), undefined);
    for (const settings of [{ exclude: ["a"] }, { excludeData: ["a"] }, { schemaOnly: true }]) {
      assert.match(partialReason(settings)!, /leaves out/);
    }
  });
});
