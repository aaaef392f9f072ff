import assert from "node:assert/strict";
import { test } from "node:test";
import type { MongoClient } from "mongodb";
import type { RestorableBackup } from "../../../src/contracts/connector.ts";
import { startMongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { restoreTo, take } from "./chains.ts";
import { optionsOf, withConnector } from "./opened.ts";

/** What every collection of some databases holds. */
async function contentOf(client: MongoClient, names: readonly string[]) {
  const content: Record<string, unknown> = {};
  for (const name of names) {
    for (const { name: collection } of await client.db(name).listCollections().toArray()) {
      const documents = await client.db(name).collection(collection).find().sort({ _id: 1 })
        .toArray();
      content[`${name}.${collection}`] = documents;
    }
  }
  return content;
}

/** When the server's newest entry was written. */
async function newest(client: MongoClient) {
  const [last] = await client.db("local").collection("oplog.rs").find().sort({ $natural: -1 })
    .limit(1)
    .toArray();
  return { t: Number(last!["ts"].high), i: Number(last!["ts"].low), wall: last!["wall"] as Date };
}

needsMongo("oplog").describe("a chain of MongoDB", () => {
  test("restores every moment that was recorded, by position, and its end", async () => {
    const [source, target] = await Promise.all([
      startMongo({ can: ["oplog"] }),
      startMongo({ can: ["oplog"] }),
    ]);
    const client = await source.client();
    const shop = client.db("shop");
    await shop.createCollection("orders");
    await shop.createCollection("gone");
    const orders = shop.collection<{ _id: number; n?: number }>("orders");
    await orders.insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3 }]);

    const moments: { at: Awaited<ReturnType<typeof newest>>; content: unknown; of: number }[] = [];
    const chain: RestorableBackup[] = [];
    await withConnector(optionsOf(source), async (connector) => {
      chain.push(await take(connector));
      const changes = [
        () => orders.insertOne({ _id: 4 }),
        () => orders.replaceOne({ _id: 1 }, { n: 5 }),
        () => orders.deleteOne({ _id: 2 }),
        () => shop.createCollection("later"),
        () => shop.collection("later").insertOne({ _id: 1 as never }),
        () => shop.collection("later").rename("renamed"),
        () => shop.dropCollection("gone"),
        () => client.db("other").createCollection("first"),
        () => client.db("other").collection("first").insertOne({ _id: "x" as never }),
        () => orders.replaceOne({ _id: 1 }, { n: 6 }),
        () => client.db("other").dropDatabase(),
        () => orders.insertOne({ _id: 7 }),
      ];
      for (const [number, change] of changes.entries()) {
        await change();
        moments.push({
          at: await newest(client),
          content: await contentOf(client, ["shop", "other"]),
          of: chain.length,
        });
        if (number % 4 === 3) chain.push(await take(connector, "incremental", chain.at(-1)!));
      }
    });
    assert.equal(chain.length, 4);
    const restored = await target.client();
    await withConnector(optionsOf(target), async (connector) => {
      for (const { at, content, of } of moments) {
        for (const name of ["shop", "other"]) await restored.db(name).dropDatabase();
        const { t, i } = at;
        const until = { position: { type: "oplog", t, i } };
        const { result } = await restoreTo(connector, chain.slice(0, of + 1), until);
        assert.deepEqual(await contentOf(restored, ["shop", "other"]), content);
        assert.deepEqual(result.differences.filter(({ isFailure }) => isFailure), []);
      }
      for (const name of ["shop", "other"]) await restored.db(name).dropDatabase();
      const { plan } = await restoreTo(connector, chain);
      assert.deepEqual(plan.steps.map(({ to, mode }) => [to, mode]), [["shop", "create"]]);
      assert.deepEqual(await contentOf(restored, ["shop", "other"]), moments.at(-1)!.content);
      const { databases } = await restored.db("admin").command({
        listDatabases: 1,
        nameOnly: true,
      });
      const left = (databases as { name: string }[]).filter(({ name }) => name.includes("passing"));
      assert.deepEqual(left, []);
    });
    await Promise.all([source.stop(), target.stop()]);
  });
});
