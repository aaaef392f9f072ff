import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe } from "node:test";
import { deserialize, type Document, serialize } from "bson";
import type { MongoClient } from "mongodb";
import { find, text } from "../../../src/connectors/mongodb/archive/bson.ts";
import { isOwn } from "../../../src/connectors/mongodb/archive/namespace.ts";
import { rewriteArchive } from "../../../src/connectors/mongodb/archive/rewrite.ts";
import { idempotencyWindow } from "../../../src/connectors/mongodb/archive/window.ts";
import { writeArchive } from "../../../src/connectors/mongodb/archive/write.ts";
import { consistencyWarnings, omissionsOf } from "../../../src/connectors/mongodb/inspect.ts";
import type { Privilege } from "../../../src/connectors/mongodb/privileges.ts";
import { readSetId, type Server } from "../../../src/connectors/mongodb/server.ts";
import { resolveAddress } from "../../../src/connectors/mongodb/uri.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { onFixtures } from "../../support/mongoKinds.ts";
import { testRuntime } from "../../support/runtime.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { archiveOf, walk, whole } from "./archives.ts";
import { contentOfArchive, digestOf, replay } from "./memoryReplay.ts";
import { entriesOf, recorded } from "./recording.ts";

const folder = path.join(import.meta.dirname!, "..", "..", "fixtures", "mongodb");

interface Recording {
  readonly replicaSetId: string;
  readonly sumOfBalances: number;
  readonly collections: Readonly<
    Record<string, { count: number; docs: string; isCapped?: boolean }>
  >;
}
const recording = JSON.parse(readFileSync(path.join(folder, "base.json"), "utf8")) as Recording;

/** As a dump and a restore pass an archive on. */
const passedOn = (bytes: Uint8Array) =>
  whole(rewriteArchive(bytesOf(bytes), {
    keep: (db, collection = "") =>
      db !== "config" && db !== "local" && (db !== "admin" || isOwn(collection)),
    rename: (db) => db,
  }));

describe("a dump of a real server under writers", () => {
  onFixtures("replay")(
    "replays without a write to a collection that is not there, and ends at its moment",
    async () => {
      const base = contentOfArchive(await passedOn(recorded("base.archive")));
      // The recorded state is of five entries later.
      const more = new Uint8Array(readFileSync(path.join(folder, "after-base.bson")));
      const state = replay({ ...base, oplog: [...base.oplog, ...entriesOf(more)] });
      for (const [name, { docs, count, isCapped }] of Object.entries(recording.collections)) {
        const documents = state.get(name) ?? [];
        // What fell out of a capped collection is in no oplog.
        if (isCapped === true) continue;
        assert.deepEqual([documents.length, digestOf(documents)], [count, docs], name);
      }
    },
  );

  onFixtures("transactions")("keeps every transaction whole", async () => {
    const state = replay(contentOfArchive(await passedOn(recorded("base.archive"))));
    const balances = state.get("shop.accounts")!.map((document) => deserialize(document));
    const sum = balances.reduce((sum, account) => sum + Number(account["balance"]), 0);
    assert.equal(sum, recording.sumOfBalances);
  });

  onFixtures("transactions")("keeps the entries of one that is prepared at its end", async () => {
    const before = contentOfArchive(recorded("prepared/base.archive"));
    const after = contentOfArchive(await passedOn(recorded("prepared/base.archive")));
    assert.ok(before.oplog.some((entry) => deserialize(entry)["o"].prepare === true));
    assert.deepEqual(after.oplog.map((one) => Buffer.from(one)), [
      ...before.oplog.filter((one) => deserialize(one)["op"] !== "n").map((one) =>
        Buffer.from(one)
      ),
    ]);
  });
});

describe("the window in which a dump may have seen a write or not", () => {
  onFixtures("replay")("leaves out nothing of a whole life of a server", () => {
    const window = idempotencyWindow();
    let count = 0;
    for (const entry of entriesOf(recorded("before-base.bson"))) {
      count++;
      const ns = text(find(entry, "ns")) ?? "";
      if (window.pass(entry) === entry) continue;
      // The server's own collections are made without an entry, or by one before the oplog's first.
      assert.match(ns, /^(config|admin|local)\./, JSON.stringify(deserialize(entry)));
    }
    assert.ok(count > 1000);
  });

  const insert = (ns: string, _id: number) => ({ op: "i", ns, o: { _id } });
  const command = (o: Document) => ({ op: "c", ns: "shop.$cmd", o });
  const applyOps = (...operations: Document[]) => ({
    ...{ op: "c", ns: "admin.$cmd" },
    o: { applyOps: operations },
  });
  const rewritten = async (operations: readonly Document[], lost: string[] = []) => {
    const { bytes } = archiveOf([
      { db: "shop", collection: "orders", documents: [{ _id: 1 }] },
      { db: "", collection: "oplog", documents: operations },
    ]);
    const passed = await whole(rewriteArchive(bytesOf(bytes), {
      keep: () => true,
      rename: (db) => db,
      onLost: (found) => lost.push(...found.map(({ db, collection }) => `${db}.${collection}`)),
    }));
    return contentOfArchive(passed);
  };
  const namesOf = ({ oplog }: { oplog: Uint8Array[] }) => oplog.map((one) => deserialize(one));

  onFixtures("replay")(
    "drops what was done to a collection that was gone before the dump came to it",
    async () => {
      const lost: string[] = [];
      const content = await rewritten([
        insert("shop.orders", 2),
        insert("shop.gone", 1),
        { op: "u", ns: "shop.gone", o2: { _id: 1 }, o: { $v: 1, $set: { a: 1 } } },
        command({ createIndexes: "gone", v: 2, key: { a: 1 }, name: "a_1" }),
        command({ collMod: "gone", index: { name: "a_1", hidden: true } }),
        applyOps(insert("shop.gone", 2), insert("shop.orders", 3)),
        applyOps(insert("shop.gone", 3)),
        { op: "d", ns: "shop.gone", o: { _id: 1 } },
        command({ drop: "gone" }),
        command({ create: "gone" }),
        insert("shop.gone", 4),
      ], lost);
      assert.deepEqual(namesOf(content), [
        insert("shop.orders", 2),
        applyOps(insert("shop.orders", 3)),
        applyOps(),
        command({ create: "gone" }),
        insert("shop.gone", 4),
      ]);
      assert.deepEqual(lost, []);
      assert.deepEqual([...replay(content)].map(([name, { length }]) => [name, length]), [
        ["shop.orders", 3],
        ["shop.gone", 1],
      ]);
    },
  );

  onFixtures("replay")("a dropped database takes its collections along", async () => {
    const content = await rewritten([
      command({ dropDatabase: 1 }),
      insert("shop.orders", 2),
      command({ dropDatabase: 1 }),
    ]);
    assert.deepEqual(namesOf(content), [
      command({ dropDatabase: 1 }),
      command({ dropDatabase: 1 }),
    ]);
  });

  onFixtures("replay")(
    "a collection that is written to, was not announced and stays, is told as lost",
    async () => {
      const lost: string[] = [];
      await rewritten([insert("shop.late", 1)], lost);
      assert.deepEqual(lost, ["shop.late"]);
    },
  );
});

describe("the id of a set", () => {
  /** A server that refuses commands with a code, and shows one collection or refuses that, too. */
  const setOf = (refusal: number | undefined, config: Document | undefined) => {
    const refuse = () =>
      Promise.reject(
        Object.assign(new Error("refused"), { name: "MongoServerError", code: refusal }),
      );
    return {
      db: () => ({
        command: () => refusal === undefined ? Promise.resolve({ config }) : refuse(),
        collection: () => ({
          findOne: () => config === undefined ? refuse() : Promise.resolve(config),
        }),
      }),
    } as unknown as Pick<MongoClient, "db">;
  };
  const config = { settings: { replicaSetId: recording.replicaSetId } };
  for (const code of [undefined, 13, 59, 8000, 303, 18]) {
    const how = code === undefined ? "the command tells it" : `code ${code} refuses the command`;
    onFixtures("setId")(`is what the set itself says, where ${how}`, async () => {
      assert.equal(await readSetId(setOf(code, config)), recording.replicaSetId);
    });
  }
  onFixtures("setId")("is unknown where everything is refused", async () => {
    assert.equal(await readSetId(setOf(59, undefined)), undefined);
  });
});

describe("what no stand-in has", () => {
  onFixtures("timeSeries")(
    "a time series is walked by its buckets, and one that expires is inexact",
    async () => {
      const series = (collection: string, options: Document) => ({
        ...{
          db: "shop",
          collection,
          type: "timeseries",
          documents: [{ _id: 1 }, { _id: 2 }],
          options,
        },
      });
      const { bytes } = archiveOf([
        series("short", { timeseries: { timeField: "at" }, expireAfterSeconds: 60 }),
        series("long", { timeseries: { timeField: "at" } }),
      ]);
      assert.deepEqual(withoutSizes(await walk(bytesOf(bytes))), [{
        database: "shop",
        objects: [
          { type: "collection", name: "system.buckets.long", count: 2, isExact: true },
          {
            ...{ type: "collection", name: "system.buckets.short", count: 2 },
            ...{ isExact: false, expires: true },
          },
          { type: "view", name: "long" },
          { type: "view", name: "short" },
        ],
      }]);
    },
  );

  onFixtures("anyDate")(
    "dates that JavaScript does not have, and types of old, pass byte by byte",
    async () => {
      const retyped = (document: Document, name: string, type: number) => {
        const bytes = serialize(document);
        bytes[Buffer.from(bytes).indexOf(`${name}\0`) - 1] = type;
        return bytes;
      };
      const documents = [
        retyped({ _id: 1, symbol: "old" }, "symbol", 0x0e),
        retyped({ _id: 2, undef: null }, "undef", 0x06),
        retyped({ _id: 3, date: 2n ** 62n }, "date", 0x09),
      ];
      const metadata = JSON.stringify({ indexes: [], collectionName: "c", type: "collection" });
      const archive = writeArchive("4.4.0", [
        { db: "a", collection: "c", metadata, type: "collection", documents },
      ]);
      assert.deepEqual(Buffer.from(await passedOn(archive)), Buffer.from(archive));
      assert.deepEqual(
        contentOfArchive(archive).collections.get("a.c")!.map((one) => Buffer.from(one)),
        documents.map((one) => Buffer.from(one)),
      );
    },
  );

  onFixtures("accountsRestore")(
    "the accounts of a real server make an archive with every byte",
    () => {
      const users = contentOfArchive(recorded("base.archive")).collections.get(
        "admin.system.users",
      )!;
      assert.ok(users.length > 0);
      const archive = writeArchive("4.4.0", [{
        ...{ db: "admin", collection: "system.users", type: "", metadata: "" },
        documents: users,
      }]);
      assert.deepEqual(contentOfArchive(archive).collections.get("admin.system.users"), users);
    },
  );

  onFixtures("builtInRoles")(
    "a user of one database is told what a dump of all would leave out",
    async () => {
      const find: Privilege = { resource: { db: "shop", collection: "" }, actions: ["find"] };
      const server: Server = {
        instance: undefined,
        ...{ version: "4.4.0", kind: "replica set", sourceId: "rs0/x", position: undefined },
        ...{ localTime: undefined, privileges: [find], isOplogReadable: false },
        accounts: { isReadable: false, missing: "This user may not read users and roles" },
      };
      const address = await resolveAddress({ host: "db" }, testRuntime());
      assert.deepEqual(omissionsOf(server, address).map(({ name }) => name), [
        "databases",
        "accounts",
      ]);
      assert.match(
        consistencyWarnings(server, address).join(),
        /no single moment .*cannot be read/,
      );
    },
  );
});
