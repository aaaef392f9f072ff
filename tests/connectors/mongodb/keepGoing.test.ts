import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { BackupError } from "../../../src/core/errors.ts";
import { mongo, type MongoServer, startMongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { backUp, chainOf, type MemoryBackup, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";

interface Numbered {
  _id: number;
  n?: number;
}

const backUpOf = (server: MongoServer, database?: string) =>
  withConnector(
    optionsOf(server, database === undefined ? {} : { database }),
    (connector) => backUp(mongodb, connector),
  );

/** A database with two collections, of which one has an index that its documents do not allow. */
async function makeDoubtful(server: MongoServer, name: string): Promise<MemoryBackup> {
  const db = (await server.client()).db(name);
  await db.collection<Numbered>("good").insertMany([{ _id: 1 }, { _id: 2 }]);
  await db.collection("good").createIndex({ n: 1 }, { name: "by n" });
  await db.collection<Numbered>("twins").insertMany([{ _id: 1, n: 5 }, { _id: 2, n: 5 }]);
  await db.collection("twins").createIndex({ n: 1 }, { name: "once", unique: false });
  await db.collection("twins").createIndex({ _id: 1, n: 1 }, { name: "pair" });
  return await backUpOf(server, name);
}

/** The backup with the index "once" said to be unique, so that no server can make it. */
function withRefusedIndex(backup: MemoryBackup): MemoryBackup {
  const artifacts = backup.artifacts.map((artifact) => ({
    ...artifact,
    bytes: replaced(artifact.bytes, '"name":"once"', '"unique":true'),
  }));
  return { ...backup, artifacts };
}

/** Puts a text before another one in every document of a prelude, with lengths mended. */
function replaced(bytes: Uint8Array, before: string, more: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [bytes.subarray(0, 4)];
  const encoder = new TextEncoder();
  const [needle, addition] = [encoder.encode(before), encoder.encode(`${more},`)];
  let at = 4;
  while (at < bytes.byteLength) {
    const length = view.getInt32(at, true);
    if (length === -1) break;
    const document = bytes.slice(at, at + length);
    const found = indexOf(document, needle);
    at += length;
    if (found < 0) {
      parts.push(document);
      continue;
    }
    const grown = new Uint8Array(length + addition.byteLength);
    grown.set(document.subarray(0, found));
    grown.set(addition, found);
    grown.set(document.subarray(found), found + addition.byteLength);
    const grownView = new DataView(grown.buffer);
    grownView.setInt32(0, grown.byteLength, true);
    const field = indexOf(grown, encoder.encode("metadata\0")) + "metadata\0".length;
    grownView.setInt32(field, grownView.getInt32(field, true) + addition.byteLength, true);
    parts.push(grown);
  }
  parts.push(bytes.subarray(at));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let to = 0;
  for (const part of parts) {
    whole.set(part, to);
    to += part.byteLength;
  }
  return whole;
}

function indexOf(bytes: Uint8Array, needle: Uint8Array): number {
  return bytes.findIndex((_, at) => needle.every((byte, index) => bytes[at + index] === byte));
}

needsMongo().describe("a mongodb restore of what the server refuses in part", () => {
  test("fails at it and leaves nothing, unless it is told to keep going", async () => {
    const server = await mongo();
    const backup = withRefusedIndex(await makeDoubtful(server, server.freshDatabase()));
    const chain = chainOf(mongodb, backup);
    const to = server.freshDatabase();
    const db = (await server.client()).db(to);
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      await assert.rejects(
        restoreInto(connector, chain),
        (error: BackupError) =>
          code("restore/failed")(error) && /twins/.test(error.message) &&
          /--keep-going/.test(error.hint ?? ""),
      );
      assert.deepEqual(await db.listCollections().toArray(), []);

      const { result } = await restoreInto(connector, chain, { isKeepGoing: true });
      assert.deepEqual(
        result.failures.map(({ database, object, leaves }) => [
          ...[database, object, leaves],
        ]),
        [[to, "index twins.once", "It is missing."]],
      );
      // In the words of the server, of whichever kind it is.
      assert.match(result.failures[0]!.message, /duplicate|E11000|constraint/i);
      assert.deepEqual(result.left, []);
    });
    assert.equal(await db.collection("twins").countDocuments(), 2);
    assert.equal(await db.collection("good").countDocuments(), 2);
    const indexes = (await db.collection("good").indexes()).map(({ name }) => name).sort();
    assert.deepEqual(indexes, ["_id_", "by n"]);
    const others = (await db.collection("twins").indexes()).map(({ name }) => name).sort();
    assert.deepEqual(others, ["_id_", "pair"]);
  });

  test("makes an index of years in their order in the backup, newest first", async () => {
    const server = await mongo();
    const source = server.freshDatabase();
    const years = (await server.client()).db(source).collection("years");
    await years.insertOne({ 2021: "b", 2020: "a" });
    const key = new Map<string, 1 | -1>([["2021", -1], ["2020", 1]]);
    await years.createIndex(key, { name: "years" });
    const backup = await backUpOf(server, source);
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      const { result } = await restoreInto(connector, chainOf(mongodb, backup), {
        isKeepGoing: true,
      });
      assert.deepEqual(result.failures, []);
    });
    const restored = (await server.client()).db(to).collection("years");
    const listed = await restored.listIndexes({ raw: true } as object).toArray();
    const text = Buffer.concat(listed as unknown as Uint8Array[]).toString("latin1");
    assert.match(text, /2021\0[^]*2020\0/);
    assert.doesNotMatch(text, /2020\0[^]*2021\0/);
  });

  test("says what of a collection is missing when only its documents are", async () => {
    const server = await mongo();
    const backup = await makeDoubtful(server, server.freshDatabase());
    const more = backup.result.inventory.databases.map((database) => ({
      ...database,
      objects: database.objects.map((one) => one.name === "good" ? { ...one, count: 7 } : one),
    }));
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      const chain = chainOf(mongodb, backup, { inventory: { databases: more } });
      const { result } = await restoreInto(connector, chain, { isKeepGoing: true });
      assert.deepEqual(result.failures, [{
        ...{ database: to, object: "collection good" },
        message: "it holds 2 instead of 7 documents",
        leaves: "Some of its documents are missing.",
      }]);
    });
  });

  test("of a whole server restores the other databases, and then what is left", async () => {
    const source = await startMongo();
    for (const name of ["alpha", "omega"]) {
      await (await source.client()).db(name).collection<Numbered>("c").insertOne({ _id: 1 });
    }
    await makeDoubtful(source, "doubtful");
    const whole = await backUpOf(source);
    assert.equal(whole.artifacts.filter(({ head }) => head.role === "dump").length, 1);
    const target = await startMongo({ kind: source.kind });
    const client = await target.client();
    await withConnector(optionsOf(target), async (connector) => {
      await assert.rejects(
        restoreInto(connector, chainOf(mongodb, withRefusedIndex(whole))),
        (error: BackupError) =>
          code("restore/failed")(error) &&
          /^1 of 3 databases could not be restored: "doubtful": /.test(error.message) &&
          /The others are restored.*--database doubtful/.test(error.hint ?? ""),
      );
      for (const name of ["alpha", "omega"]) {
        assert.equal(await client.db(name).collection("c").countDocuments(), 1);
      }
      assert.deepEqual(await client.db("doubtful").listCollections().toArray(), []);
      await restoreInto(connector, chainOf(mongodb, whole), { databases: ["doubtful"] });
      assert.equal(await client.db("doubtful").collection("twins").countDocuments(), 2);
    });
    await Promise.all([source.stop(), target.stop()]);
  });
});

needsMongo().describe("a mongodb restore that differs from the backup's inventory", () => {
  const differing = (backup: MemoryBackup) => ({
    databases: backup.result.inventory.databases.map((database) => ({
      ...database,
      objects: database.objects.map((one) => one.name === "good" ? { ...one, count: 7 } : one),
    })),
  });

  test("stays where it is, and is taken as it is with --accept-differences", async () => {
    const server = await mongo();
    const backup = await makeDoubtful(server, server.freshDatabase());
    const chain = chainOf(mongodb, backup, { inventory: differing(backup) });
    const to = server.freshDatabase();
    const db = (await server.client()).db(to);
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      await assert.rejects(restoreInto(connector, chain), (error: BackupError) => {
        assert.match(error.message, /collection "good" holds 2 instead of 7|good" holds 2/);
        assert.match(error.hint ?? "", /holds what was restored/);
        assert.deepEqual(error.details?.["left"], [
          { from: backup.result.inventory.databases[0]!.database, to, name: to },
        ]);
        return code("restore/incomplete")(error);
      });
      assert.equal(await db.collection("good").countDocuments(), 2);
      // Proof that nothing is restored again: a change after the restore stays.
      await db.collection<Numbered>("good").insertOne({ _id: 3 });
      await assert.rejects(restoreInto(connector, chain), code("restore/not-empty"));
      const { plan, result } = await restoreInto(connector, chain, { isDifferenceAccepted: true });
      assert.equal(plan.steps[0]?.adopts, to);
      assert.equal(result.differences.length, 1);
      assert.equal(await db.collection("good").countDocuments(), 3);
      const names = (await db.listCollections().toArray()).map(({ name }) => name).sort();
      assert.deepEqual(names, ["good", "twins"]);
    });
  });

  test("of another backup is not taken for this one's", async () => {
    const server = await mongo();
    const backup = await makeDoubtful(server, server.freshDatabase());
    const to = server.freshDatabase();
    await (await server.client()).db(to).collection("good").insertOne({});
    await withConnector(
      optionsOf(server, { database: to }),
      (connector) =>
        assert.rejects(
          restoreInto(connector, chainOf(mongodb, backup), { isDifferenceAccepted: true }),
          code("restore/not-empty"),
        ),
    );
  });

  test("is accepted at once where that is asked for", async () => {
    const server = await mongo();
    const backup = await makeDoubtful(server, server.freshDatabase());
    const chain = chainOf(mongodb, backup, { inventory: differing(backup) });
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      const { result } = await restoreInto(connector, chain, { isDifferenceAccepted: true });
      assert.equal(result.differences.length, 1);
      assert.equal(
        (await connector.inventory(to, { signal: new AbortController().signal }))
          .objects.length,
        5,
      );
    });
  });
});
