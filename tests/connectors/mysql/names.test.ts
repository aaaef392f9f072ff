import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../../src/core/errors.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { copied } from "./copies.ts";
import { connect, flavours } from "./flavours.ts";
import { hostileSql } from "./hostile.ts";

const [mariadb] = flavours as [typeof flavours[number]];

for (const flavour of flavours) {
  needs(flavour.name).describe(`names in ${flavour.kind.title}`, () => {
    test("of any sort, and every kind of object, compare without a difference", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, hostileSql(flavour.name));
      const { copy, backup, result } = await copied(flavour, server, database);
      assert.deepEqual(result.differences, []);
      const source = await connect(flavour, server, { database });
      const live = await source.inventory(database, { signal: never });
      await source.close();
      const named = (objects: readonly { type: string; name: string }[]) =>
        objects.map(({ type, name }) => `${type} ${name}`).sort();
      assert.deepEqual(named(backup.result.inventory.databases[0]!.objects), named(live.objects));
      assert.ok(live.objects.length > 150);
      await server.sql("", `DROP DATABASE ${copy}`);
    });
  });
}

needs("mariadb").describe("names where upper and lower case are one", () => {
  test("find the database that is there, compare, and never become one of two", async () => {
    const [server, folding] = [
      await mariadb.server(),
      await startMariadb({ settings: { "lower-case-table-names": 1 } }),
    ];
    const database = "MixedCase";
    await server.createDatabase(database);
    await server.sql(
      database,
      "CREATE TABLE Orders (n INT); INSERT INTO Orders VALUES (1); CREATE VIEW V AS SELECT n FROM Orders",
    );
    const restored = async (changed = {}) => {
      const source = await connect(mariadb, server, { database });
      const backup = await backUp(mariadb.kind, source);
      await source.close();
      const chain = chainOf(mariadb.kind, backup);
      Object.assign(chain[0]!.manifest.source, { version: "10.11.0", flavour: "MariaDB" });
      const target = await connect(mariadb, folding, { database });
      try {
        return await restoreInto(target, chain, changed);
      } finally {
        await target.close();
      }
    };
    const { plan, result } = await restored();
    assert.deepEqual(plan.steps.map(({ to, mode }) => [to, mode]), [["mixedcase", "create"]]);
    assert.deepEqual(result.differences, []);
    await folding.sql("mixedcase", "INSERT INTO orders VALUES (2)");
    await assert.rejects(restored(), (error) => hasCode(error, "restore/not-empty"));
    await restored({ isOverwrite: true });
    assert.equal(await folding.sql("mixedcase", "SELECT SUM(n) FROM v"), "1");
    await restored({ isOverwrite: true, only: ["Orders"] });
    await server.sql(database, "CREATE TABLE ORDERS (n INT)");
    await assert.rejects(
      restored({ isOverwrite: true }),
      (error) => hasCode(error, "restore/name-clash") && /Orders/.test(error.message),
    );
    assert.equal(await folding.sql("mixedcase", "SELECT SUM(n) FROM orders"), "1");
    await server.sql("", `DROP DATABASE ${database}`);
    await folding.stop();
  });
});
