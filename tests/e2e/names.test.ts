import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { filesBelow, listed, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const names = [
  "with space",
  'it\'s "quoted"',
  "a/b\\c",
  "..",
  "-leading-dash",
  "--help",
  "ünïcödé 日本 🐘",
  "Shop",
  "shop",
  "SHOP",
  "$(touch pwned)",
  "`touch pwned`;",
  "line\nbreak",
  "con",
  "x".repeat(300),
];

describe("hard names", () => {
  test("of jobs live side by side on one destination, and each is restored by its own", async () => {
    const at = place("hard-names");
    for (const [index, name] of names.entries()) {
      makeSqlite(join(at.folder, `${index}.db`));
      await succeeds(at, [
        ...["backup", "--from", `sqlite:${index}.db`, "--to", "./backups", `--job=${name}`],
      ]);
    }
    const backups = await listed(at, "./backups");
    assert.deepEqual(backups.map(({ job }) => job).sort(), [...names].sort());
    const folders = new Set(
      filesBelow(join(at.folder, "backups")).map((file) => file.split("/")[0]!.toLowerCase()),
    );
    assert.equal(folders.size, names.length, "also where case does not count");
    for (const folder of folders) assert.match(folder, /^[a-z0-9=._-]+$/);

    for (const [index, name] of names.entries()) {
      const to = `sqlite:back-${index}.db`;
      await succeeds(at, ["restore", "--from", "./backups", "--to", to, "--yes", "--", name]);
      assertSame(at, `${index}.db`, `back-${index}.db`);
    }
    await succeeds(at, ["verify", "--deep", "--from", "./backups"]);
    assert.ok(!filesBelow(at.folder).some((file) => file.endsWith("pwned")));
  });

  test("of files are backed up, restored and told back", async () => {
    const at = place("hard-files");
    const hard = ["with space.db", "it's.db", "ünïcödé.db", "-dash.db", "100%.db", "a#b?c.db"];
    for (const name of hard) {
      makeSqlite(join(at.folder, "plain.db"));
      renameSync(join(at.folder, "plain.db"), join(at.folder, name));
      const url = `sqlite:./${name}`;
      await succeeds(at, ["backup", "--from", url, "--to", "./backups", "--job", "files"]);
      const [newest] = await listed(at, "./backups");
      const to = `sqlite:./back ${name}`;
      await succeeds(at, ["restore", newest!.id, "--from", "./backups", "--to", to, "--yes"]);
      assertSame(at, name, `back ${name}`);
    }
  });

  test("two servers with one name on one destination never mix", async () => {
    const one = place("server-one");
    const two = place("server-two");
    const disk = join(one.folder, "shared");
    const backup = ["backup", "--from", "sqlite:shop.db", "--to", disk];
    for (const at of [one, two]) makeSqlite(join(at.folder, "shop.db"));
    await succeeds(one, backup);
    // Both call it "shop.db": nobody but their owner can say whether they are one.
    const { fails } = await import("./support/cli.ts");
    await fails(two, backup, "config/two-sources", 3);
    await succeeds(two, [...backup, "--source", "two"]);
    const backups = await listed(one, disk);
    assert.equal(backups.length, 2);
    const latest = ["restore", "--from", disk, "--to", "sqlite:back.db", "--yes"];
    const { stderr } = await fails(one, latest, "usage/which-server", 2);
    for (const { id } of backups) assert.ok(stderr.includes(id), "both are offered");
    await succeeds(two, ["restore", backups[0]!.id, ...latest.slice(1)]);
    assertSame(two, "shop.db", "back.db");
  });

  test("two backups of one second coexist, and the later one is the latest", async () => {
    const at = place("one-second");
    const ids: string[] = [];
    for (let index = 0; index < 4; index++) {
      makeSqlite(join(at.folder, `${index}.db`));
      renameSync(join(at.folder, `${index}.db`), join(at.folder, "shop.db"));
      const args = ["backup", "--from", "sqlite:shop.db", "--to", "./backups", "--json"];
      const { runs } = (await succeeds(at, args)).json() as { runs: { run: string }[] };
      ids.unshift(runs[0]!.run);
    }
    assert.deepEqual((await listed(at, "./backups")).map(({ id }) => id), ids);
    const args = ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes", "--json"];
    const { plan } = (await succeeds(at, args)).json() as { plan: { backup: string } };
    assert.equal(plan.backup, ids[0]);
    assertSame(at, "shop.db", "back.db");
  });

  test("ids can be shortened while they are unique", async () => {
    const at = place("short-ids");
    makeSqlite(join(at.folder, "shop.db"));
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
    const [{ id } = { id: "" }] = await listed(at, "./backups");
    const { stdout } = await succeeds(at, ["show", id.slice(0, 2), "--from", "./backups"]);
    assert.match(stdout, new RegExp(`^id +${id}$`, "m"));
  });
});

function assertSame(at: Place, one: string, other: string): void {
  assert.equal(ordersOf(join(at.folder, other)), ordersOf(join(at.folder, one)));
}
