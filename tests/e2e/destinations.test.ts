import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { tmpfs } from "../support/workspace.ts";
import {
  assertNothingLeft,
  dbbackup,
  fails,
  filesBelow,
  listed,
  type Place,
  place,
  succeeds,
} from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const isRoot = process.getuid?.() === 0;
const skipUnlessRoot = isRoot ? false : "needs root, to mount";

function shop(name: string, megabytes = 1): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), megabytes);
  return at;
}

function config(at: Place, destinations: Record<string, string>, more = ""): void {
  const lines = Object.entries(destinations).map(([name, path]) =>
    `  ${name}: { type: local, path: ${JSON.stringify(path)} }`
  );
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases:
  shop: { type: sqlite, path: shop.db }
destinations:
${lines.join("\n")}
jobs:
  shop:
    database: shop
    destinations: [${Object.keys(destinations).join(", ")}]
${more}`,
    { mode: 0o600 },
  );
}

describe("destinations", () => {
  test("a destination whose parent folder is missing fails the backup", async () => {
    const at = shop("missing-destination");
    const to = "./not-mounted/backups/shop";
    await fails(at, ["backup", "--from", "sqlite:shop.db", "--to", to], "storage/", 6);
    assert.ok(!existsSync(join(at.folder, "not-mounted")), "nothing is made for a mistyped path");
  });

  test("a full destination fails the backup and leaves nothing there", {
    skip: skipUnlessRoot,
  }, async () => {
    const at = shop("full-destination", 8);
    const disk = tmpfs(2 * 1024 * 1024)!;
    const result = await fails(
      at,
      ["backup", "--from", "sqlite:shop.db", "--to", disk],
      "storage/full",
      6,
    );
    assert.match(result.stderr, /hint: /);
    assertNothingLeft(disk);
    assert.deepEqual(await listed(at, disk), []);
  });

  test("a read-only destination fails the backup", { skip: skipUnlessRoot }, async () => {
    const at = shop("read-only-destination");
    const disk = tmpfs(2 * 1024 * 1024)!;
    const { run } = await import("../support/run.ts");
    assert.equal((await run("mount", ["-o", "remount,ro", disk])).code, 0);
    await fails(
      at,
      ["backup", "--from", "sqlite:shop.db", "--to", disk],
      "storage/read-only",
      6,
    );
    assertNothingLeft(disk);
  });

  test("one of two destinations failing is partial: the other has a whole backup", {
    skip: skipUnlessRoot,
  }, async () => {
    const at = shop("partial", 8);
    const small = tmpfs(2 * 1024 * 1024)!;
    const good = join(at.folder, "good");
    config(at, { good, small });
    const result = await fails(at, ["backup", "shop"], "partial/destinations", 9);
    assert.match(result.stderr, /small/);
    assertNothingLeft(small);
    assert.equal((await listed(at, good)).length, 1);
    await succeeds(at, ["verify", "--deep", "--from", good]);
    await succeeds(at, ["restore", "--from", good, "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));

    // The list says where it is missing, and the hint, as typed, brings it there.
    assert.match((await succeeds(at, ["list"])).stdout, /only at good$/m);
    const { run } = await import("../support/run.ts");
    assert.equal((await run("mount", ["-o", "remount,size=64m", small])).code, 0);
    const command = /`dbbackup (copy [^`]+)`/.exec(result.stderr)?.[1] ?? "no command";
    await succeeds(at, command.split(" "));
    assert.doesNotMatch((await succeeds(at, ["list"])).stdout, /only at/);
  });

  test("the list of a job that nobody knows is no empty list", async () => {
    const at = shop("unknown-list");
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "disk"]);
    const args = ["list", "shpo", "--from", "disk"];
    const { stderr } = await fails(at, args, "usage/unknown-job", 2);
    assert.match(stderr, /Did you mean "shop"\?/);
  });

  test("what may be where nobody could look is neither missing nor all there is", async () => {
    const at = shop("half-seen");
    const [here, gone] = [join(at.folder, "here"), join(at.folder, "unmounted", "gone")];
    config(at, { here, gone });
    await fails(at, ["backup", "shop"], "partial/destinations", 9);
    const [backup] = await listed(at, here);
    const shown = await fails(at, ["show", backup!.id], "storage/not-found", 6);
    assert.match(shown.stdout, new RegExp(`^id +${backup!.id}$`, "m"));
    assert.match(shown.stderr, /Cannot tell whether "gone" has it: .* does not exist/);
    const json = await dbbackup(at, ["show", backup!.id, "--json"]);
    assert.equal(json.code, 6);
    const { id, unreached } = JSON.parse(json.stdout);
    assert.equal(id, backup!.id);
    assert.deepEqual(
      unreached.map((one: { destination: string; error: { code: string } }) => [
        one.destination,
        one.error.code,
      ]),
      [["gone", "storage/not-found"]],
    );
    for (
      const args of [
        ["show", "zzzz"],
        ["hold", "zzzz"],
        ["delete", "zzzz"],
        ["verify", "zzzz"],
        ["restore", "zzzz", "--to", "sqlite:back.db"],
      ]
    ) {
      const { stderr } = await fails(at, args, "storage/not-found", 6);
      assert.match(stderr, /There is no .*"zzzz" elsewhere, and "gone" could not be looked at/);
    }
    const pruned = await fails(at, ["prune", "--last", "1"], "storage/not-found", 6);
    assert.match(pruned.stdout, /shop at gone .*\nCould not be looked at\.$/m);
  });

  test("one place under two names is told by config check, and is one place in list", async () => {
    const at = shop("one-place");
    config(at, { a: "./disk", b: "./x/../disk" });
    const { stdout } = await dbbackup(at, ["config", "check"]);
    assert.match(
      stdout,
      /ERROR {2}jobs\.shop\.destinations: Destination "b" is the same place as "a"/,
    );
    assert.equal((await dbbackup(at, ["config", "check"])).code, 3);
    await fails(at, ["backup", "shop"], "partial/destinations", 9);
    assert.doesNotMatch((await succeeds(at, ["list"])).stdout, /only at/);
    const twice = await succeeds(at, ["list", "--from", "disk", "--from", "./disk/"]);
    assert.doesNotMatch(twice.stdout, /only at/);
    config(at, { a: "./disk", b: "./other" });
    await succeeds(at, ["config", "check"]);
  });

  test("two destinations get the same backup from one read", async () => {
    const at = shop("two-destinations");
    const [one, two] = [join(at.folder, "one"), join(at.folder, "two")];
    config(at, { one, two });
    await succeeds(at, ["run", "--once"]);
    const [a, b] = [await listed(at, one), await listed(at, two)];
    assert.equal(a.length, 1);
    assert.equal(a[0]!.id, b[0]!.id);
    assert.deepEqual(filesBelow(one), filesBelow(two));
    await succeeds(at, ["verify", "--deep"]);
  });

  test("all destinations failing is a failure with the storage's own code", {
    skip: skipUnlessRoot,
  }, async () => {
    const at = shop("all-fail", 8);
    const [one, two] = [tmpfs(2 * 1024 * 1024)!, tmpfs(2 * 1024 * 1024)!];
    config(at, { one, two });
    await fails(at, ["backup", "shop"], "storage/full", 6);
    assertNothingLeft(one);
    assertNothingLeft(two);
  });

  test("a full state disk fails no backup", { skip: skipUnlessRoot }, async () => {
    const at = shop("full-state");
    const state = tmpfs(64 * 1024)!;
    mkdirSync(join(state, "dbbackup"), { mode: 0o700 });
    try {
      writeFileSync(join(state, "filler"), new Uint8Array(1024 * 1024));
    } catch {
      // ENOSPC is what this is for.
    }
    const env = { XDG_STATE_HOME: state };
    const result = await dbbackup(
      at,
      ["backup", "--from", "sqlite:shop.db", "--to", "./backups", "--job", "shop"],
      { env },
    );
    assert.equal(result.code, 0, result.stderr);
    assert.equal((await listed(at, "./backups")).length, 1);
  });

  test(
    "an unwritable state folder fails no backup",
    { skip: isRoot && "root may write" },
    async () => {
      const at = shop("unwritable-state");
      mkdirSync(at.stateDir, { recursive: true });
      chmodSync(at.stateDir, 0o500);
      await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
    },
  );

  test("artifacts are cut into volumes that cat joins", async () => {
    const at = shop("volumes", 4);
    const disk = join(at.folder, "disk");
    config(at, { disk }, "    volumeSize: 1MiB\n    compression: zstd\n");
    await succeeds(at, ["backup", "shop"]);
    const volumes = filesBelow(disk).filter((name) => name.includes("dump-001"));
    assert.ok(volumes.length >= 4, volumes.join("\n"));
    assert.ok(volumes.some((name) => name.endsWith(".v002")), volumes.join("\n"));
    await succeeds(at, ["verify", "--deep"]);
    await succeeds(at, ["restore", "--from", disk, "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
  });
});
