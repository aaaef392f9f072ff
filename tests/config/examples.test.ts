import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { connectorContract } from "../contracts/connector.ts";
import { storageContract } from "../contracts/storage.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { load } from "./loading.ts";

const examples = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "config");

describe("a worked example", () => {
  for (const name of readdirSync(examples).filter((name) => name.includes(".config."))) {
    test(`loads without a problem and without any secret: ${name}`, async () => {
      const config = await load(examples, name);
      assert.ok(config.databases.size > 0 && config.jobs.size > 0);
    });
  }

  test("in YAML has one database of every built-in kind", async () => {
    const { databases, jobs } = await load(examples, "fleet.backup.config.yaml");
    const kinds = [...databases.values()].map(({ kind }) => kind.kind).sort();
    assert.deepEqual(kinds, ["mariadb", "mongodb", "mysql", "postgres", "sqlite"]);
    assert.equal(jobs.get("events")!.stallTimeoutMs, 20 * 60_000);
    assert.equal(jobs.get("app")!.compression.codec, "gzip");
    assert.equal(jobs.get("blog")!.compression.codec, "zstd");
  });
});

const plugins = await load(examples, "plugins.backup.config.ts");

storageContract("the example of a plugin", async () => {
  const { kind } = plugins.destinations.get("flat")!;
  const path = tempDir("flat-folder");
  const storage = await kind.open({ path }, { runtime: testRuntime(), signal: never });
  return { storage, teardown: () => Promise.resolve() };
});

connectorContract("the example of a plugin", () => {
  const folder = tempDir("json-lines");
  const lines = Array.from({ length: 5_000 }, (_, id) => JSON.stringify({ id, name: `ü ${id}` }));
  writeFileSync(join(folder, "source.jsonl"), `${lines.join("\n")}\n`);
  let made = 0;
  return Promise.resolve({
    kind: plugins.databases.get("events")!.kind,
    runtime: testRuntime(),
    source: () => Promise.resolve({ path: join(folder, "source.jsonl") }),
    empty: () => Promise.resolve({ path: join(folder, `empty-${++made}.jsonl`) }),
    filled() {
      const path = join(folder, `filled-${++made}.jsonl`);
      writeFileSync(path, '{"precious":true}\n');
      return Promise.resolve({ path });
    },
    badUrl: "jsonl:",
  });
});
