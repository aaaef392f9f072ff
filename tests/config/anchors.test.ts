import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { folderWith, load, loadError } from "./loading.ts";

const start = `x-common: &common
  compression: zstd
  timeout: 2h
x-list: [&place disk]
databases: { app: { type: sqlite, path: a.db } }
destinations: { disk: { type: local, path: b } }
`;

describe("top-level keys that begin with x-", () => {
  test("are the home of anchors in YAML, and nothing else", async () => {
    const folder = folderWith({
      "c.yaml": `${start}jobs: { app: { <<: *common, database: app, destinations: [*place] } }\n`,
    });
    const job = (await load(folder, "c.yaml")).jobs.get("app")!;
    assert.deepEqual([job.compression.codec, job.timeoutMs], ["zstd", 7_200_000]);
  });

  test("are unknown keys anywhere else", async () => {
    const folder = folderWith({
      "c.yaml": `${start}jobs: { app: { x-a: 1, database: app, destinations: [disk] } }\n`,
    });
    const { code, message } = await loadError(folder, "c.yaml");
    assert.equal(code, "config/invalid");
    assert.match(message, /jobs\.app\.x-a: found an unknown key/);
  });

  test("hold what is wrong wherever it is used", async () => {
    const folder = folderWith({
      "c.yaml": `x-a: &a { timeout: soon }\n${start}` +
        "jobs: { app: { <<: *a, database: app, destinations: [disk] } }\n",
    });
    const { message } = await loadError(folder, "c.yaml");
    assert.match(message, /jobs\.app\.timeout: found "soon"/);
  });
});
