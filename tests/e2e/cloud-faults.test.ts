import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CloudPlace, clouds } from "../support/clouds.ts";
import { needs } from "../support/needs.ts";
import { on, refusing, withPlace } from "../storage/faults.ts";
import { fails, listed, type Place, place, starts, succeeds, until } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const megabytes = 20;
const forever = Infinity;

/** A folder with a database of three parts and more, and the variables of a cloud. */
function shop(name: string, cloud: CloudPlace): Place {
  const at = place(name, { ...cloud.env });
  makeSqlite(join(at.folder, "shop.db"), megabytes);
  return at;
}

function backup(cloud: CloudPlace): string[] {
  return [
    ...["backup", "--from", "sqlite:shop.db", "--to", cloud.url],
    ...["--job", "shop", "--compression", "none"],
  ];
}

/** A config with a good folder beside the cloud. */
function configure(at: Place, cloud: CloudPlace): void {
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: sqlite, path: shop.db } }
destinations:
  cloud: ${cloud.yaml}
  disk: { type: local, path: ./disk }
jobs:
  shop:
    database: shop
    destinations: [cloud, disk]
    compression: none
    destinationStallTimeout: 2s
`,
    { mode: 0o600 },
  );
}

/** How many backups' folders there are. */
async function folders(cloud: CloudPlace): Promise<number> {
  return new Set((await cloud.names()).map((name) => name.split("/").slice(0, 3).join("/"))).size;
}

for (const cloud of clouds) {
  const test = (title: string, use: (place: CloudPlace) => Promise<void>) =>
    needs(...cloud.needs)(`${cloud.name}: ${title}`, () => withPlace(cloud, use));

  const troubles = [
    ["stops taking bytes", on("part", { kind: "stall-request", afterBytes: 1_000 }, 2, forever)],
    ["goes away for good", on("part", { kind: "refuse" }, 2, forever)],
    ["withdraws the right to write", refusing("part", "denied", 2, forever)],
  ] as const;
  for (const [what, rules] of troubles) {
    test(`a destination that ${what} is dropped, and the other one is whole`, async (place) => {
      const at = shop("cloud-partial", place);
      configure(at, place);
      place.proxy.fail(...rules(cloud));
      const { stderr } = await fails(at, ["backup", "shop"], "partial/destinations", 9);
      assert.match(stderr, /"cloud"/);
      assert.ok(place.proxy.struck > 0);
      assert.deepEqual(await place.names(), []);
      assert.equal((await listed(at, "./disk")).length, 1);
      await succeeds(at, ["verify", "--deep", "--from", "./disk"]);

      place.proxy.heal();
      await succeeds(at, ["backup", "shop"]);
      assert.equal((await listed(at, place.url)).length, 1);
      assert.equal((await listed(at, "./disk")).length, 2);
    });
  }

  test("SIGINT in the middle of an upload calls it off", async (place) => {
    const at = shop("cloud-interrupt", place);
    place.proxy.fail(
      ...on("part", { kind: "stall-request", afterBytes: 1_000 }, 2, forever)(cloud),
    );
    const { child, ended } = starts(at, backup(place));
    await until("the second part is on its way", () => place.proxy.struck > 0);
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    assert.equal(code, 130, stderr);
    assert.deepEqual(await place.names(), []);
    assert.equal(await place.unfinished(), 0);
  });

  const moments = [
    ["an upload", on("part", { kind: "stall-request", afterBytes: 1_000 }, 2, forever)],
    ["the put of the manifest", () => [
      {
        method: /PUT|POST/,
        path: /manifest\.json/,
        fault: { kind: "stall-request", afterBytes: 0 },
      } as const,
    ]],
  ] as const;
  for (const [what, rules] of moments) {
    test(`kill -9 during ${what} leaves no backup, and the next run cleans up`, async (place) => {
      const at = shop("cloud-kill", place);
      place.proxy.fail(...rules(cloud));
      const { child, ended } = starts(at, backup(place));
      await until("it is there", () => place.proxy.struck > 0);
      child.kill("SIGKILL");
      await ended;
      place.proxy.heal();
      assert.deepEqual(await listed(at, place.url), []);
      await succeeds(at, backup(place));
      assert.equal((await listed(at, place.url)).length, 1);
      assert.equal(await folders(place), 1, "what the killed run left is gone");
      // The other two forget unfinished uploads by themselves, and tell of none.
      if (cloud.name === "s3") assert.equal(await place.unfinished(), 0);
    });
  }

  test("a backup and a restore get through a bad network", async (place) => {
    const at = shop("cloud-bad-network", place);
    place.proxy.fail(
      ...refusing("part", "slow-down", 1)(cloud),
      ...on("part", { kind: "cut-request", afterBytes: 2_000_000 }, 2)(cloud),
      { path: /manifest\.json/, method: /PUT|POST/, fault: { kind: "lose-answer" } },
    );
    await succeeds(at, backup(place));
    assert.equal(place.proxy.struck, 3);
    place.proxy.heal();
    place.proxy.fail(
      ...on("get", { kind: "cut-answer", afterBytes: 3_000_000 }, 1, 3)(cloud),
      ...refusing("get", "500", 1, 1)(cloud),
    );
    await succeeds(at, ["restore", "--from", place.url, "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
  });

  test("a download that is damaged on its way is refused", async (place) => {
    const at = shop("cloud-damaged", place);
    await succeeds(at, backup(place));
    place.proxy.fail({
      ...cloud.requests.get,
      path: /dump-001/,
      times: forever,
      fault: { kind: "flip-answer", offset: 5_000_000 },
    });
    await fails(
      at,
      ["restore", "--from", place.url, "--to", "sqlite:back.db", "--yes"],
      "verification/",
      7,
    );
  });
}
