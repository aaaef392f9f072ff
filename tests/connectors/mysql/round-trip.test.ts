import assert from "node:assert/strict";
import { describe } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { connect, flavours } from "./flavours.ts";
import { contentOf, makeSample } from "./sample.ts";

for (const flavour of flavours) {
  const test = needs(flavour.name);
  describe(`${flavour.kind.title} round trip`, () => {
    test("a database comes back with every row and its whole schema, under another name", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await makeSample(server, database);
      const source = await connect(flavour, server, { database });
      const backup = await backUp(flavour.kind, source);
      const target = freshName();
      const { result } = await restoreInto(
        await connect(flavour, server, { database: target }),
        chainOf(flavour.kind, backup),
      );
      assert.deepEqual(await contentOf(server, target), await contentOf(server, database));
      assert.deepEqual(result.differences, []);
      assert.deepEqual(
        sorted((await source.inventory(target, { signal: never })).objects),
        sorted(backup.result.inventory.databases[0]!.objects),
      );
      await source.close();
    });
  });
}

function sorted(objects: readonly { type: string; name: string; count?: number }[]) {
  return objects.map(({ type, name, count }) => JSON.stringify([type, name, count])).sort();
}
