import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { BackupError, hasCode } from "../../../src/core/errors.ts";
import { type Bytes, bytesOf } from "../../../src/core/bytes.ts";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";
import { freshName } from "../../support/freshName.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, type MemoryBackup, restoreOptions } from "../sqlite/memoryBackup.ts";
import { connect, type Flavour, flavours } from "./flavours.ts";

type Replaced = Parameters<typeof chainOf>[2];

async function backedUp(flavour: Flavour, server: MysqlServer, databases: string[]) {
  const connector = await connect(flavour, server, { databases });
  const info = await connector.inspect({ signal: never });
  const backup = await backUp(flavour.kind, connector);
  await connector.close();
  const chain = (replaced: Replaced = {}) => {
    const made = chainOf(flavour.kind, backup, replaced);
    Object.assign(made[0]!.manifest.source, { version: info.version, flavour: info.flavour });
    return made;
  };
  return { backup, chain };
}

async function restored(
  flavour: Flavour,
  server: MysqlServer,
  database: string | undefined,
  chain: ReturnType<typeof chainOf>,
  { signal = never, ...changed }: Partial<RestoreOptions> & { signal?: AbortSignal } = {},
) {
  const connector = await connect(flavour, server, { database });
  try {
    const options = restoreOptions(changed);
    const plan = await connector.planRestore(chain, options, { signal: never });
    const result = await connector.restore(chain, plan, options, { signal });
    return { plan, result };
  } finally {
    await connector.close();
  }
}

/** The inventory with a view that the dump does not make. */
function withGhost({ result }: MemoryBackup) {
  const [first, ...others] = result.inventory.databases;
  const ghost = { type: "view", name: "ghost" } as const;
  return { databases: [{ ...first!, objects: [...first!.objects, ghost] }, ...others] };
}

/** The dump with text of it replaced. */
function edited(edit: (text: string) => string): (bytes: Uint8Array) => Bytes {
  return (bytes) => bytesOf(Buffer.from(edit(Buffer.from(bytes).toString("latin1")), "latin1"));
}

const caught = async (promise: Promise<unknown>): Promise<BackupError> => {
  const error = await promise.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof BackupError, String(error));
  return error;
};

for (const flavour of flavours) {
  needs(flavour.name).describe(`what a restore to ${flavour.kind.title} leaves`, () => {
    test("is everything when it differs from the inventory, and is then taken as it is", async () => {
      const server = await flavour.server();
      const [source, target] = [await server.createDatabase(), freshName()];
      await server.sql(source, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2)");
      const { backup, chain } = await backedUp(flavour, server, [source]);
      const differing = chain({ inventory: withGhost(backup) });
      const error = await caught(restored(flavour, server, target, differing));
      assert.equal(error.code, "restore/incomplete");
      assert.match(error.message, /view ".*ghost" is missing/);
      assert.deepEqual(error.details?.["left"], [{ from: source, to: target, name: target }]);
      assert.equal(await server.sql(target, "SELECT SUM(n) FROM t"), "3");

      // Nobody but who says so gets it, and who does gets what is there now.
      await server.sql(target, "INSERT INTO t VALUES (10)");
      const again = await caught(restored(flavour, server, target, differing));
      assert.equal(again.code, "restore/not-empty");
      const taken = await restored(flavour, server, target, differing, {
        isDifferenceAccepted: true,
      });
      assert.equal(taken.plan.steps[0]?.adopts, target);
      assert.deepEqual(taken.result.differences.map(({ name }) => name), ["t", "ghost"]);
      assert.equal(await server.sql(target, "SELECT SUM(n) FROM t"), "13");
      assert.equal(await server.sql(target, "SHOW TABLES"), "t");
    });

    test("is restored again where it is another's, and the difference accepted", async () => {
      const server = await flavour.server();
      const [source, target] = [await server.createDatabase(), freshName()];
      await server.sql(source, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2)");
      const { backup, chain } = await backedUp(flavour, server, [source]);
      const differing = chain({ inventory: withGhost(backup) });
      await caught(restored(flavour, server, target, differing));
      await server.sql(target, "DELETE FROM t");
      const accepted = { isDifferenceAccepted: true, isOverwrite: true, backupId: "another" };
      const { plan, result } = await restored(flavour, server, target, differing, accepted);
      assert.equal(plan.steps[0]?.adopts, undefined);
      assert.equal(result.differences[0]?.name, "ghost");
      assert.equal(await server.sql(target, "SELECT SUM(n) FROM t"), "3");
      assert.equal(await server.sql(target, "SHOW TABLES"), "t");
    });

    test("is all that works when it keeps going, statement by statement", async () => {
      const server = await flavour.server();
      const [one, two] = [await server.createDatabase(), await server.createDatabase()];
      for (const database of [one, two]) {
        await server.sql(
          database,
          `CREATE TABLE a (n INT PRIMARY KEY); INSERT INTO a VALUES (1), (2), (3);
           CREATE TABLE b (n INT PRIMARY KEY, t TEXT); INSERT INTO b VALUES (1, 'x\n-- y'), (2, '');
           CREATE TABLE c (n INT); INSERT INTO c VALUES (7);
           CREATE VIEW v AS SELECT n FROM c;
           CREATE TRIGGER tr BEFORE INSERT ON b FOR EACH ROW SET NEW.n = NEW.n + 1;
           CREATE PROCEDURE p() SELECT 1`,
        );
      }
      const { chain } = await backedUp(flavour, server, [one, two]);
      for (const database of [one, two]) await server.sql("", `DROP DATABASE ${database}`);
      const broken = chain({
        open: edited((text) =>
          text
            // Of the first database: a row twice, and a table of a type that there is not.
            .replace(/(INSERT INTO `a` VALUES\s+)\(1\)/, "$1(2)")
            .replace(/(CREATE TABLE `b` \(\s+`n` )int/i, "$1nix")
        ),
      });
      const stopped = await caught(restored(flavour, server, undefined, broken));
      assert.equal(stopped.code, "restore/failed");
      assert.match(stopped.hint!, /--keep-going/);
      assert.equal((await server.sql("", "SHOW DATABASES")).includes(one), false);

      const { result } = await restored(flavour, server, undefined, broken, { isKeepGoing: true });
      assert.deepEqual(
        result.failures.map(({ database, object, leaves }) => [database, object, leaves]),
        [
          [one, "table a", "The table lacks 3 of its rows"],
          [one, "table b", "The table is missing, with its rows"],
          [one, "trigger tr", "The trigger is missing"],
        ],
      );
      assert.match(result.failures[0]!.message, /^ERROR 1062 .*Duplicate entry '2'/);
      assert.deepEqual(result.left, [{ from: one, to: one, name: one }]);
      assert.equal(await server.sql(one, "SELECT COUNT(*) FROM a"), "0");
      assert.equal(await server.sql(one, "SELECT n FROM v; CALL p()"), "7\n1");
      assert.equal(await server.sql(two, "SELECT COUNT(*) FROM b; SELECT SUM(n) FROM a"), "2\n6");
      // What is left can be had alone.
      await restored(flavour, server, undefined, chain(), { databases: [one], isOverwrite: true });
      assert.equal(await server.sql(one, "SELECT SUM(n) FROM a"), "6");
    });

    test("is said truly when it replaces and breaks, or is stopped, halfway", async () => {
      const server = await flavour.server();
      const [source, target] = [await server.createDatabase(), await server.createDatabase()];
      await server.sql(
        source,
        `CREATE TABLE a (n INT); INSERT INTO a VALUES (1);
         CREATE TABLE b (n INT); INSERT INTO b VALUES (1)`,
      );
      await server.sql(target, "CREATE TABLE old (n INT)");
      const { chain } = await backedUp(flavour, server, [source]);
      const broken = chain({
        open: edited((text) => text.replace("CREATE TABLE `b`", "CREATE TABEL `b`")),
      });
      const overwriting = { isOverwrite: true };
      const failed = await caught(restored(flavour, server, target, broken, overwriting));
      assert.equal(failed.code, "restore/failed");
      assert.match(failed.hint!, new RegExp(`"${target}" holds only a part .* --overwrite`));
      assert.equal(await server.sql(target, "SELECT n FROM a"), "1");

      const stopping = new AbortController();
      const reason = new BackupError("interrupted/signal", "Stopped by SIGINT", { hint: "Again." });
      async function* halfway(bytes: Uint8Array): Bytes {
        yield bytes.subarray(0, bytes.length / 2);
        stopping.abort(reason);
        yield bytes.subarray(bytes.length / 2);
      }
      const stopped = await caught(
        restored(flavour, server, target, chain({ open: halfway }), {
          ...overwriting,
          signal: stopping.signal,
        }),
      );
      assert.ok(hasCode(stopped, "interrupted/signal"));
      assert.match(stopped.hint!, new RegExp(`"${target}" holds only a part .*Again\\.`));
    });
  });
}
