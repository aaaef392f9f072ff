import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type Document, type IndexSpecification, MongoClient } from "mongodb";
import { mongo, type MongoServer } from "./mongo.ts";
import {
  mongoCapabilities,
  type MongoCapability,
  mongoKinds,
  mongoKindsAtHand,
} from "./mongoKinds.ts";
import { needs } from "./needs.ts";

const names = Object.keys(mongoCapabilities) as MongoCapability[];

/** Whether something is neither refused nor false. */
const works = (run: () => Promise<unknown>) =>
  run().then((answer) => answer !== false, () => false);

async function hasIndex(server: MongoServer, key: IndexSpecification, options: Document) {
  const collection = (await server.client()).db(server.freshDatabase()).collection("c");
  const name = await collection.createIndex(key, options);
  const found = (await collection.listIndexes().toArray()).find((one) => one.name === name);
  return Object.entries(options).every(([option, value]) =>
    JSON.stringify(found?.[option]) === JSON.stringify(value)
  ) && found?.["storageEngine"] === undefined;
}

/** What each capability means, tried out, but for `ttl` (minutes) and `anyDate` (no driver has it). */
const probes: Partial<Record<MongoCapability, (server: MongoServer) => Promise<unknown>>> = {
  async standalone(server) {
    return (await (await server.client()).db("admin").command({ isMaster: 1 })).setName ===
      undefined;
  },
  async replicaSet(server) {
    const { setName } = await (await server.client()).db("admin").command({ isMaster: 1 });
    return setName === server.replicaSet && setName !== undefined;
  },
  async setId(server) {
    const found = await (await server.client()).db("local").collection("system.replset").findOne();
    return found?.["settings"]?.replicaSetId !== undefined;
  },
  async oplog(server) {
    return await (await server.client()).db("local").collection("oplog.rs").findOne() !== null;
  },
  async replay(server) {
    await (await server.client()).db("admin").command({ applyOps: [] });
  },
  async transactions(server) {
    const client = await server.client();
    const collection = client.db(server.freshDatabase()).collection("c");
    await collection.insertOne({});
    const session = client.startSession();
    const insert = async () => {
      session.startTransaction();
      await collection.insertOne({}, { session });
      await collection.insertOne({}, { session });
    };
    await insert();
    await session.abortTransaction();
    await insert();
    await session.commitTransaction();
    await session.endSession();
    const oplog = client.db("local").collection("oplog.rs");
    return await collection.countDocuments() === 3 &&
      await oplog.countDocuments({ "o.applyOps.ns": collection.namespace }) === 1;
  },
  async roles(server) {
    const [user, db] = [server.freshDatabase(), server.freshDatabase()];
    const client = await server.client();
    await client.db(db).collection("c").insertOne({});
    await client.db("admin").command({ createUser: user, pwd: "x", roles: [{ role: "read", db }] });
    const reader = await MongoClient.connect(server.url("", { user, password: "x" }));
    const mayWrite = await works(() => reader.db(db).collection("c").insertOne({}));
    const mayRead = await works(() => reader.db(db).collection("c").findOne());
    await reader.close();
    return mayRead && !mayWrite;
  },
  async accounts(server) {
    const admin = (await server.client()).db("admin");
    return await admin.collection("system.users").findOne() !== null;
  },
  async createOptions(server) {
    const db = (await server.client()).db(server.freshDatabase());
    await db.createCollection("capped", { capped: true, size: 8192 });
    await db.createCollection("checked", { validator: { n: { $gte: 0 } } });
    await db.createCollection("view", { viewOn: "capped", pipeline: [{ $match: { n: 1 } }] });
    await db.collection("capped").insertMany([{ n: 1 }, { n: 2 }]);
    const capped = await db.listCollections({ name: "capped" }).next() as { options?: Document };
    return capped.options?.["capped"] === true &&
      await db.collection("view").countDocuments() === 1 &&
      !await works(() => db.collection("checked").insertOne({ n: -1 }));
  },
  async timeSeries(server) {
    const db = (await server.client()).db(server.freshDatabase());
    await db.createCollection("t", { timeseries: { timeField: "at" } });
    const found = await db.listCollections({ name: "t" }).toArray();
    return found[0]?.type === "timeseries";
  },
  hiddenIndex: (server) => hasIndex(server, { a: 1 }, { name: "x", hidden: true }),
  textIndex: (server) => hasIndex(server, { a: "text" }, { name: "x" }),
  hashedIndex: (server) => hasIndex(server, { a: "hashed" }, { name: "x" }),
  indexOptions: (server) => hasIndex(server, { a: 1 }, { name: "x", unique: true }),
  async systemJs(server) {
    const db = (await server.client()).db(server.freshDatabase());
    await db.collection<{ _id: string }>("system.js").insertOne({ _id: "x" });
  },
  async longNames(server) {
    const db = server.freshDatabase();
    const name = "n".repeat(255 - db.length - 1);
    await (await server.client()).db(db).collection(name).insertOne({});
  },
  async caseTwins(server) {
    const client = await server.client();
    const name = server.freshDatabase();
    await client.db(name).collection("c").insertOne({});
    return !await works(() => client.db(name.toUpperCase()).collection("c").insertOne({}));
  },
};

for (const kind of mongoKindsAtHand()) {
  for (const [name, probe] of Object.entries(probes)) {
    const capability = name as MongoCapability;
    const can = kind.can.has(capability);
    needs(kind.program)(
      `${kind.name} ${can ? mongoCapabilities[capability] : `lacks ${capability}, as tests know`}`,
      async () => {
        const server = await mongo({ kind, auth: ["accounts", "roles"].includes(capability) });
        assert.equal(await works(() => probe(server)), can);
      },
    );
  }
}

test("what no stand-in for mongod can is proved on fixtures", () => {
  const standIns = mongoKinds.filter(({ program }) => program !== "mongod");
  const folder = path.join(import.meta.dirname!, "..", "connectors", "mongodb");
  const sources = readdirSync(folder).filter((file) => file.endsWith(".test.ts"))
    .map((file) => readFileSync(path.join(folder, file), "utf8")).join("\n");
  const missing = names.filter((name) =>
    !standIns.some(({ can }) => can.has(name)) && !sources.includes(`onFixtures("${name}")`)
  );
  assert.deepEqual(missing, []);
});

needs("ferretdb", "secantusdb")("the stand-ins for mongod are there", () => {
  const programs = new Set(mongoKindsAtHand().map(({ program }) => program));
  assert.ok(programs.has("ferretdb") && programs.has("secantusdb"));
});
