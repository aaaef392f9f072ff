import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { dbbackup, fails, filesBelow, type Place, place, succeeds } from "./support/cli.ts";
import { editManifest } from "./support/manifest.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const from = ["--from", "./backups"] as const;
const backup = ["backup", "--from", "sqlite:shop.db", "--to", "./backups"];

function manifestsIn(at: Place): string[] {
  return filesBelow(join(at.folder, "backups")).filter((file) => file.endsWith("manifest.json"));
}

/** A place with a backup of 2031 of an older state, and a newer one of now. */
async function poisoned(name: string): Promise<{ at: Place; future: string }> {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 1);
  await succeeds(at, backup);
  const folder = join(at.folder, "backups", dirname(manifestsIn(at)[0]!));
  editManifest(folder, (manifest) => manifest["startedAt"] = "2031-01-01T00:00:00.000Z");
  renameSync(folder, folder.replace(/\d{8}T\d{6}Z/, "20310101T000000Z"));
  rmSync(join(at.folder, "shop.db"));
  makeSqlite(join(at.folder, "shop.db"), 3);
  await succeeds(at, backup);
  return { at, future: folder.split("_")[2]! };
}

describe("a backup by a clock that was ahead", () => {
  test("is warned of by list, left out by restore and verify, and deleted by its id", async () => {
    const { at, future } = await poisoned("clock-ahead");
    const list = await succeeds(at, ["list", ...from]);
    assert.match(list.stdout, new RegExp(`${future} .*dated in the future`));
    assert.match(list.stderr, new RegExp(`Backup ${future} is dated later than now`));
    const json = (await succeeds(at, ["list", ...from, "--json"]))
      .json() as { id: string; isDatedAhead: boolean }[];
    assert.deepEqual(json.filter((one) => one.isDatedAhead).map(({ id }) => id), [future]);

    const restored = await succeeds(at, ["restore", ...from, "--to", "sqlite:back.db", "--yes"]);
    assert.match(restored.stderr, new RegExp(`Backup ${future} is dated later than now`));
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
    const verified = await succeeds(at, ["verify", "--latest", ...from]);
    assert.ok(!verified.stdout.includes(future));

    const plan = await succeeds(at, ["delete", future, ...from, "--dry-run"]);
    assert.match(plan.stdout, new RegExp(`^Delete ${future}, full, of shop, 2031-01-01`));
    assert.equal(manifestsIn(at).length, 2);
    await fails(at, ["delete", future, ...from], "usage/confirmation", 2);
    const deleted = await succeeds(at, ["delete", future.slice(0, 5), ...from, "--yes"]);
    assert.match(deleted.stdout, new RegExp(`${future} at ./backups: deleted`));
    assert.equal(manifestsIn(at).length, 1);
    assert.equal((await succeeds(at, ["list", ...from])).stderr.includes("dated later"), false);
  });
});

describe("an empty or wrong place", () => {
  test("is no place where all is well: verify and prune fail", async () => {
    const at = place("empty");
    mkdirSync(join(at.folder, "backups"));
    for (const args of [["verify"], ["verify", "--deep"], ["prune", "--last", "1"]]) {
      const told = await fails(at, [...args, ...from], "storage/no-backup", 6);
      assert.match(told.stderr, /There is no backup at ".\/backups"/);
      await fails(at, [...args, "--from", "./typo"], "storage/not-found", 6);
    }
    const list = await succeeds(at, ["list", ...from]);
    assert.equal(list.stdout, "No backups.\n");
    await fails(at, ["list", "--from", "./typo"], "storage/not-found", 6);
    await fails(at, ["list", "shopp", ...from], "usage/unknown-job", 2);
    await fails(at, ["verify", "shopp", ...from], "usage/no-such-backup", 2);
    await fails(at, ["prune", "shopp", "--last", "1", ...from], "usage/unknown-job", 2);
    await fails(at, ["delete", "shopp", "--yes", ...from], "usage/no-such-backup", 2);
  });

  test("beside one that is there is told by list, and by its status and JSON", async () => {
    const at = place("one-gone");
    makeSqlite(join(at.folder, "shop.db"), 1);
    await succeeds(at, backup);
    const both = ["list", ...from, "--from", "./gone"];
    const told = await fails(at, both, "storage/not-found", 6);
    assert.match(told.stdout, /shop/);
    assert.match(told.stderr, /Backups that only ".\/gone" has are not listed/);
    const json = (await dbbackup(at, [...both, "--json"])).json() as {
      id: string | null;
      destinations: string[];
      error: { code: string } | null;
    }[];
    assert.deepEqual(
      json.map(({ id, destinations, error }) => [id === null, destinations, error?.code]),
      [[false, ["./backups"], undefined], [true, ["./gone"], "storage/not-found"]],
    );
  });
});

describe("a folder under a name that is no backup's", () => {
  test("is told by verify, with the name that it should have", async () => {
    const at = place("stray");
    makeSqlite(join(at.folder, "shop.db"), 1);
    await succeeds(at, backup);
    const folder = join(at.folder, "backups", dirname(manifestsIn(at)[0]!));
    renameSync(folder, `${folder}.old`);
    const told = await fails(at, ["verify", ...from], "verification/stray-folder", 7);
    assert.match(told.stderr, /By its manifest it is "shop\/\d{8}T\d{6}Z_full_/);
    mkdirSync(join(at.folder, "backups", "web", "app"), { recursive: true });
    writeFileSync(join(at.folder, "backups", "web", "app", "manifest.json"), "{}");
    renameSync(`${folder}.old`, folder);
    await succeeds(at, ["verify", ...from]);
  });
});
