import assert from "node:assert/strict";
import { test } from "node:test";
import type { CreateCollectionOptions, IndexSpecification } from "mongodb";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { BackupError } from "../../../src/core/errors.ts";
import { mongo, type MongoServer } from "../../support/mongo.ts";
import { type MongoCapability, mongoKindsAtHand, needsMongo } from "../../support/mongoKinds.ts";
import { needs } from "../../support/needs.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";

/** Names of collections as real databases have them, and as long as they get. */
function hostileNames(server: MongoServer, database: string): string[] {
  const longest = (server.can("longNames") ? 255 : 235) - database.length - 1;
  return [
    "n".repeat(longest),
    "ü".repeat(Math.floor(longest / 2)),
    "🎉".repeat(Math.floor(longest / 4)),
    "a.b.c",
    ".leading",
    "trailing.",
    "orders",
    "orders.by day",
    "orders.2026",
    "Orders",
    "fs.files",
    "fs.chunks",
    "systemic",
    "mysystem.views",
    "system_views",
    "cash$",
    "a$b.c$d",
    " ",
    "  spaces  ",
    "tab\tand\nline",
    "nu\u200bll",
    "ﷺ",
    "e\u0301",
    "é",
    "%s%n%x",
    "'; drop --",
    '"',
    "\\",
    "/",
    "*",
    "null",
    "0",
    "-1",
    "__proto__",
    "constructor",
    "dbbackup.own",
  ];
}

/** Indexes of every kind, with names of every kind. */
const indexes: readonly [IndexSpecification, Record<string, unknown>, MongoCapability?][] = [
  [{ a: 1 }, { name: "i".repeat(120) }],
  [{ b: 1 }, { name: "x.y" }],
  [{ c: 1 }, { name: "é 🎉 *" }],
  [{ "__proto__x": 1 }, { name: "constructor" }],
  [{ d: 1 }, { name: "partial", partialFilterExpression: { d: { $gt: 5 } } }],
  [{ e: 1 }, { name: "ttl", expireAfterSeconds: 3600 }],
  [{ f: 1 }, { name: "collated", collation: { locale: "fr", strength: 1 } }],
  [{ "w.$**": 1 }, { name: "wild" }],
  [{ "$**": 1 }, { name: "all wild" }],
  [{ g: 1 }, { name: "sparse", sparse: true }],
  [{ h: 1 }, { name: "hidden", hidden: true }, "hiddenIndex"],
  [{ i: "text" }, { name: "text" }, "textIndex"],
  [{ j: "hashed" }, { name: "hashed" }, "hashedIndex"],
  [{ k: "2dsphere" }, { name: "sphere" }],
];

const special: readonly [string, CreateCollectionOptions][] = [
  ["capped", { capped: true, size: 4096 }],
  ["german", { collation: { locale: "de", strength: 2 } }],
  ["checked", { validator: { n: { $gte: 0 } } }],
  ["a view", { viewOn: "orders", pipeline: [] }],
  ["a view.of a view", { viewOn: "a view", pipeline: [] }],
];

async function makeHostile(server: MongoServer): Promise<string> {
  const database = server.freshDatabase();
  const db = (await server.client()).db(database);
  for (const name of hostileNames(server, database)) {
    // Some servers take fewer names than others; what they take has to come back.
    await db.collection(name).insertMany([{ n: 1 }, { n: 2 }]).catch(() => {});
  }
  for (const name of ["orders", "orders.2026"]) {
    for (const [key, options, capability] of indexes) {
      if (capability !== undefined && !server.can(capability)) continue;
      await db.collection(name).createIndex(key, options);
    }
  }
  if (server.can("createOptions")) {
    for (const [name, options] of special) await db.createCollection(name, options);
  }
  if (server.can("systemJs")) await db.collection("system.js").insertOne({ _id: "f" as never });
  return database;
}

for (const kind of mongoKindsAtHand()) {
  needs(kind.program, "mongotools").describe(`hostile names on ${kind.name}`, () => {
    test("are the same in the archive, on the server, and after a restore", async () => {
      const server = await mongo({ kind });
      const from = await makeHostile(server);
      const to = `x${server.freshDatabase()}`.slice(0, from.length);
      await withConnector(optionsOf(server, { database: from }), async (connector) => {
        const live = await connector.inventory(from, { signal: never });
        assert.ok(live.objects.length > 40, `${live.objects.length} objects`);
        const backup = await backUp(mongodb, connector);
        assert.deepEqual(withoutSizes(backup.result.inventory.databases), [live]);
        await withConnector(optionsOf(server, { database: to }), async (target) => {
          const { result } = await restoreInto(target, chainOf(mongodb, backup));
          assert.deepEqual(result.differences, []);
          const { objects } = await target.inventory(to, { signal: never });
          assert.deepEqual(objects, live.objects);
        });
        // One collection whose name begins like others', with its indexes and no other's.
        const only = server.freshDatabase();
        await withConnector(optionsOf(server, { database: only }), async (target) => {
          await restoreInto(target, chainOf(mongodb, backup), { only: ["orders.2026"] });
          const { objects } = await target.inventory(only, { signal: never });
          assert.ok(objects.length > 8);
          assert.ok(objects.every(({ name }) => name.startsWith("orders.2026")));
        });
      });
    });
  });
}

needsMongo().describe("a mongodb restore under a name that no server has", () => {
  const names = [
    "cms 2",
    "a.b",
    "a/b",
    "a\\b",
    'quo"te',
    "dol$lar",
    "x".repeat(64),
    "ü".repeat(32),
  ];
  for (const name of names) {
    test(`is refused before anything is written: ${JSON.stringify(name.slice(0, 12))}`, async () => {
      const server = await mongo();
      const database = server.freshDatabase();
      const client = await server.client();
      await client.db(database).collection("c").insertOne({});
      const backup = await withConnector(
        optionsOf(server, { database }),
        (connector) => backUp(mongodb, connector),
      );
      const before = (await client.db().admin().listDatabases()).databases.length;
      const options = { url: server.url(name), toolsDir: server.toolsDir! };
      await withConnector(options, async (connector) => {
        await assert.rejects(
          restoreInto(connector, chainOf(mongodb, backup)),
          (error: BackupError) =>
            code("restore/bad-name")(error) && error.message.includes(JSON.stringify(name)) &&
            /63 bytes/.test(error.hint ?? ""),
        );
        await assert.rejects(
          connector.databases({ signal: never }),
          code("connection/no-database"),
        );
      });
      assert.equal((await client.db().admin().listDatabases()).databases.length, before);
    });
  }

  test("is refused where a collection's name is too long together with it", async () => {
    const server = await mongo();
    const database = "d";
    const client = await server.client();
    const long = "n".repeat(server.can("longNames") ? 200 : 200);
    await client.db(database).collection(long).insertOne({});
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    await client.db(database).dropDatabase();
    await withConnector(
      optionsOf(server, { database: "x".repeat(63) }),
      (connector) =>
        assert.rejects(
          restoreInto(connector, chainOf(mongodb, backup)),
          (error: BackupError) =>
            code("restore/bad-name")(error) && /longer than 255 bytes/.test(error.message),
        ),
    );
  });
});

needsMongo().describe("mongodb collections whose documents expire", () => {
  test("are never exact, and the plan says so", async () => {
    const server = await mongo();
    const database = server.freshDatabase();
    const db = (await server.client()).db(database);
    await db.collection("sessions").insertMany([{ at: new Date(0) }, { at: new Date(0) }]);
    await db.collection("sessions").createIndex({ at: 1 }, {
      ...{ name: "ttl", expireAfterSeconds: 60 },
    });
    await db.collection("orders").insertOne({});
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    const objects = backup.result.inventory.databases[0]!.objects;
    assert.deepEqual(objects.map(({ name, isExact, expires }) => [name, isExact, expires]), [
      ["orders", true, undefined],
      ["sessions", false, true],
      ["sessions.ttl", undefined, undefined],
    ]);
    // As if the server had removed one before the restore was compared.
    const more = [{
      database,
      objects: objects.map((one) => one.name === "sessions" ? { ...one, count: 9 } : one),
    }];
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (connector) => {
      const chain = chainOf(mongodb, backup, { inventory: { databases: more } });
      const { plan, result } = await restoreInto(connector, chain);
      assert.ok(
        plan.warnings.some((text) =>
          text.includes(`"${database}.sessions"`) && /TTL/.test(text) && /not compared/.test(text)
        ),
      );
      assert.deepEqual(result.differences.map(({ isFailure }) => isFailure), [false]);
    });
  });

  needsMongo("ttl")("come back though the server removes what has expired", async () => {
    const server = await mongo({ can: ["ttl"] });
    const database = server.freshDatabase();
    const db = (await server.client()).db(database);
    await db.collection("sessions").insertOne({ at: new Date(Date.now() + 2_000) });
    await db.collection("sessions").createIndex({ at: 1 }, { expireAfterSeconds: 0 });
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    const to = server.freshDatabase();
    const { result } = await withConnector(
      optionsOf(server, { database: to }),
      (connector) => restoreInto(connector, chainOf(mongodb, backup)),
    );
    assert.deepEqual(result.differences.filter(({ isFailure }) => isFailure), []);
  });
});
