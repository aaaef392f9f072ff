import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { output } from "../support/run.ts";

const here = dirname(fileURLToPath(import.meta.url));

test("children and zstd work on a runtime without wide pipes and Bun's own calls, too", async () => {
  const script = join(here, "other-runtime.ts");
  const found = JSON.parse(await output("deno", ["run", "--allow-all", "--no-check", script]));
  const expected = createHash("sha256");
  for (let round = 0; round < 30; round++) expected.update(new Uint8Array(300_001).fill(round));
  const fed = expected.digest("hex");
  assert.deepEqual(found, {
    isWide: false,
    fed,
    fedShort: fed,
    left: "",
    read: 5_000_000,
    decoded: 30 * 300_001,
  });
});
