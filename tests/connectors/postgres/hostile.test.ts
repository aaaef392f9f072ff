import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../../support/needs.ts";
import { postgres } from "../../support/postgres.ts";
import { freshName } from "../../support/freshName.ts";
import { hostileNames, hostileSchema } from "./hostile.ts";
import { contentOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`PostgreSQL ${version} with hostile names`, () => {
    test("comes back as it was: every kind of object, into a new database and over it", async () => {
      const server = await postgres(version);
      const source = await server.createDatabase();
      for (const [number, name] of hostileNames.entries()) {
        await server.psql(source, hostileSchema(name, number));
      }
      const backup = await dumpOf(optionsOf(server, source));
      const target = freshName();
      const fresh = await restoreTo(optionsOf(server, target), backup);
      assert.deepEqual(fresh.result.differences, []);
      const expected = await contentOf(server, source);
      assert.equal(await contentOf(server, target), expected);
      const over = await restoreTo(optionsOf(server, target), backup, {
        isOverwrite: true,
        jobs: 2,
      });
      assert.deepEqual(over.result.differences, []);
      assert.equal(await contentOf(server, target), expected);
    });
  });
}
