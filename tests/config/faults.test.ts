import assert from "node:assert/strict";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { folderWith, load, loadError } from "./loading.ts";

const name = "backup.config.yaml";
const lol = (from: string) => `[${Array.from({ length: 9 }, () => `*${from}`).join(", ")}]`;

/** YAML that no config is, with what is said of it. */
const cases: Readonly<Record<string, readonly [text: string | Uint8Array, says: RegExp]>> = {
  "a billion laughs": [
    `a: &a [lol, lol]\nb: &b ${lol("a")}\nc: &c ${lol("b")}\nd: &d ${lol("c")}\ne: ${lol("d")}\n`,
    /its aliases multiply without bound$/,
  ],
  "an alias that contains itself": ["databases: &a { x: *a }\n", /an alias contains itself$/],
  "a merge of itself": ["jobs: &a\n  <<: *a\n", /its aliases multiply without bound$/],
  "an alias without its anchor": ["jobs: *nobody\n", /Unresolved alias .*nobody$/],
  "a merge of a text": ["jobs:\n  <<: abc\n", /Merge sources must be maps/],
  "brackets without end": [
    "[".repeat(100_000),
    /not valid YAML:\n(.*\n){10} {2}and \d+ more problems$/,
  ],
  "thousands of levels": ["- ".repeat(50_000) + "x", /Maximum call stack size exceeded|too deeply/],
  "hundreds of levels": ["{a: ".repeat(500) + "1" + "}".repeat(500), /nested too deeply/],
  "a key twice": ["jobs: {}\njobs: {}\n", /line 2, column 1: Map keys must be unique$/],
  "tabs": ["jobs:\n\tx: 1\n", /line 2, column 1: Tabs are not allowed as indentation$/],
  "two documents": ["jobs: {}\n---\njobs: {}\n", /line 2, column 1: A second document begins here/],
  "a program": [new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 0, 0]), /is not a text in UTF-8$/],
  "Latin-1": [new Uint8Array([0x61, 0x3a, 0x20, 0xe4, 0x0a]), /is not a text in UTF-8$/],
};

describe("a config in YAML that is", () => {
  for (const [title, [text, says]] of Object.entries(cases)) {
    test(`${title} is a mistake in the file, not a defect`, async () => {
      const folder = folderWith({});
      writeFileSync(join(folder, name), text);
      const { code, message, hint } = await loadError(folder, name);
      assert.equal(code, "config/syntax", message);
      assert.match(message, says);
      assert.ok(hint !== undefined);
    });
  }

  test("far too large is not read", async () => {
    const folder = folderWith({ [name]: "" });
    truncateSync(join(folder, name), 2 ** 40);
    const { code, message } = await loadError(folder, name);
    assert.equal(code, "config/unreadable");
    assert.match(message, /has 1\.0 TiB, and 8\.0 MiB are the most$/);
  });

  test("a folder is told as one", async () => {
    const folder = folderWith({});
    mkdirSync(join(folder, name));
    const { code, message, hint } = await loadError(folder, name);
    assert.equal(code, "config/unreadable");
    assert.match(message, /it is a folder$/);
    assert.equal(hint, "Name the file itself.");
  });

  test("one with anchors that jobs share is good", async () => {
    const folder = folderWith({
      [name]: `databases: { app: { type: sqlite, path: app.db } }
destinations: { disk: { type: local, path: backups } }
jobs:
  one: &shared { database: app, destinations: [disk], timeout: 2h }
  two: { <<: *shared, timeout: 3h }
`,
    });
    const { jobs } = await load(folder, name);
    assert.deepEqual([...jobs.values()].map(({ timeoutMs }) => timeoutMs), [7_200_000, 10_800_000]);
  });
});
