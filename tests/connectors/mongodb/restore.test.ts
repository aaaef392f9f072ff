import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { Bytes } from "../../../src/core/bytes.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { mongo, type MongoServer } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";

interface Numbered {
  _id: number;
  n?: number;
}

/** A database with orders (3 documents and an index), customers (2), and a view. */
async function makeShop(server: MongoServer): Promise<string> {
  const name = server.freshDatabase();
  const db = (await server.client()).db(name);
  await db.collection<Numbered>("orders").insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3 }]);
  await db.collection("orders").createIndex({ day: 1 }, { name: "by.day" });
  await db.collection<Numbered>("orders.old").insertMany([{ _id: 1 }, { _id: 2 }]);
  await db.collection("orders.old").createIndex({ n: 1 }, { name: "n" });
  await db.collection<Numbered>("customers").insertMany([{ _id: 1 }, { _id: 2 }]);
  await db.createCollection("open orders", { viewOn: "orders", pipeline: [] });
  return name;
}

const backUpOf = (server: MongoServer, database: string) =>
  withConnector(optionsOf(server, { database }), (connector) => backUp(mongodb, connector));

async function namesIn(server: MongoServer, database: string): Promise<string[]> {
  const found = await (await server.client()).db(database).listCollections().toArray();
  return found.map(({ name }) => name).filter((name) => name !== "system.views").sort();
}

needsMongo().describe("mongodb restore", () => {
  test("refuses a database with something in it, by name, and changes nothing", async () => {
    const server = await mongo();
    const from = await makeShop(server);
    const backup = await backUpOf(server, from);
    const to = server.freshDatabase();
    const other = (await server.client()).db(to).collection<Numbered>("other");
    await other.insertOne({ _id: 1 });
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      await assert.rejects(
        restoreInto(connector, chainOf(mongodb, backup)),
        (error: Error) =>
          code("restore/not-empty")(error) && error.message.includes(`"${to}"`) &&
          error.message.includes('"other"'),
      );
    });
    assert.deepEqual(await namesIn(server, to), ["other"]);
  });

  test("with overwrite says what is lost, wants the backup checked first, and replaces", async () => {
    const server = await mongo();
    const from = await makeShop(server);
    const backup = await backUpOf(server, from);
    const db = (await server.client()).db(from);
    await db.collection<Numbered>("orders").deleteOne({ _id: 1 });
    await db.collection<Numbered>("later").insertOne({ _id: 1 });
    const { plan } = await withConnector(
      optionsOf(server, { database: from }),
      (connector) => restoreInto(connector, chainOf(mongodb, backup), { isOverwrite: true }),
    );
    assert.equal(plan.isCheckedFirst, true);
    assert.equal(plan.steps[0]?.mode, "replace");
    assert.match(
      plan.steps[0].loses ?? "",
      new RegExp(`All of database "${from}" is dropped first: 5 collections with about \\d+ doc`),
    );
    assert.deepEqual(await namesIn(server, from), [
      "customers",
      "open orders",
      "orders",
      "orders.old",
    ]);
    assert.equal(await db.collection("orders").countDocuments(), 3);
  });

  test("brings back single collections beside others, and replaces only those", async () => {
    const server = await mongo();
    const from = await makeShop(server);
    const backup = await backUpOf(server, from);
    const db = (await server.client()).db(from);
    await db.dropCollection("orders");
    await db.collection<Numbered>("customers").insertOne({ _id: 3 });
    await withConnector(optionsOf(server, { database: from }), async (connector) => {
      const chain = chainOf(mongodb, backup);
      const filled = await restoreInto(connector, chain, { only: ["orders"] });
      assert.deepEqual(filled.plan.steps, [{ from, to: from, mode: "fill" }]);
      assert.equal(await db.collection("orders").countDocuments(), 3);
      assert.equal((await db.collection("orders").indexes()).length, 2);
      await assert.rejects(
        restoreInto(connector, chain, { only: [`${from}.customers`] }),
        code("restore/not-empty"),
      );
      const replaced = await restoreInto(connector, chain, {
        only: [`${from}.customers`],
        isOverwrite: true,
      });
      assert.match(replaced.plan.steps[0]?.loses ?? "", /^Collections "customers" of database/);
      assert.equal(await db.collection("customers").countDocuments(), 2);
      assert.equal(await db.collection("orders.old").countDocuments(), 2);
      await assert.rejects(
        restoreInto(connector, chain, { only: ["customer"] }),
        (error: BackupError) =>
          code("restore/no-such-object")(error) && error.hint === 'Did you mean "customers"?',
      );
    });
  });

  needsMongo("caseTwins")(
    "refuses a name that differs only by case from one that is there",
    async () => {
      const server = await mongo({ can: ["caseTwins"] });
      const from = await makeShop(server);
      const backup = await backUpOf(server, from);
      await withConnector(
        optionsOf(server, { database: from.toUpperCase() }),
        async (connector) => {
          await assert.rejects(
            restoreInto(connector, chainOf(mongodb, backup)),
            (error: Error) =>
              code("restore/not-empty")(error) && /differ only by case/.test(error.message),
          );
        },
      );
    },
  );

  for (const only of [[], ["orders"]]) {
    const what = only.length === 0 ? "a database" : "a collection";
    test(`that fails halfway leaves nothing of ${what} behind`, async () => {
      const server = await mongo();
      const from = await makeShop(server);
      const db = (await server.client()).db(from);
      const many = Array.from({ length: 3000 }, (_, n) => ({ _id: n + 10, pad: "x".repeat(900) }));
      await db.collection<Numbered>("orders").insertMany(many);
      const backup = await backUpOf(server, from);
      const to = server.freshDatabase();
      if (only.length > 0) {
        await (await server.client()).db(to).collection<Numbered>("own").insertOne({ _id: 1 });
      }
      const damage = new BackupError("verification/digest", "the artifact differs");
      async function* open(bytes: Uint8Array): Bytes {
        yield bytes.subarray(0, bytes.byteLength - 100_000);
        await Promise.resolve();
        throw damage;
      }
      await withConnector(optionsOf(server, { database: to }), async (connector) => {
        const chain = chainOf(mongodb, backup, { open });
        await assert.rejects(restoreInto(connector, chain, { only }), damage);
      });
      assert.deepEqual(await namesIn(server, to), only.length === 0 ? [] : ["own"]);
    });
  }

  test("sees a document that mongorestore leaves out, though its status is 0", async () => {
    const server = await mongo();
    const from = await makeShop(server);
    const backup = await backUpOf(server, from);
    const expected = backup.result.inventory.databases.map((database) => ({
      ...database,
      objects: database.objects.map((one) => one.name === "orders" ? { ...one, count: 4 } : one),
    }));
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      const chain = chainOf(mongodb, backup, { inventory: { databases: expected } });
      await assert.rejects(
        restoreInto(connector, chain),
        (error: Error) =>
          code("restore/incomplete")(error) &&
          error.message.includes(`collection "${to}.orders" holds `),
      );
    });
  });

  test("refuses a target that is older than the dump", async () => {
    const server = await mongo();
    const backup = await backUpOf(server, await makeShop(server));
    const [one] = chainOf(mongodb, backup);
    const source = { ...one!.manifest.source, version: "99.0.2" };
    const chain = [{ ...one!, manifest: { ...one!.manifest, source } }];
    await withConnector(
      optionsOf(server, { database: server.freshDatabase() }),
      (connector) =>
        assert.rejects(
          restoreInto(connector, chain),
          (error: Error) =>
            code("restore/target-too-old")(error) && error.message.includes("99.0.2"),
        ),
    );
  });

  test("asks which database is meant when the target's URL names another", async () => {
    const server = await mongo();
    const names = [await makeShop(server), await makeShop(server)];
    const backup = await withConnector(
      optionsOf(server, { databases: names }),
      (connector) => backUp(mongodb, connector),
    );
    assert.deepEqual(backup.artifacts.map(({ head }) => head.databases), names.map((one) => [one]));
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      const chain = chainOf(mongodb, backup);
      await assert.rejects(restoreInto(connector, chain), code("restore/no-such-object"));
      await restoreInto(connector, chain, { databases: [names[1]!] });
    });
    assert.equal((await namesIn(server, to)).length, 4);
  });

  test("leaves out what the job excludes, and tells mongorestore what the user adds", async () => {
    const server = await mongo();
    const from = await makeShop(server);
    const backup = await withConnector(
      optionsOf(server, { database: from }),
      (connector) =>
        backUp(mongodb, connector, {
          settings: { exclude: ["orders.*", "open*"], excludeData: [`${from}.customers`] },
        }),
    );
    const collection = (name: string, count: number) => ({
      ...{ type: "collection", name, count, isExact: true } as const,
    });
    assert.deepEqual(withoutSizes(backup.result.inventory.databases)[0]?.objects, [
      collection("customers", 0),
      collection("orders", 3),
      { type: "index", name: "orders.by.day" },
    ]);
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      await assert.rejects(
        restoreInto(connector, chainOf(mongodb, backup), { restoreArgs: ["--no-such-flag"] }),
        (error: Error) => code("restore/failed")(error) && /no-such-flag/.test(error.message),
      );
      await restoreInto(connector, chainOf(mongodb, backup), { restoreArgs: ["--noIndexRestore"] })
        .then(() => assert.fail("an index is missing"), code("restore/incomplete"));
    });
  });

  test("of definitions only makes every collection and index, without a document", async () => {
    const server = await mongo();
    const from = await makeShop(server);
    const backup = await withConnector(
      optionsOf(server, { database: from }),
      (connector) => backUp(mongodb, connector, { settings: { schemaOnly: true } }),
    );
    const to = server.freshDatabase();
    const { result } = await withConnector(
      optionsOf(server, { database: to }),
      (connector) => restoreInto(connector, chainOf(mongodb, backup)),
    );
    assert.deepEqual(result.differences, []);
    assert.deepEqual(await namesIn(server, to), await namesIn(server, from));
    assert.equal(await (await server.client()).db(to).collection("orders").countDocuments(), 0);
    assert.ok(Buffer.from(backup.artifacts[0]!.bytes).includes("by.day"));
  });
});
