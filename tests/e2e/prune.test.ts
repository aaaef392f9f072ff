import assert from "node:assert/strict";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { compactTime } from "../../src/catalog/names.ts";
import { run } from "../support/run.ts";
import { idOf } from "../catalog/refs.ts";
import {
  binary,
  dbbackup,
  fails,
  filesBelow,
  listed,
  type Place,
  place,
  starts,
  succeeds,
  until,
} from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

function shop(name: string, retention: string): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"));
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases:
  shop: { type: sqlite, path: shop.db }
destinations:
  disk: { type: local, path: disk }
jobs:
  shop:
    database: shop
    destinations: [disk]
    retention: ${retention}
`,
    { mode: 0o600 },
  );
  return at;
}

/** Makes older copies of the one backup there is; their names alone say so. */
function withOlder(disk: string, count: number): void {
  const folder = readdirSync(join(disk, "shop"))[0]!;
  const [, kind, , tag] = folder.split("_");
  for (let number = 1; number <= count; number++) {
    const at = new Date(Date.now() - number * 86_400_000);
    const name = [compactTime(at), kind, idOf(number), tag].join("_");
    cpSync(join(disk, "shop", folder), join(disk, "shop", name), { recursive: true });
  }
}

interface PrunedJson {
  readonly backups: readonly { id: string; status: string; reasons: string[] }[];
  readonly abandoned: readonly { id: string; status: string }[];
}

function foldersIn(disk: string): string[] {
  return readdirSync(join(disk, "shop")).sort();
}

describe("retention", () => {
  test("is applied after each successful backup", async () => {
    const at = shop("prune-after", "{ last: 2 }");
    const ids: string[] = [];
    for (let round = 0; round < 4; round++) {
      const { runs } = (await succeeds(at, ["backup", "shop", "--json"])).json() as {
        runs: { backup: { id: string } }[];
      };
      ids.push(runs[0]!.backup.id);
    }
    const left = await listed(at, "disk");
    assert.deepEqual(left.map(({ id }) => id), ids.slice(2).reverse());
    assert.equal(foldersIn(join(at.folder, "disk")).length, 2, "nothing is left of the others");
    await succeeds(at, ["verify", "--deep"]);
    await succeeds(at, ["restore", "shop", "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
  });

  test("shows what it would drop and why, and then does it", async () => {
    const at = shop("prune-dry", "{ daily: 3 }");
    const disk = join(at.folder, "disk");
    await succeeds(at, ["backup", "shop"]);
    withOlder(disk, 5);
    const before = filesBelow(disk);
    const dry = await succeeds(at, ["prune", "--dry-run"]);
    assert.match(dry.stdout, /TIME +ID +KIND +SIZE +WHAT +WHY/);
    assert.match(dry.stdout, /keep +newest good, daily \d{4}-\d\d-\d\d/);
    assert.match(dry.stdout, new RegExp(`${idOf(5)} +full .* drop +no rule keeps it`));
    assert.deepEqual(filesBelow(disk), before);
    const [result] = (await succeeds(at, ["prune", "shop", "--json"])).json() as PrunedJson[];
    assert.deepEqual(
      result!.backups.map(({ status }) => status),
      ["kept", "kept", "kept", "dropped", "dropped", "dropped"],
    );
    assert.equal(foldersIn(disk).length, 3);
  });

  test("is asked for where no config has it", async () => {
    const at = shop("prune-flags", "{ last: 9 }");
    const disk = join(at.folder, "disk");
    await succeeds(at, ["backup", "shop"]);
    withOlder(disk, 3);
    rmSync(join(at.folder, "backup.config.yaml"));
    await fails(at, ["prune", "--from", "disk"], "usage/missing-retention", 2);
    await fails(at, ["prune", "--from", "disk", "--max-age", "old"], "usage/bad-value", 2);
    await fails(at, ["prune", "--from", "disk", "--last", "1", "--timezone", "Mars"], "usage/", 2);
    const unknown = await fails(
      at,
      ["prune", "shp", "--from", "disk", "--last", "1"],
      "usage/unknown-job",
      2,
    );
    assert.match(unknown.stderr, /Did you mean "shop"\?/);
    await fails(at, ["prune", "shop", "--from", "none", "--last", "1"], "storage/not-found", 6);
    await succeeds(at, ["prune", "--from", "disk", "--last", "2"]);
    assert.equal(foldersIn(disk).length, 2);
    await succeeds(at, ["prune", "--from", "disk", "--max-age", "1h", "--min-keep", "2"]);
    assert.equal(foldersIn(disk).length, 2);
  });

  test("keeps what is on hold until it is released", async () => {
    const at = shop("prune-hold", "{ last: 1 }");
    const disk = join(at.folder, "disk");
    await succeeds(at, ["backup", "shop"]);
    withOlder(disk, 2);
    await succeeds(at, ["hold", idOf(2)]);
    assert.match((await succeeds(at, ["list"])).stdout, new RegExp(`${idOf(2)} .*hold`));
    await succeeds(at, ["prune"]);
    assert.equal(foldersIn(disk).length, 2);
    await succeeds(at, ["hold", idOf(2), "--from", "disk"]);
    await succeeds(at, ["release", idOf(2)]);
    await succeeds(at, ["release", idOf(2)]);
    await succeeds(at, ["prune"]);
    assert.equal(foldersIn(disk).length, 1);
    await fails(at, ["hold", "zzzzzzzz"], "usage/no-such-backup", 2);
  });

  test("of hundreds of backups is listed whole to a reader that takes its time", async () => {
    const at = shop("prune-slow-reader", "{ last: 9999 }");
    await succeeds(at, ["backup", "shop"]);
    withOlder(join(at.folder, "disk"), 300);
    // More than a pipe holds, so that the process must wait for its reader before it ends.
    const slow = `'${binary}' list --json | { sleep 1; cat; }`;
    const { stdout } = await run("sh", ["-c", slow], { cwd: at.folder, env: at.env });
    assert.ok(stdout.length > 65_536);
    assert.equal(JSON.parse(stdout).length, 301);
  });

  test("works beside a backup from the future, which it keeps and warns of", async () => {
    const at = shop("prune-future", "{ last: 1 }");
    const disk = join(at.folder, "disk");
    await succeeds(at, ["backup", "shop"]);
    withOlder(disk, 1);
    const name = foldersIn(disk).at(-1)!;
    const future = `${compactTime(new Date(Date.now() + 3_600_000))}_full_zzzzzzz1_${
      name.split("_")[3]
    }`;
    cpSync(join(disk, "shop", name), join(disk, "shop", future), { recursive: true });
    const pruned = await succeeds(at, ["prune"]);
    assert.match(pruned.stdout, /zzzzzzz1 .*keep +dated in the future/);
    assert.match(
      pruned.stderr,
      /zzzzzzz1 is dated later than now .*`dbbackup delete ID` removes it/,
    );
    assert.deepEqual(foldersIn(disk), [name, future]);
    await succeeds(at, ["backup", "shop"]);
    assert.equal(foldersIn(disk).length, 2, "the new one took the place of the old");
  });

  test("killed by SIGKILL in the middle, the next prune finishes the job", async () => {
    const at = shop("prune-kill", "{ last: 9999 }");
    const disk = join(at.folder, "disk");
    await succeeds(at, ["backup", "shop"]);
    withOlder(disk, 300);
    const { child, ended } = starts(at, ["prune", "shop", "--last", "1"]);
    await until("it deletes", () => foldersIn(disk).length < 295);
    child.kill("SIGKILL");
    await ended;
    const left = foldersIn(disk).length;
    assert.ok(left > 1, "it was killed too late to show anything");
    const whole = await listed(at, "disk");
    assert.ok(whole.length >= left - 1, "at most one folder is without its manifest");
    await succeeds(at, ["prune", "shop", "--last", "1"]);
    assert.equal(foldersIn(disk).length, 1);
    await succeeds(at, ["verify", "--deep"]);
  });
});

describe("list", () => {
  test("remembers manifests, and does without a memory that is damaged", async () => {
    const at = shop("list-cache", "{ last: 9999 }");
    const disk = join(at.folder, "disk");
    await succeeds(at, ["backup", "shop"]);
    const once = await listed(at, "disk");
    const cache = join(at.stateDir, "manifests.db");
    for (const suffix of ["-wal", "-shm"]) rmSync(cache + suffix, { force: true });
    writeFileSync(cache, "this is no database, and long enough to be taken for one".repeat(100));
    assert.deepEqual(await listed(at, "disk"), once);
    // A manifest never changes, so the one that is known is not read again.
    const manifest = join(disk, filesBelow(disk).find((name) => name.endsWith("manifest.json"))!);
    const { size } = (await import("node:fs")).statSync(manifest);
    writeFileSync(manifest, " ".repeat(size));
    assert.deepEqual((await listed(at, "disk")).map(({ id }) => id), once.map(({ id }) => id));
    // A deep verify always looks.
    const result = await dbbackup(at, ["verify", "--deep"]);
    assert.equal(result.code, 7, result.stderr);
  });
});
