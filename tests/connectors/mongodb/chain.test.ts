import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { MongoClient } from "mongodb";
import { compareTimes, oplogPosition } from "../../../src/connectors/mongodb/oplog/position.ts";
import type { RestorableBackup } from "../../../src/contracts/restore.ts";
import type { BackupError } from "../../../src/core/errors.ts";
import { mongo, startMongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { never } from "../../support/runtime.ts";
import { recordedChain, restoreTo, take } from "./chains.ts";
import { code, optionsOf, withConnector } from "./opened.ts";
import { recordedMoments } from "./recording.ts";

const sha256Of = (content: Uint8Array | string) =>
  createHash("sha256").update(content).digest("hex");

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
  test("restores every moment that was recorded, by time and position, and its end", async () => {
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
        // Times are told apart by the millisecond.
        await sleep(5);
        await change();
        moments.push({
          at: await newest(client),
          content: await contentOf(client, ["shop", "other"]),
          of: chain.length,
        });
        if (number % 4 !== 3) continue;
        const parent = chain.at(-1)!;
        // Without a key, what the parent holds is not known on the machine that takes the last one.
        const artifacts = parent.artifacts.filter(({ role }) => number < 8 || role !== "inventory");
        chain.push(await take(connector, "incremental", { ...parent, artifacts }));
      }
    });
    const names = chain.at(-1)!.inventory.databases.map(({ database, objects }) => [
      ...[database, objects.map(({ name }) => name)],
    ]);
    assert.deepEqual(names, [["shop", ["orders", "renamed"]]]);
    assert.equal(chain.length, 4);
    const restored = await target.client();
    await withConnector(optionsOf(target), async (connector) => {
      for (const [number, { at, content, of }] of moments.entries()) {
        for (const name of ["shop", "other"]) await restored.db(name).dropDatabase();
        const { t, i } = at;
        const until = number % 2 === 0 ? { at: at.wall } : { position: { type: "oplog", t, i } };
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

  test("keeps the moments of a writer that never stops, at the edges of its writes", async () => {
    const [source, target] = await Promise.all([
      startMongo({ can: ["oplog"] }),
      startMongo({ can: ["oplog"] }),
    ]);
    const client = await source.client();
    await client.db("load").createCollection("lines");
    const lines = client.db("load").collection<{ _id: number; n: number }>("lines");
    const now = new Map<number, number>();
    const states = new Map<number, string>();
    const stateOf = (documents: Iterable<readonly [number, number]>) =>
      JSON.stringify([...documents].sort(([a], [b]) => a - b));
    let isOver = false;
    // Entry by entry, the log says which number each write has; the state after it is known here.
    const writing = (async () => {
      for (let n = 1; !isOver; n++) {
        const _id = n % 17;
        if (n % 5 === 0 && now.has(_id)) {
          await lines.deleteOne({ _id });
          now.delete(_id);
        } else {
          await lines.replaceOne({ _id }, { n }, { upsert: true });
          now.set(_id, n);
        }
        states.set(n, stateOf(now));
      }
    })();
    const chain: RestorableBackup[] = [];
    await withConnector(optionsOf(source), async (connector) => {
      const until = async (count: number) => {
        while (states.size < count) await sleep(20);
      };
      await until(20);
      chain.push(await take(connector));
      await until(states.size + 20);
      chain.push(await take(connector, "incremental", chain[0]));
      await until(states.size + 20);
      chain.push(await take(connector, "incremental", chain[1]));
      await until(states.size + 20);
      chain.push(await take(connector, "differential", chain[0]));
    });
    isOver = true;
    await writing;
    const ends = chain.map(({ manifest }) => oplogPosition(manifest.position.to)!);
    // The writes of the log, in order: the n-th is of number n.
    const log = await client.db("local").collection("oplog.rs").find({ ns: "load.lines" })
      .sort({ $natural: 1 }).toArray();
    const entries = log.map(({ ts }, index) => ({
      t: ts.high,
      i: ts.low >>> 0,
      number: index + 1,
    }));
    assert.equal(entries.length, states.size);
    const within = entries.filter((one) =>
      compareTimes(one, ends[0]!) > 0 && compareTimes(one, ends[2]!) <= 0
    );
    assert.ok(within.length >= 40, String(within.length));
    const restored = (await target.client()).db("load");
    const found = async () => {
      const documents = await restored.collection<{ _id: number; n: number }>("lines").find()
        .toArray();
      return stateOf(documents.map(({ _id, n }) => [_id, n]));
    };
    await withConnector(optionsOf(target), async (connector) => {
      const step = Math.floor(within.length / 8);
      for (const one of within.filter((_, index) => index % step === 0)) {
        await restored.dropDatabase();
        const { t, i, number } = one;
        const links = compareTimes(one, ends[1]!) <= 0 ? chain.slice(0, 2) : chain.slice(0, 3);
        await restoreTo(connector, links, { position: { type: "oplog", t, i } });
        assert.equal(await found(), states.get(number), `${t}:${i}`);
      }
      // With every incremental gone, the differential has all of it.
      await restored.dropDatabase();
      await restoreTo(connector, [chain[0]!, chain[3]!]);
      const last = entries.findLast((one) => compareTimes(one, ends[3]!) <= 0)!;
      assert.equal(await found(), states.get(last.number));
    });
    await Promise.all([source.stop(), target.stop()]);
  });

  test("with a link missing, or with another's bytes, is a gap and leaves nothing", async () => {
    const target = await startMongo({ can: ["oplog"] });
    const chain = await recordedChain();
    const [base, one, two, three] = chain as [
      ...[RestorableBackup, RestorableBackup, RestorableBackup, RestorableBackup],
    ];
    const swapped = {
      ...two,
      artifacts: two.artifacts.map((artifact) => ({ ...artifact, open: three.artifacts[0]!.open })),
    };
    const chosen = { databases: ["drop_me"] };
    await withConnector(optionsOf(target), async (connector) => {
      for (const broken of [[base, one, three], [base, two], [base, one, swapped]]) {
        await assert.rejects(
          restoreTo(connector, broken, undefined, chosen),
          code("verification/gap"),
        );
        const names = await (await target.client()).db("drop_me").listCollections().toArray();
        assert.deepEqual(names, []);
      }
    });
    await target.stop();
  });
});

needsMongo("oplog", "roles").describe("a chain of MongoDB, as recorded", () => {
  test("is restored by a user with three built-in roles", async () => {
    const target = await startMongo({ can: ["oplog", "roles"], auth: true });
    const client = await target.client();
    await client.db("admin").command({
      createUser: "restorer",
      pwd: "secret",
      roles: ["restore", "readWriteAnyDatabase", "dbAdminAnyDatabase"],
    });
    const { moments } = recordedMoments();
    const { ts, databases } = moments.find(({ name }) => name === "transfers")!;
    const url = target.url("", { user: "restorer", password: "secret" });
    await withConnector(optionsOf(target, { url }), async (connector) => {
      const until = { position: { type: "oplog", ...ts } };
      const lacking = { isKeepGoing: !target.can("textIndex") };
      const chain = await recordedChain();
      const last = chain.findIndex(({ manifest }) =>
        compareTimes(oplogPosition(manifest.position.to)!, ts) >= 0
      );
      const { result } = await restoreTo(connector, chain.slice(0, last + 1), until, lacking);
      const failed = result.failures.map(({ object }) => object);
      const expected = ["index hashed.k_hashed", "index pages.text_text"];
      assert.deepEqual(failed.sort(), lacking.isKeepGoing ? expected : []);
    });
    for (const [db, collections] of Object.entries(databases)) {
      for (const [name, { type, docs, count }] of Object.entries(collections)) {
        if (type === "view") continue;
        const found = await client.db(db).collection(name).find({}, { raw: true }).toArray();
        const documents = found as unknown as Uint8Array[];
        const isCapped = await client.db(db).collection(name).isCapped();
        const digests = documents.map((document) => sha256Of(document));
        const digest = sha256Of((isCapped ? digests : digests.sort()).join("\n"));
        assert.deepEqual([name, documents.length, digest], [name, count, docs]);
      }
    }
    await target.stop();
  });
});

describe("increments of MongoDB", () => {
  const refused = (pattern: RegExp) => (error: BackupError) =>
    error.code === "usage/kind-unsupported" && pattern.test(error.message) &&
    error.hint === "Use the strategy full.";

  needsMongo("standalone")("are refused for a standalone, with the reason", async () => {
    const server = await mongo({ can: ["standalone"] });
    await withConnector(optionsOf(server), async (connector) => {
      const { capabilities } = await connector.inspect({ signal: never });
      assert.deepEqual(capabilities, ["full"]);
      await assert.rejects(take(connector), refused(/: a standalone server keeps no oplog/));
    });
  });

  needsMongo("oplog")(
    "are refused for chosen databases, and begin anew there, with the reason",
    async () => {
      const server = await mongo({ can: ["oplog"] });
      const client = await server.client();
      const database = server.freshDatabase();
      await client.db(database).createCollection("c");
      const whole = await withConnector(optionsOf(server), (connector) => take(connector));
      await withConnector(optionsOf(server, { database }), async (connector) => {
        await assert.rejects(take(connector), refused(/only be taken together with all databases/));
        const since = { kind: "incremental", parent: whole.manifest } as const;
        const { continues } = await connector.inspect({ signal: never, since });
        assert.deepEqual(continues, {
          isPossible: false,
          reason: "the oplog can only be taken together with all databases",
        });
      });
    },
  );
});
