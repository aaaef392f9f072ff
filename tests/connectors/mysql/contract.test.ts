import { needs } from "../../support/needs.ts";
import { connectorContract } from "../../contracts/connector.ts";
import { flavours, runtimeOf } from "./flavours.ts";
import { makeSample } from "./sample.ts";

for (const { name, kind, server } of flavours) {
  needs(name).describe("on its own server", () => {
    let source: Promise<string> | undefined;
    connectorContract(kind.title, async () => {
      const running = await server();
      const makeSource = async () => {
        const database = await running.createDatabase();
        await makeSample(running, database);
        return database;
      };
      const optionsOf = (database: string) => ({ url: running.url(database) });
      return {
        kind,
        runtime: runtimeOf(running),
        source: async () => optionsOf(await (source ??= makeSource())),
        empty: async () => optionsOf(await running.createDatabase()),
        async filled() {
          const database = await running.createDatabase();
          await running.sql(database, "CREATE TABLE other (n INT); INSERT INTO other VALUES (1)");
          return optionsOf(database);
        },
        badUrl: `${kind.kind}://host:port:1/`,
      };
    });
  });
}
