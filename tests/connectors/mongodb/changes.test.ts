import type { MongoClient } from "mongodb";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import { changesContract } from "../../contracts/changes.ts";
import { startMongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { testRuntime } from "../../support/runtime.ts";
import { optionsOf } from "./opened.ts";

const shortOplog = ["--oplog-max-entries", "40"];

/** Writes more than the oplog holds, so that its oldest entries go. */
async function overtake(client: MongoClient): Promise<void> {
  const many = Array.from({ length: 100 }, (_, n) => ({ n }));
  await client.db("shop").collection("orders").insertMany(many);
  await client.db("admin").command({ "secantusAdmin.pruneOplog": 1 });
}

needsMongo("oplog").describe("MongoDB, changes", () => {
  changesContract("MongoDB", async () => {
    const server = await startMongo({ can: ["oplog"], args: shortOplog });
    const client = await server.client();
    await client.db("shop").createCollection("orders");
    await client.db("shop").collection("orders").insertMany([{ n: 1 }, { n: 2 }]);
    return {
      kind: mongodb,
      runtime: testRuntime(),
      source: () => Promise.resolve(optionsOf(server)),
      change: async () => void await client.db("shop").collection("orders").insertOne({ n: 3 }),
      breakLog: () => overtake(client),
    };
  });
});
