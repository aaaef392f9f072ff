import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { findConfig } from "../../src/config/find.ts";
import { folderWith, surroundings } from "./loading.ts";

const isRoot = process.getuid?.() === 0;

/** A folder nobody else can write, with a config of mode 0644. */
function safeFolder(): string {
  const folder = folderWith({ "backup.config.ts": "export default {};\n" });
  chmodSync(folder, 0o755);
  chmodSync(join(folder, "backup.config.ts"), 0o644);
  return folder;
}

describe("the search for a config", () => {
  test("takes the working directory, then the user's, then the system's", async () => {
    const folder = folderWith({});
    const user = join(folder, "home", ".config", "dbbackup");
    const system = join(folder, "etc");
    for (const place of [user, system]) mkdirSync(place, { recursive: true });
    const put = (place: string) => writeFileSync(join(place, "backup.config.yaml"), "");
    const find = () => findConfig(undefined, surroundings(folder));
    put(system);
    assert.equal(await find(), join(system, "backup.config.yaml"));
    put(user);
    assert.equal(await find(), join(user, "backup.config.yaml"));
    put(folder);
    assert.equal(await find(), join(folder, "backup.config.yaml"));
  });

  test("takes $XDG_CONFIG_HOME for the user's", async () => {
    const folder = folderWith({});
    mkdirSync(join(folder, "xdg", "dbbackup"), { recursive: true });
    writeFileSync(join(folder, "xdg", "dbbackup", "backup.config.mjs"), "");
    const o = surroundings(folder, { env: { XDG_CONFIG_HOME: join(folder, "xdg") } });
    assert.equal(await findConfig(undefined, o), join(folder, "xdg/dbbackup/backup.config.mjs"));
  });

  test("says where it looked when there is none", async () => {
    const folder = folderWith({});
    await assert.rejects(findConfig(undefined, surroundings(folder)), {
      code: "config/not-found",
      message: `No config was found in ${folder}, ${folder}/home/.config/dbbackup, ${folder}/etc`,
    });
  });

  test("says when the named one is not there", async () => {
    const folder = folderWith({});
    await assert.rejects(findConfig("x.ts", surroundings(folder)), {
      code: "config/not-found",
      message: `There is no config at "${folder}/x.ts"`,
    });
  });

  test("refuses to choose between two in one folder", async () => {
    const folder = folderWith({ "backup.config.ts": "", "backup.config.yaml": "" });
    await assert.rejects(findConfig(undefined, surroundings(folder)), {
      code: "config/ambiguous",
      message: `There are 2 configs: ${folder}/backup.config.ts, ${folder}/backup.config.yaml`,
    });
  });
});

describe("a config that was found", () => {
  const refusals: { name: string; spoil(folder: string): void; message: RegExp }[] = [
    {
      name: "is refused when others can write it",
      spoil: (folder) => chmodSync(join(folder, "backup.config.ts"), 0o646),
      message: /^The config, ".*backup\.config\.ts", can be written by others \(mode 0646\)/,
    },
    {
      name: "is refused when its group can write it",
      spoil: (folder) => chmodSync(join(folder, "backup.config.ts"), 0o664),
      message: /^The config, ".*", can be written by others \(mode 0664\)/,
    },
    {
      name: "is refused when others can write its folder",
      spoil: (folder) => chmodSync(folder, 0o777),
      message: /^The config's folder, ".*", can be written by others \(mode 0777\)/,
    },
    {
      name: "is refused in a sticky folder, where others can put files that it would import",
      spoil: (folder) => chmodSync(folder, 0o1777),
      message: /^The config's folder, ".*", can be written by others \(mode 1777\)/,
    },
  ];
  for (const { name, spoil, message } of refusals) {
    test(name, async () => {
      const folder = safeFolder();
      spoil(folder);
      await assert.rejects(findConfig(undefined, surroundings(folder)), {
        code: "config/unsafe",
        message,
      });
      assert.equal(
        await findConfig("backup.config.ts", surroundings(folder)),
        join(folder, "backup.config.ts"),
        "a named one is loaded as it is",
      );
    });
  }

  test("is refused when others can write a folder above", async () => {
    const folder = safeFolder();
    mkdirSync(join(folder, "open", "inner"), { recursive: true });
    writeFileSync(join(folder, "open", "inner", "backup.config.ts"), "", { mode: 0o644 });
    const o = surroundings(join(folder, "open", "inner"));
    chmodSync(join(folder, "open"), 0o777);
    await assert.rejects(findConfig(undefined, o), {
      code: "config/unsafe",
      message: /^A folder above the config, ".*open", can be written by others/,
    });
    chmodSync(join(folder, "open"), 0o1777);
    await findConfig(undefined, o);
  });

  test("is refused when it belongs to another user", {
    skip: isRoot ? false : "needs root to give a file away",
  }, async () => {
    const folder = safeFolder();
    chownSync(join(folder, "backup.config.ts"), 4242, 4242);
    await assert.rejects(findConfig(undefined, surroundings(folder)), {
      code: "config/unsafe",
      message: /belongs to user 4242, who could run any code through it/,
    });
    chownSync(folder, 4242, 4242);
    await findConfig(undefined, surroundings(folder, { uid: 4242 }));
  });

  test("is judged by what a link leads to, and by the link's own folder", async () => {
    const [real, linked] = [safeFolder(), folderWith({})];
    symlinkSync(join(real, "backup.config.ts"), join(linked, "backup.config.ts"));
    chmodSync(linked, 0o755);
    await findConfig(undefined, surroundings(linked));
    chmodSync(linked, 0o777);
    await assert.rejects(findConfig(undefined, surroundings(linked)), { code: "config/unsafe" });
    chmodSync(linked, 0o755);
    chmodSync(join(real, "backup.config.ts"), 0o666);
    await assert.rejects(findConfig(undefined, surroundings(linked)), { code: "config/unsafe" });
  });
});
