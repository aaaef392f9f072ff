import assert from "node:assert/strict";
import { test } from "node:test";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { ArtifactContents } from "../../../src/contracts/format.ts";
import { collect } from "../../../src/core/bytes.ts";
import { type MongoServer, startMongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { never } from "../../support/runtime.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { backUp, chainOf, type MemoryBackup, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";
import { readInvariants, startWriter } from "./writer.ts";

/** Dumps a whole server, and does something once the dump has begun and cannot go on. */
function backUpWhile(server: MongoServer, act: () => Promise<unknown>): Promise<MemoryBackup> {
  return withConnector(optionsOf(server), async (connector) => {
    const artifacts: MemoryBackup["artifacts"][number][] = [];
    const result = await connector.dump(
      { kind: "full", settings: {}, stallMs: 60_000 },
      async (head, bytes): Promise<ArtifactContents> => {
        const walker = mongodb.formats.find(({ id }) => id === head.format)!.walk();
        let seenBytes = 0;
        let isDone = head.role !== "dump";
        const whole = await collect((async function* () {
          for await (const chunk of bytes) {
            walker.push(chunk);
            yield chunk;
            seenBytes += chunk.byteLength;
            // Past the prelude: mongodump has listed the collections.
            if (isDone || seenBytes < 500_000) continue;
            isDone = true;
            await act();
          }
        })());
        assert.ok(isDone, "the dump was over too soon");
        const contents = walker.end();
        artifacts.push({ head, bytes: whole, contents });
        return contents;
      },
      { signal: never },
    );
    return { artifacts, result };
  });
}

async function fill(server: MongoServer) {
  const many = Array.from({ length: 4000 }, (_, _id) => ({ _id, pad: "x".repeat(1000) }));
  for (const name of ["big one", "big two"]) {
    await (await server.client()).db("still").collection<{ _id: number }>(name).insertMany(many);
  }
}

needsMongo("oplog").describe("mongodb oplog", () => {
  needsMongo("replay", "transactions")(
    "a dump under a writer is of one moment, and so is a part of it",
    async () => {
      const [source, target] = await Promise.all([
        startMongo({ can: ["replay", "transactions"] }),
        startMongo({ can: ["replay"] }),
      ]);
      const client = await source.client();
      await fill(source);
      const db = client.db("busy");
      const writer = await startWriter(client, db);
      let roundsWhenHeld = 0;
      const backup = await backUpWhile(source, async () => {
        roundsWhenHeld = writer.rounds();
        await writer.more(25);
      });
      await writer.more(2);
      await writer.stop();
      const { to, inventory, warnings } = backup.result;
      assert.deepEqual(warnings, []);
      assert.equal(to?.type, "oplog");
      assert.equal(to["isConsistent"], true);
      assert.equal(backup.result.consistentAt.getTime(), Number(to["t"]) * 1000);

      const busy = inventory.databases.find(({ database }) => database === "busy")!;
      const objectOf = (name: string) => busy.objects.find((object) => object.name === name);
      assert.equal(objectOf("first")?.isExact, false);
      const still = inventory.databases.find(({ database }) => database === "still")!;
      assert.deepEqual(still.objects.map(({ count, isExact }) => [count, isExact]), [
        [4000, true],
        [4000, true],
      ]);

      const all = await withConnector(
        optionsOf(target),
        (connector) => restoreInto(connector, chainOf(mongodb, backup)),
      );
      assert.deepEqual(all.result.differences.filter(({ problem }) => problem !== "count"), []);
      const restored = (await target.client()).db("busy");
      const facts = await readInvariants(restored);
      assert.deepEqual(
        { ...facts, rounds: facts.rounds >= roundsWhenHeld + 25 },
        { sum: 2000, hasGaps: false, isOneMoment: true, rounds: true },
      );

      // One database under another name, and single collections: of the same moment.
      await withConnector(
        optionsOf(target, { database: "copy" }),
        (connector) => restoreInto(connector, chainOf(mongodb, backup), { databases: ["busy"] }),
      );
      assert.deepEqual(await readInvariants((await target.client()).db("copy")), facts);
      await withConnector(
        optionsOf(target, { database: "part" }),
        (connector) =>
          restoreInto(connector, chainOf(mongodb, backup), {
            databases: ["busy"],
            only: ["first", "second", "accounts"],
          }),
      );
      const part = (await target.client()).db("part");
      assert.deepEqual(await readInvariants(part), facts);
      const names = (await part.listCollections().toArray()).map(({ name }) => name).sort();
      assert.deepEqual(names, ["accounts", "first", "second"]);
      await Promise.all([source.stop(), target.stop()]);
    },
  );

  test("a collection that is renamed meanwhile fails the dump, and the hint says why", async () => {
    const source = await startMongo({ can: ["oplog"] });
    await fill(source);
    const db = (await source.client()).db("busy");
    await db.createCollection("old");
    await assert.rejects(
      backUpWhile(source, () => db.renameCollection("old", "new")),
      (error: Error & { hint?: string }) =>
        code("dump/failed")(error) && /renam/.test(error.message) && /\$out/.test(error.hint ?? ""),
    );
    await source.stop();
  });

  test("a quiet server's dump is exact, and the position does not go back", async () => {
    const source = await startMongo({ can: ["oplog"] });
    const client = await source.client();
    await client.db("shop").collection("c").insertOne({});
    const backup = await withConnector(
      optionsOf(source),
      (connector) => backUp(mongodb, connector),
    );
    assert.deepEqual(withoutSizes(backup.result.inventory.databases), [
      { database: "shop", objects: [{ type: "collection", name: "c", count: 1, isExact: true }] },
    ]);
    const { from, to } = backup.result;
    assert.ok(Number(to?.["t"]) >= Number(from?.["t"]));
    await source.stop();
  });
});
