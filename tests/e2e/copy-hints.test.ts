import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { run } from "../support/run.ts";
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
import { makeSqlite } from "./support/sqlite.ts";

function placeWithDatabase(name: string, megabytes = 1): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), megabytes);
  return at;
}

/** Types the commands that a hint shows between backquotes into a shell, as they stand. */
async function followHint(at: Place, stderr: string): Promise<string> {
  const hint = /hint: (.*)/.exec(stderr)?.[1] ?? "";
  const commands = [...hint.matchAll(/`(dbbackup copy [^`]+)`/g)].map(([, command]) => command);
  assert.ok(commands.length > 0, stderr);
  let printed = "";
  for (const command of commands) {
    const result = await run("sh", ["-c", command!], {
      cwd: at.folder,
      env: { ...at.env, PATH: `${dirname(binary)}:${at.env["PATH"]}` },
    });
    assert.equal(result.code, 0, `${command}\n${result.stderr}`);
    printed += result.stdout;
  }
  return printed;
}

describe("the command that a partial backup prints heals it, as it stands,", () => {
  // A folder whose parent is missing fails, until the parent is made.
  const ways = {
    "for plain words": ["good", "sub"],
    "for relative paths": ["./good", "./sub/bad"],
    "for names with spaces and quotes": ["it's good", "sub/a bad 'one'"],
    "for file URLs": ["file:good", "file:sub/bad"],
  } as const;
  for (const [title, [good, bad]] of Object.entries(ways)) {
    test(title, async () => {
      const at = placeWithDatabase("hint");
      const path = join(at.folder, bad.replace("file:", ""));
      // In the way is a file; or the folder above is missing.
      if (!bad.includes("/")) writeFileSync(path, "");
      const result = await fails(
        at,
        ["backup", "--from", "sqlite:shop.db", "--to", good, "--to", bad],
        "partial/destinations",
        9,
      );
      rmSync(path, { force: true });
      mkdirSync(dirname(path), { recursive: true });
      assert.match(await followHint(at, result.stderr), /1 copied/);
      assert.equal((await listed(at, bad)).length, 1);
    });
  }

  test("for a config that --config names", async () => {
    const at = placeWithDatabase("hint-config");
    const config = join(at.folder, "my config.yaml");
    writeFileSync(
      config,
      "databases: { shop: { type: sqlite, path: shop.db } }\n" +
        "destinations: { disk: { type: local, path: disk }, usb: { type: local, path: sub/usb } }\n" +
        "jobs: { shop: { database: shop, destinations: [disk, usb] } }\n",
    );
    const args = ["backup", "shop", "--config", "my config.yaml"];
    const { stderr } = await fails(at, args, "partial/destinations", 9);
    mkdirSync(join(at.folder, "sub"));
    assert.match(await followHint(at, stderr), /usb: 1 copied/);
  });
});

describe("copy takes a plain word", () => {
  test("as a folder where there is no config, and where it has no such destination", async () => {
    const at = placeWithDatabase("words");
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "one"]);
    await succeeds(at, ["copy", "--from", "one", "--to", "two"]);
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      "databases: { shop: { type: sqlite, path: shop.db } }\n" +
        "destinations: { disk: { type: local, path: disk } }\n" +
        "jobs: { shop: { database: shop, destinations: [disk] } }\n",
      { mode: 0o600 },
    );
    await succeeds(at, ["copy", "--from", "two", "--to", "disk"]);
    assert.equal((await listed(at, "./disk")).length, 1);
  });

  test("as a typing error where the config has another and there is no such folder", async () => {
    const at = placeWithDatabase("words-wrong");
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      "databases: { shop: { type: sqlite, path: shop.db } }\n" +
        "destinations: { disk: { type: local, path: disk } }\n" +
        "jobs: { shop: { database: shop, destinations: [disk] } }\n",
      { mode: 0o600 },
    );
    const args = ["copy", "--from", "./a", "--to", "dsik"];
    const { stderr } = await fails(at, args, "usage/unknown-destination", 2);
    assert.match(stderr, /Did you mean "disk"\?/);
    assert.ok(!existsSync(join(at.folder, "dsik")));
  });
});

describe("a copy that is killed", () => {
  const temporary = (folder: string) => filesBelow(folder).filter((name) => /\.tmp-/.test(name));

  /** Kills a copy to `./to` while it writes. */
  async function killed(name: string): Promise<Place> {
    const at = placeWithDatabase(name, 100);
    await succeeds(at, [
      ...["backup", "--from", "sqlite:shop.db", "--to", "./from", "--job", "shop"],
      ...["--compression", "none"],
    ]);
    const { child, ended } = starts(at, ["copy", "--from", "./from", "--to", "./to"]);
    await until("the copy writes", () => temporary(join(at.folder, "to")).length > 0);
    child.kill("SIGKILL");
    await ended;
    assert.ok(temporary(join(at.folder, "to")).length > 0);
    return at;
  }

  test("is gone on with by the next copy, which leaves no temporary file", async () => {
    const at = await killed("kill-copy");
    await succeeds(at, ["copy", "--from", "./from", "--to", "./to"]);
    assert.deepEqual(filesBelow(join(at.folder, "to")), filesBelow(join(at.folder, "from")));
  });

  test("leaves nothing after the next run to that place, and after the next prune", async () => {
    const at = await killed("kill-copy-run");
    const backup = ["backup", "--from", "sqlite:shop.db", "--to", "./to", "--job", "shop"];
    await succeeds(at, backup);
    const { length } = await listed(at, "./to");
    assert.deepEqual([length, temporary(join(at.folder, "to"))], [1, []]);
    assert.equal(readdirSync(join(at.folder, "to", "shop")).length, 1);
  });

  test("is cleaned up by a copy of other backups, too", async () => {
    const at = await killed("kill-copy-other");
    rmSync(join(at.folder, "from"), { recursive: true });
    makeSqlite(join(at.folder, "new.db"));
    await succeeds(at, ["backup", "--from", "sqlite:new.db", "--to", "./from", "--job", "shop"]);
    await succeeds(at, ["copy", "--from", "./from", "--to", "./to"]);
    assert.deepEqual(filesBelow(join(at.folder, "to")), filesBelow(join(at.folder, "from")));
  });
});

test("copy says of a place that may not be written what to do, and goes on once it may", async () => {
  const at = placeWithDatabase("denied");
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./from"]);
  writeFileSync(join(at.folder, "to"), "");
  const { code, stderr } = await dbbackup(at, ["copy", "--from", "./from", "--to", "./to"]);
  assert.equal(code, 6);
  assert.match(stderr, /hint: /);
  rmSync(join(at.folder, "to"));
  await succeeds(at, ["copy", "--from", "./from", "--to", "./to"]);
});
