import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import { connectorContract } from "../../contracts/connector.ts";
import { mongo } from "../../support/mongo.ts";
import { needs } from "../../support/needs.ts";
import { testRuntime } from "../../support/runtime.ts";
import { optionsOf } from "./opened.ts";

for (const replicaSet of [false, true]) {
  const kind = replicaSet ? "MongoDB, a replica set with logins" : "MongoDB, a standalone";
  needs("mongo", "mongotools").describe(kind, () => {
    connectorContract(kind, async () => {
      const server = await mongo({ replicaSet, auth: replicaSet });
      const client = await server.client();
      const filledWith = async (collection: string, count: number) => {
        const database = server.freshDatabase();
        const documents = Array.from({ length: count }, (_, n) => ({ n, pad: "x".repeat(500) }));
        await client.db(database).collection(collection).insertMany(documents);
        await client.db(database).collection(collection).createIndex({ n: 1 });
        return optionsOf(server, { database });
      };
      const source = await filledWith("orders", 500);
      return {
        kind: mongodb,
        runtime: testRuntime(),
        source: () => Promise.resolve(source),
        empty: () => Promise.resolve(optionsOf(server, { database: server.freshDatabase() })),
        filled: () => filledWith("others", 3),
        badUrl: "mongodb://localhost:port/db",
      };
    });
  });
}
