import assert from "node:assert/strict";
import {
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { dbbackup, fails, filesBelow, type Place, place, succeeds } from "./support/cli.ts";
import { editManifest } from "./support/manifest.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

/** A place with one good backup in ./backups, and the path of its dump. */
async function backedUp(name: string): Promise<{ at: Place; dump: string; folder: string }> {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 2);
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
  const backups = join(at.folder, "backups");
  const dump = filesBelow(backups).find((file) => file.includes("/dump-001"))!;
  return { at, dump: join(backups, dump), folder: join(backups, dump, "..") };
}

function flipBit(path: string, offset: number): void {
  const handle = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(handle, byte, 0, 1, offset);
  byte[0]! ^= 1;
  writeSync(handle, byte, 0, 1, offset);
  closeSync(handle);
}

function marksIn(folder: string): string[] {
  return filesBelow(folder).map((name) => name.replace(/-.*/, "")).filter((name) =>
    ["verified", "damaged", "hold"].includes(name)
  );
}

/** Each way to damage an artifact, what the plain verify says of it, and what the deep one says. */
const damages: readonly {
  name: string;
  damage: (dump: string) => void;
  quick: string | undefined;
  deep: string;
}[] = [
  {
    name: "flipped by one bit",
    damage: (dump) => flipBit(dump, Math.floor(statSync(dump).size / 2)),
    quick: undefined,
    deep: "verification/",
  },
  {
    name: "truncated by one byte",
    damage: (dump) => truncateSync(dump, statSync(dump).size - 1),
    quick: "verification/size",
    deep: "verification/size",
  },
  {
    name: "emptied",
    damage: (dump) => truncateSync(dump, 0),
    quick: "verification/size",
    deep: "verification/size",
  },
  {
    name: "missing",
    damage: (dump) => rmSync(dump),
    quick: "verification/missing-object",
    deep: "verification/missing-object",
  },
];

describe("a damaged backup", () => {
  for (const { name, damage, quick, deep } of damages) {
    test(`${name} is found by verify, marked, and not restored`, async () => {
      const { at, dump, folder } = await backedUp(`damage-${name}`);
      damage(dump);
      if (quick === undefined) await succeeds(at, ["verify", "--from", "./backups"]);
      else await fails(at, ["verify", "--from", "./backups"], quick, 7);
      await fails(at, ["verify", "--deep", "--from", "./backups"], deep, 7);
      assert.deepEqual(marksIn(folder), ["damaged"]);

      const id = /_full_([a-z0-9]+)_/.exec(folder)![1]!;
      writeFileSync(join(at.folder, "precious.db"), "");
      const restore = ["restore", id, "--from", "./backups", "--to", "sqlite:back.db", "--yes"];
      await fails(at, restore, "verification/", 7);
      assert.ok(!filesBelow(at.folder).some((file) => file.startsWith("back.db")));
    });
  }

  test("whose artifact was swapped with another backup's is found", async () => {
    const { at, dump } = await backedUp("damage-swapped");
    makeSqlite(join(at.folder, "other.db"), 2);
    await succeeds(at, ["backup", "--from", "sqlite:other.db", "--to", "./others"]);
    const other = filesBelow(join(at.folder, "others")).find((file) => file.includes("/dump-001"))!;
    cpSync(join(at.folder, "others", other), dump);
    await fails(at, ["verify", "--deep", "--from", "./backups"], "verification/", 7);
  });

  test("is not taken for the latest: restore takes the good one before it", async () => {
    const { at } = await backedUp("damage-latest");
    const before = ordersOf(join(at.folder, "shop.db"));
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
    const newest = filesBelow(join(at.folder, "backups"))
      .filter((file) => file.includes("/dump-001")).at(-1)!;
    truncateSync(join(at.folder, "backups", newest), 10);
    await fails(at, ["verify", "--from", "./backups"], "verification/size", 7);
    await succeeds(at, ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), before);
  });

  test("that reads well again loses its damaged mark in a deep verify", async () => {
    const { at, dump, folder } = await backedUp("damage-lifted");
    renameSync(dump, `${dump}.away`);
    await fails(at, ["verify", "--from", "./backups"], "verification/missing-object", 7);
    renameSync(`${dump}.away`, dump);
    await succeeds(at, ["verify", "--deep", "--from", "./backups"]);
    assert.deepEqual(marksIn(folder), ["verified"]);
  });

  test("fails under --overwrite with the old database still there", async () => {
    const { at, dump } = await backedUp("damage-overwrite");
    const before = ordersOf(join(at.folder, "shop.db"));
    flipBit(dump, Math.floor(statSync(dump).size / 2));
    const restore = ["restore", "--from", "./backups", "--to", "sqlite:shop.db"];
    await fails(at, [...restore, "--overwrite", "--yes"], "verification/", 7);
    assert.equal(ordersOf(join(at.folder, "shop.db")), before);
    const left = filesBelow(at.folder).filter((file) => /_(restore|before)_/.test(file));
    assert.deepEqual(left, []);
  });
});

describe("a manifest", () => {
  test("that was edited is told, not restored unless it is accepted, and healed", async () => {
    const { at, folder } = await backedUp("manifest-edited");
    const path = join(folder, "manifest.json");
    const id = /_full_([a-z0-9]+)_/.exec(folder)![1]!;
    await succeeds(at, ["copy", "--from", "./backups", "--to", "./copies"]);
    writeFileSync(
      path,
      readFileSync(path, "utf8").replace('"warnings": []', '"warnings": ["hello"]'),
    );
    const told = await fails(
      at,
      ["verify", "--from", "./backups"],
      "verification/manifest-digest",
      7,
    );
    assert.match(told.stdout, /is not what was stored: its sha256 differs from that of its seal/);
    const restore = ["restore", id, "--from", "./backups", "--to", "sqlite:back.db", "--yes"];
    const refused = await fails(at, restore, "verification/manifest-digest", 7);
    assert.ok(refused.stderr.includes(`\`restore ${id} --accept-differences\` takes it as it is`));
    const either = [...restore.slice(0, 2), "--from", "./backups", "--from", "./copies"];
    await succeeds(at, [...either, "--to", "sqlite:either.db", "--yes"]);
    await succeeds(at, [...restore, "--accept-differences"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
    const healed = await succeeds(at, ["copy", "--from", "./copies", "--to", "./backups"]);
    assert.match(healed.stdout, /healed/);
    await succeeds(at, ["verify", "--deep", "--from", "./backups"]);
  });

  test("whose RESTORE.txt was edited is flawed, restored all the same, and healed", async () => {
    const { at, folder } = await backedUp("text-edited");
    await succeeds(at, ["copy", "--from", "./backups", "--to", "./copies"]);
    const path = join(folder, "RESTORE.txt");
    writeFileSync(path, readFileSync(path, "utf8").replace("# 1.", "# 9."));
    await succeeds(at, ["verify", "--from", "./backups"]);
    const told = await fails(
      at,
      ["verify", "--deep", "--from", "./backups"],
      "verification/restore-text",
      7,
    );
    assert.match(told.stdout, /^FLAWED/);
    await succeeds(at, ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"]);
    await succeeds(at, ["copy", "--from", "./copies", "--to", "./backups"]);
    assert.ok(readFileSync(path, "utf8").includes("# 1."));
    await succeeds(at, ["verify", "--deep", "--from", "./backups"]);
  });

  test("of a newer format version is refused with the version that is needed", async () => {
    const { at, folder } = await backedUp("manifest-newer");
    editManifest(folder, (manifest) => manifest["formatVersion"] = 2);
    const restore = ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"];
    await fails(at, restore, "verification/newer-format", 7);
    const list = await dbbackup(at, ["list", "--from", "./backups"]);
    assert.equal(list.code, 0, "what cannot be read is still listed");
    assert.match(list.stdout, /newer|version/i);
  });

  test("with unknown fields is read all the same", async () => {
    const { at, folder } = await backedUp("manifest-unknown");
    editManifest(folder, (manifest) => manifest["fromTheFuture"] = { a: 1 });
    await succeeds(at, ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"]);
  });

  test("that is cut off makes its backup unreadable, and others stay usable", async () => {
    const { at, folder } = await backedUp("manifest-cut");
    truncateSync(join(folder, "manifest.json"), 100);
    await fails(at, ["verify", "--from", "./backups"], "verification/manifest", 7);
  });

  test("that is missing makes its folder no backup: it is not listed or restored", async () => {
    const { at, folder } = await backedUp("manifest-missing");
    rmSync(join(folder, "manifest.json"));
    const list = await succeeds(at, ["list", "--from", "./backups", "--json"]);
    assert.deepEqual(list.json(), []);
    const restore = ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"];
    await fails(at, restore, "storage/no-backup", 6);
  });
});

describe("an older backup", () => {
  async function two(name: string) {
    const { at, folder } = await backedUp(name);
    // Names of folders tell only the second, and what cannot be read tells no more.
    await pause(1_100);
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
    const folders = readdirSync(join(folder, "..")).map((one) => join(folder, "..", one));
    const newer = folders.find((one) => one !== folder && !one.endsWith(basename(folder)))!;
    return {
      at,
      newer,
      id: basename(newer).split("_")[2]!,
      older: basename(folder).split("_")[2]!,
    };
  }
  const restore = ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--dry-run"];
  const at2100 = ["--at", "2100-01-01T00:00:00Z"];

  test("is taken where the newer one's manifest cannot be read, with a warning", async () => {
    const { at, newer, id, older } = await two("unreadable-newer");
    truncateSync(join(newer, "manifest.json"), 100);
    const { stdout, stderr } = await succeeds(at, [...restore, ...at2100]);
    assert.match(stdout, new RegExp(`Restore backup ${older} of`));
    assert.match(stderr, new RegExp(`Backup ${id} is passed over for an older one: .*manifest`));
  });

  test("fails where none can be read", async () => {
    const { at, newer } = await two("unreadable-all");
    for (const one of readdirSync(join(newer, ".."))) {
      truncateSync(join(newer, "..", one, "manifest.json"), 100);
    }
    await fails(at, [...restore, ...at2100], "verification/", 7);
  });

  test("is taken where the newer one is marked as damaged, and the plan says so", async () => {
    const { at, newer, id, older } = await two("damaged-newer");
    rmSync(join(newer, readdirSync(newer).find((name) => name.startsWith("dump-"))!));
    const verified = await fails(at, ["verify", "--from", "./backups"], "verification/damaged", 7);
    assert.match(verified.stderr, /1 of 2 copies is damaged: /);
    for (const when of [[], at2100]) {
      const { stdout, stderr } = await succeeds(at, [...restore, ...when]);
      assert.match(stdout, new RegExp(`Restore backup ${older} of`));
      assert.match(
        stderr,
        new RegExp(`An older backup is taken, because newer ones are damaged or incomplete: ${id}`),
      );
    }
    const named = await succeeds(at, ["restore", older, ...restore.slice(1)]);
    assert.doesNotMatch(named.stderr, /older backup/, "it was asked for by its id");
  });
});

describe("a backup of a kind that only a newer dbbackup knows", () => {
  test("is not restored, and the error says what can", async () => {
    const { at, folder } = await backedUp("newer-kind");
    const renamed = folder.replace("_full_", "_tail_");
    renameSync(folder, renamed);
    editManifest(renamed, (manifest) => Object.assign(manifest, { kind: "tail" }));
    const id = basename(renamed).split("_")[2]!;
    const args = ["restore", id, "--from", "./backups", "--to", "sqlite:back.db", "--yes"];
    const { stderr } = await fails(at, args, "restore/unknown-kind", 8);
    assert.match(stderr, /is of kind "tail", which this dbbackup does not know/);
    assert.match(stderr, /hint: It was made by dbbackup .*: use that or a newer one/);
  });
});
