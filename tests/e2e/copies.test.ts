import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fails, filesBelow, listed, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

/** A job with two destinations, `one` and `two`, and one backup of it. */
async function twoCopies(name: string): Promise<Place> {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"));
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases:
  shop: { type: sqlite, path: shop.db }
destinations:
  one: { type: local, path: one }
  two: { type: local, path: two }
jobs:
  shop: { database: shop, destinations: [one, two] }
`,
    { mode: 0o600 },
  );
  await succeeds(at, ["backup", "shop"]);
  return at;
}

function dumpIn(at: Place, destination: string): string {
  const folder = join(at.folder, destination);
  return join(folder, filesBelow(folder).find((name) => name.includes("/dump-001"))!);
}

function damage(path: string): void {
  const content = readFileSync(path);
  content[Math.floor(content.length / 2)]! ^= 1;
  writeFileSync(path, content);
}

function marks(at: Place, destination: string): string[] {
  return filesBelow(join(at.folder, destination)).flatMap((name) =>
    /(?:damaged|hold|verified)[^/]*$/.exec(name)?.[0].replace(/-.*/, "") ?? []
  );
}

describe("copies", () => {
  test("restore takes the other copy when the first is damaged, and marks the damaged", async () => {
    const at = await twoCopies("fallback");
    damage(dumpIn(at, "one"));
    const result = await succeeds(at, ["restore", "shop", "--to", "sqlite:back.db", "--yes"]);
    assert.match(result.stdout + result.stderr, /The copy of \w+ at "one" cannot be used/);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
    assert.deepEqual([marks(at, "one"), marks(at, "two")], [["damaged"], []]);
  });

  test("list, show and the plan of a restore say which copy is damaged", async () => {
    const at = await twoCopies("which-copy");
    damage(dumpIn(at, "one"));
    await fails(at, ["verify", "--deep"], "verification/damaged", 7);
    const list = await succeeds(at, ["list"]);
    assert.match(list.stdout, /damaged at one, verified at two/);
    const [backup] = (await succeeds(at, ["list", "--json"])).json() as {
      id: string;
      copies: { destination: string; standing: string; marks: { type: string }[] }[];
    }[];
    assert.deepEqual(
      backup!.copies.map(({ destination, standing, marks }) => [
        destination,
        standing,
        ...marks.map(({ type }) => type),
      ]),
      [["one", "damaged", "damaged"], ["two", "verified", "verified"]],
    );
    const show = await succeeds(at, ["show", backup!.id]);
    assert.match(show.stdout, /^marks +one: damaged [^;]+; two: verified [^;]+$/m);
    const to = ["restore", "shop", "--to", "sqlite:back.db", "--dry-run"];
    const plan = await succeeds(at, to);
    assert.match(plan.stdout + plan.stderr, /from +two:/);
    assert.doesNotMatch(plan.stdout + plan.stderr, /marked as damaged/);
    damage(dumpIn(at, "two"));
    await fails(at, ["verify", "--deep"], "verification/damaged", 7);
    assert.match((await succeeds(at, ["list"])).stdout, / damaged *\n/);
    const both = await succeeds(at, to.with(1, backup!.id));
    assert.match(both.stdout + both.stderr, /this backup is marked as damaged/);
  });

  test("restore takes an id or a time, not both", async () => {
    const at = await twoCopies("at-with-id");
    const [{ id } = { id: "" }] = await listed(at, "one");
    const args = ["restore", id, "--at", "2030-01-01T00:00:00Z", "--to", "sqlite:back.db", "--yes"];
    await fails(at, args, "usage/at-with-id", 2);
    await succeeds(at, args.with(1, "shop"));
  });

  test("copy heals the damaged one, byte for byte", async () => {
    const at = await twoCopies("heal");
    damage(dumpIn(at, "one"));
    await fails(at, ["verify", "--deep"], "verification/damaged", 7);
    const healed = await succeeds(at, ["copy", "--from", "two", "--to", "one"]);
    assert.match(healed.stdout, /healed/);
    assert.deepEqual(readFileSync(dumpIn(at, "one")), readFileSync(dumpIn(at, "two")));
    assert.deepEqual(marks(at, "one"), []);
    assert.match((await succeeds(at, ["copy", "--to", "one"])).stdout, /1 present/);
    await succeeds(at, ["verify", "--deep"]);
  });

  test("copy fills a place that no config knows, and what is there restores alone", async () => {
    const at = await twoCopies("usb");
    await succeeds(at, ["backup", "shop"]);
    const [newest, oldest] = await listed(at, "one");
    await succeeds(at, ["copy", oldest!.id, "--from", "./one", "--to", "./usb"]);
    assert.deepEqual((await listed(at, "usb")).map(({ id }) => id), [oldest!.id]);
    await succeeds(at, ["copy", "shop", "--to", "./usb"]);
    assert.deepEqual((await listed(at, "usb")).map(({ id }) => id), [newest!.id, oldest!.id]);
    assert.deepEqual(filesBelow(join(at.folder, "usb")), filesBelow(join(at.folder, "one")));
    await succeeds(at, ["restore", "--from", "./usb", "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
  });

  test("verify checks the destination that is there and tells of the one that is not", async () => {
    const at = await twoCopies("unreached");
    rmSync(join(at.folder, "two"), { recursive: true });
    const result = await fails(at, ["verify", "--deep"], "storage/not-found", 6);
    assert.match(result.stdout, /good .* at one/);
    assert.match(result.stderr, /Nothing at "two" was checked/);
    await succeeds(at, ["restore", "shop", "--to", "sqlite:back.db", "--yes"]);
  });

  test("hold marks every copy, and tells of one that cannot be reached", async () => {
    const at = await twoCopies("hold-all");
    const [backup] = await listed(at, "one");
    await succeeds(at, ["hold", backup!.id]);
    assert.deepEqual([marks(at, "one"), marks(at, "two")], [["hold"], ["hold"]]);
    rmSync(join(at.folder, "two"), { recursive: true });
    await fails(at, ["release", backup!.id], "storage/not-found", 6);
    assert.deepEqual(marks(at, "one"), []);
  });

  test("copy says what it lacks", async () => {
    const at = await twoCopies("copy-usage");
    await fails(at, ["copy", "--from", "one"], "usage/missing-destination", 2);
    const wrong = await fails(
      at,
      ["copy", "--from", "oen", "--to", "two"],
      "usage/unknown-destination",
      2,
    );
    assert.match(wrong.stderr, /Did you mean "one"\?/);
  });
});
