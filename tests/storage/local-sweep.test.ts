import assert from "node:assert/strict";
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { local } from "../../src/storage/local/mod.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";

test("sweep of a folder removes unfinished files, with a moment only those older than it", async () => {
  const path = tempDir("sweep");
  const folder = join(path, "shop", "run");
  mkdirSync(folder, { recursive: true });
  for (const name of [".tmp-old", ".tmp-new", "kept"]) writeFileSync(join(folder, name), "x");
  const longAgo = new Date(Date.now() - 8 * 86_400_000);
  utimesSync(join(folder, ".tmp-old"), longAgo, longAgo);
  utimesSync(join(folder, "kept"), longAgo, longAgo);
  const o = { signal: never, runtime: testRuntime() };
  const storage = await local.open({ path }, o);
  const before = new Date(Date.now() - 7 * 86_400_000);
  assert.equal(await storage.sweep("shop/", { ...o, before }), 1);
  assert.deepEqual(readdirSync(folder).sort(), [".tmp-new", "kept"]);
  assert.equal(await storage.sweep("shop/", o), 1);
  assert.deepEqual(readdirSync(folder), ["kept"]);
});
