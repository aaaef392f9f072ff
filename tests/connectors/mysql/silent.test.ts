import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { hasCode } from "../../../src/core/errors.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { stopServer } from "../../support/stopped.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { connect, flavours } from "./flavours.ts";

const starts = { mariadb: startMariadb, mysql: startMysql };

for (const flavour of flavours) {
  needs(flavour.name).describe(`${flavour.kind.title} that no longer answers`, () => {
    test("is given up after answerTimeoutMs, and every call after it, too", async () => {
      const server = await starts[flavour.name]();
      const connector = await connect(flavour, server, {
        answerTimeoutMs: 2_000,
        connectTimeoutMs: 1_000,
      });
      assert.deepEqual(await connector.databases({ signal: never }), []);
      const stopped = stopServer(server.pid());
      try {
        await assert.rejects(
          connector.databases({ signal: never }),
          (error) => hasCode(error, "connection/silent") && /answerTimeoutMs/.test(error.hint!),
        );
        // A connection of its own is not even taken.
        await assert.rejects(
          connector.inspect({ signal: never }),
          (error) => hasCode(error, "connection/unreachable"),
        );
        await connector.close();
      } finally {
        stopped.goOn();
      }
      await server.stop();
    });

    test("is given up while its own tools wait for it, in a dump and in a restore", async () => {
      const server = await starts[flavour.name]();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT, f FLOAT); INSERT INTO t VALUES (1, 0.1)");
      const options = { database, answerTimeoutMs: 2_000, connectTimeoutMs: 1_000 };
      const connector = await connect(flavour, server, options);
      const info = await connector.inspect({ signal: never });
      const backup = await backUp(flavour.kind, connector);
      let stopped: ReturnType<typeof stopServer> | undefined;
      const stop = () => stopped = stopServer(server.pid());
      const wakeUp = () => stopped?.goOn();

      const locking = server.sql(database, "LOCK TABLES t WRITE; SELECT SLEEP(4)").catch(() => {});
      await pause(500);
      const dumping = backUp(flavour.kind, connector);
      dumping.catch(() => {});
      await pause(1_500);
      stop();
      try {
        await assert.rejects(dumping, (error) => hasCode(error, "connection/silent"));
      } finally {
        wakeUp();
      }
      await locking;

      const chain = chainOf(flavour.kind, backup, {
        async *open(bytes) {
          yield bytes.subarray(0, bytes.length / 2);
          await pause(500);
          stop();
          yield bytes.subarray(bytes.length / 2);
        },
      });
      Object.assign(chain[0]!.manifest.source, { version: info.version, flavour: info.flavour });
      const target = await connect(flavour, server, { ...options, database: "copy" });
      try {
        await assert.rejects(
          restoreInto(target, chain),
          (error) =>
            hasCode(error, "connection/silent") && /"copy" may hold a part/.test(error.hint!),
        );
        await Promise.all([connector.close(), target.close()]);
      } finally {
        wakeUp();
      }
      await server.stop();
    });

    test("holds up nobody who aborts, nor the closing", async () => {
      const server = await starts[flavour.name]();
      const connector = await connect(flavour, server);
      await connector.databases({ signal: never });
      const stopped = stopServer(server.pid());
      try {
        const aborting = new AbortController();
        const reason = new Error("enough");
        const asked = connector.inspect({ signal: aborting.signal });
        await pause(100);
        aborting.abort(reason);
        await assert.rejects(asked, (error) => error === reason);
        const other = await connect(flavour, server);
        const connecting = other.databases({ signal: never });
        connecting.catch(() => {});
        await pause(100);
        await Promise.all([connector.close(), other.close()]);
      } finally {
        stopped.goOn();
      }
      await server.stop();
    });

    test("is waited for as long as it answers others, and works on nothing that was aborted", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      const connector = await connect(flavour, server, { answerTimeoutMs: 500 });
      const locking = server.sql(database, "LOCK TABLES t WRITE; SELECT SLEEP(2)");
      await pause(500);
      const inventory = await connector.inventory(database, { signal: never });
      assert.equal(inventory.objects[0]?.count, 1);
      await locking;
      const again = server.sql(database, "LOCK TABLES t WRITE; SELECT SLEEP(3)");
      await pause(500);
      const aborting = new AbortController();
      const counting = connector.inventory(database, { signal: aborting.signal });
      await pause(500);
      aborting.abort(new Error("enough"));
      await assert.rejects(counting, /enough/);
      await connector.close();
      const running = await server.sql("", "SHOW FULL PROCESSLIST");
      assert.doesNotMatch(running, /COUNT/);
      await again;
    });
  });
}
