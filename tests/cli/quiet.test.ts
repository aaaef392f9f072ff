import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { binary, fails, type Place, place, succeeds } from "../e2e/support/cli.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";
import { commandOnTerminal, withoutTerminal } from "../support/terminal.ts";

let at: Place;
before(() => {
  at = place("quiet");
  makeSqlite(join(at.folder, "shop.db"), 1);
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: sqlite, path: shop.db }, gone: { type: sqlite, path: gone.db } }
destinations: { disk: { type: local, path: ./backups } }
jobs:
  shop: { database: shop, destinations: [disk] }
  gone: { database: gone, destinations: [disk] }
`,
    { mode: 0o600 },
  );
});

describe("--quiet", () => {
  test("of what goes well says nothing at all", async () => {
    for (const args of [["backup", "shop"], ["verify", "--deep"], ["prune"]]) {
      const { stdout, stderr } = await succeeds(at, [...args, "--quiet"]);
      assert.deepEqual([stdout, stderr], ["", ""], args.join(" "));
    }
  });

  test("of what fails says the error alone, once", async () => {
    const { stdout, stderr } = await fails(at, ["run", "--once", "--quiet"], "connection/", 4);
    assert.equal(stdout, "");
    assert.match(stderr, /^error: Job "gone": There is no database file .*\nhint: .*\n$/);
  });

  test("of a run that reached some destinations alone says which it did not", async () => {
    const bad = join(at.folder, "file");
    writeFileSync(bad, "");
    const args = ["backup", "--from", "sqlite:shop.db", "--to", "./good", "--to", join(bad, "x")];
    const { stdout, stderr } = await fails(at, [...args, "--quiet"], "partial/", 9);
    assert.equal(stdout, "");
    assert.match(stderr, /^error: .*is missing at 1 of 2 destinations/m);
  });

  test("leaves the log file as it is, and --json", async () => {
    const args = ["backup", "shop", "--quiet", "--log-file", "log", "--json"];
    const made = await succeeds(at, args);
    assert.equal(made.stderr, "");
    assert.ok("runs" in (made.json() as object));
    assert.match(readFileSync(join(at.folder, "log"), "utf8"), /info +Run \w+ of job shop/);
  });

  test("still prints what a command is asked to print", async () => {
    assert.match((await succeeds(at, ["list", "--quiet"])).stdout, /shop/);
    assert.match(
      (await succeeds(at, ["prune", "--dry-run", "--last", "1", "--quiet"])).stdout,
      /\w/,
    );
  });

  test("asks nothing whose plan it does not show", async () => {
    mkdirSync(join(at.folder, "r"));
    const restore = ["restore", "shop", "--to", "sqlite:r/back.db", "--quiet"];
    const { stderr } = await fails(at, restore, "usage/confirmation", 2);
    assert.match(stderr, /hint: --quiet shows no plan: give --yes/);
    const { stdout } = await succeeds(at, [...restore, "--yes"]);
    assert.equal(stdout, "");
  });

  test("shows no progress on a terminal", { skip: withoutTerminal }, async () => {
    const { code, screen } = await commandOnTerminal(at, [binary, "backup", "shop", "--quiet"]);
    assert.deepEqual([code, screen], [0, ""]);
  });
});
