import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { type Document, serialize, Timestamp } from "bson";
import { find } from "../../../src/connectors/mongodb/archive/bson.ts";
import { clientOf } from "../../../src/connectors/mongodb/client.ts";
import { serverSink } from "../../../src/connectors/mongodb/oplog/server-sink.ts";
import type { ReplaySink, Write } from "../../../src/connectors/mongodb/oplog/sink.ts";
import { resolveAddress } from "../../../src/connectors/mongodb/uri.ts";
import type { BackupError } from "../../../src/core/errors.ts";
import { mongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { optionsOf } from "./opened.ts";

const idOf = (_id: unknown) => find(serialize({ _id }), "_id")!;
const insert = (document: Uint8Array): Write => ({
  type: "insert",
  id: find(document, "_id")!,
  document,
});
const exact = { isLenient: false, isCapped: false };
const lenient = { ...exact, isLenient: true };

/** A sink with a collection of its own, and what that holds, byte by byte. */
async function withSink(
  use: (o: {
    sink: ReplaySink;
    target: { db: string; collection: string };
    documents: () => Promise<Uint8Array[]>;
  }) => Promise<void>,
): Promise<void> {
  const server = await mongo({ can: ["createOptions"] });
  const runtime = testRuntime();
  const client = clientOf(await resolveAddress(optionsOf(server), runtime), runtime);
  const target = { db: server.freshDatabase(), collection: "c" };
  const sink = serverSink(client, { signal: never });
  const driver = await server.client();
  const documents = async () => {
    const found = await driver.db(target.db).collection("c").find({}, { raw: true })
      .sort({ _id: 1 }).toArray();
    return found as unknown as Uint8Array[];
  };
  await sink.create(target, serialize({}));
  try {
    await use({ sink, target, documents });
  } finally {
    await client.close();
  }
}

const same = (found: Uint8Array[], expected: (Document | Uint8Array)[]) =>
  assert.deepEqual(
    found.map((one) => Buffer.from(one).toString("hex")),
    expected.map((one) =>
      Buffer.from(one instanceof Uint8Array ? one : serialize(one)).toString("hex")
    ),
  );

needsMongo("createOptions").describe("what is replayed onto a server", () => {
  test("is the bytes that were written there, in the order of their fields", async () => {
    await withSink(async ({ sink, target, documents }) => {
      // "2" and "1" would change places in an object.
      const numbered = serialize(new Map<string, unknown>([["_id", 1], ["2", "b"], ["1", "a"]]));
      const zero = serialize({ _id: 2, minus: -0, empty: new Timestamp({ t: 0, i: 0 }) });
      await sink.write(target, [insert(numbered), insert(zero)], exact);
      same(await documents(), [numbered, zero]);
    });
  });

  test("is each write in turn, though they go in fewer commands", async () => {
    await withSink(async ({ sink, target, documents }) => {
      const writes: Write[] = [1, 2, 3].map((_id) => insert(serialize({ _id, a: 1 })));
      await sink.write(target, [
        ...writes,
        { type: "remove", id: idOf(1) },
        { type: "modify", id: idOf(2), operators: serialize({ $set: { a: 2 } }) },
        insert(serialize({ _id: 1, a: "again" })),
        { type: "remove", id: idOf(3) },
        { type: "remove", id: idOf(99) },
        { type: "replace", id: idOf(2), document: serialize({ _id: 2, b: 1 }) },
      ], exact);
      same(await documents(), [{ _id: 1, a: "again" }, { _id: 2, b: 1 }]);
    });
  });

  test("takes differences of 5.0 and newer, one on top of another", async () => {
    await withSink(async ({ sink, target, documents }) => {
      const diff = (_id: number, one: Document): Write => ({
        ...{ type: "diff", id: idOf(_id), diff: serialize(one) },
      });
      await sink.write(target, [insert(serialize({ _id: 1, a: [1, 2], z: 0 }))], exact);
      await sink.write(target, [
        diff(1, { sa: { a: true, u0: 9 } }),
        diff(1, { sa: { a: true, l: 3, u2: 7 }, i: { z: 5 }, d: {} }),
        { type: "modify", id: idOf(1), operators: serialize({ $set: { n: 1 } }) },
        diff(1, { u: { n: 2 } }),
      ], exact);
      same(await documents(), [{ _id: 1, a: [9, 2, 7], z: 5, n: 2 }]);
    });
  });

  test("fails where a document to be changed is missing, and in the window goes on", async () => {
    await withSink(async ({ sink, target, documents }) => {
      const change: Write = {
        type: "modify",
        id: idOf(7),
        operators: serialize({ $set: { a: 1 } }),
      };
      const difference: Write = { type: "diff", id: idOf(7), diff: serialize({ u: { a: 1 } }) };
      for (const one of [change, difference]) {
        await assert.rejects(
          sink.write(target, [one], exact),
          (error: BackupError) =>
            error.code === "restore/failed" &&
            /1 document that the oplog changes is not there/.test(error.message),
        );
      }
      const after = insert(serialize({ _id: 8, a: 5 }));
      const through: Write = {
        ...{ type: "modify", id: idOf(8), operators: serialize({ $set: { "a.b": 1 } }) },
      };
      await sink.write(target, [change, difference, after, through], lenient);
      await sink.write(target, [insert(serialize({ _id: 9 }))], lenient);
      same(await documents(), [{ _id: 8, a: 5 }, { _id: 9 }]);
    });
  });

  test("says what the server said where it refuses", async () => {
    await withSink(async ({ sink, target }) => {
      await assert.rejects(
        sink.create(target, serialize({ capped: true, size: 4096 })),
        (error: BackupError) =>
          error.code === "restore/failed" && error.message.includes(`"${target.db}.c"`) &&
          /exists/i.test(error.message),
      );
      await sink.drop({ ...target, collection: "never there" });
    });
  });
});
