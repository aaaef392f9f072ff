import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fails, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite } from "./support/sqlite.ts";

function configured(name: string, limit: string): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 1);
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: sqlite, path: shop.db } }
destinations: { disk: { type: local, path: ./backups, uploadLimit: ${limit} } }
jobs: { shop: { database: shop, destinations: [disk], compression: none, destinationStallTimeout: 300ms } }
`,
    { mode: 0o600 },
  );
  return at;
}

/** How long a command takes, at least: whatever else keeps the machine busy makes it longer. */
async function took(at: Place, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  await succeeds(at, args);
  return performance.now() - startedAt;
}

describe("an upload limit", () => {
  test("of a destination holds, and is no stall", async () => {
    const at = configured("limit", "512KiB/s");
    // 1 MiB of rows that do not compress, and a quarter of a second of credit.
    assert.ok(await took(at, ["backup", "shop"]) > 1_500);
    const { stdout } = await succeeds(at, ["config", "show"]);
    assert.match(stdout, /uploadLimit: 512KiB\/s/);
    await succeeds(at, ["verify", "--deep"]);
  });

  test("of a flag holds for backup and copy, and wins over the config's", async () => {
    const at = configured("limit-flag", "1KiB/s");
    assert.ok(await took(at, ["backup", "shop", "--upload-limit", "512KiB/s"]) > 1_500);
    const copy = ["copy", "--from", "./backups", "--to", "./second", "--upload-limit", "512KiB"];
    assert.ok(await took(at, copy) > 1_500);
  });

  test("that cannot be read is told with its place", async () => {
    const at = configured("limit-bad", "fast");
    const { stderr } = await fails(at, ["config", "check"], "config/invalid", 3);
    assert.match(
      stderr,
      /line 2: destinations\.disk\.uploadLimit: found "fast", expected a rate such as/,
    );
    const flag = ["backup", "--from", "sqlite:shop.db", "--to", "b", "--upload-limit", "20M"];
    const wrong = await fails(at, flag, "usage/bad-value", 2);
    assert.match(wrong.stderr, /hint: Write it like 512KiB\/s or 20MiB\/s\./);
  });
});
