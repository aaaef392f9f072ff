import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import { connectorContract } from "../../contracts/connector.ts";
import { mongo } from "../../support/mongo.ts";
import { mongoKindsAtHand } from "../../support/mongoKinds.ts";
import { needs } from "../../support/needs.ts";
import { testRuntime } from "../../support/runtime.ts";
import { optionsOf } from "./opened.ts";

for (const kind of mongoKindsAtHand()) {
  const auth = kind.isReplicaSet;
  const title = `MongoDB, ${kind.name}${auth ? " with logins" : ""}`;
  needs(kind.program, "mongotools").describe(title, () => {
    connectorContract(title, async () => {
      const server = await mongo({ kind, auth });
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
