import assert from "node:assert/strict";
import { test } from "node:test";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import { mongo, startMongo } from "../../support/mongo.ts";
import { mongoKindsAtHand } from "../../support/mongoKinds.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { needs } from "../../support/needs.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { optionsOf, withConnector } from "./opened.ts";
import { contentOf, makeSample, oddDatabase } from "./sample.ts";

for (const kind of mongoKindsAtHand()) {
  needs(kind.program, "mongotools").describe(`mongodb on ${kind.name}`, () => {
    test("one database of many comes back under another name with every byte", async () => {
      const server = await mongo({ kind });
      const client = await server.client();
      const [from, to] = [oddDatabase(server.freshDatabase()), server.freshDatabase()];
      await makeSample(server, from);
      const backup = await withConnector(
        optionsOf(server, { database: from }),
        (connector) => backUp(mongodb, connector),
      );
      assert.deepEqual(backup.artifacts.map(({ head }) => head), [
        { role: "dump", databases: [from], format: "mongoarchive", slug: from },
      ]);
      await withConnector(optionsOf(server, { database: to }), async (connector) => {
        const { plan, result } = await restoreInto(connector, chainOf(mongodb, backup));
        assert.deepEqual(plan.steps, [{ from, to, mode: "create" }]);
        assert.deepEqual(result.differences, []);
        const { objects } = await connector.inventory(to, {
          signal: new AbortController().signal,
        });
        const dumped = withoutSizes(backup.result.inventory.databases);
        assert.deepEqual(dumped, [{ database: from, objects }]);
      });
      assert.deepEqual(await contentOf(client, to), await contentOf(client, from));
    });

    test("a whole server with logins comes back on another one", async () => {
      const [source, target] = await Promise.all([
        startMongo({ kind, auth: true }),
        startMongo({ kind, auth: true }),
      ]);
      const names = ["shop", oddDatabase("b"), "Empty", "admin"];
      const [from, to] = await Promise.all([source.client(), target.client()]);
      await makeSample(source, names[0]!);
      await makeSample(source, names[1]!);
      await from.db("Empty").createCollection("nothing");
      await from.db("admin").collection<{ _id: number }>("own").insertOne({ _id: 1 });
      const backup = await withConnector(
        optionsOf(source),
        (connector) => backUp(mongodb, connector),
      );
      assert.deepEqual(
        backup.artifacts.map(({ head }) => head.role),
        kind.can.has("accounts") ? ["dump", "accounts"] : ["dump"],
      );
      assert.deepEqual(
        backup.result.inventory.databases.map(({ database }) => database),
        [...names].sort(),
      );
      assert.equal(backup.result.to?.["isConsistent"], kind.can.has("oplog") ? true : undefined);
      assert.equal(backup.result.warnings.length, kind.can.has("oplog") ? 0 : 1);
      const { plan, result } = await withConnector(
        optionsOf(target),
        (connector) => restoreInto(connector, chainOf(mongodb, backup)),
      );
      assert.deepEqual(plan.steps.map(({ mode }) => mode), names.map(() => "create"));
      assert.deepEqual(result.differences, []);
      for (const name of names.filter((name) => name !== "admin")) {
        assert.deepEqual(await contentOf(to, name), await contentOf(from, name));
      }
      assert.equal(await to.db("admin").collection("own").countDocuments(), 1);
      await Promise.all([source.stop(), target.stop()]);
    });
  });
}
