import assert from "node:assert/strict";
import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { makeOwnFolder } from "../../src/core/own-folder.ts";
import { needs } from "../support/needs.ts";
import { giveTo, serverUser } from "../support/user.ts";
import { tempDir } from "../support/workspace.ts";

const code = "config/foreign-folder";

describe("a folder of one's own under a name that others can guess", () => {
  test("is made of mode 0700, and taken again", async () => {
    const path = join(tempDir("parent"), "own");
    await makeOwnFolder(path);
    await makeOwnFolder(path);
    assert.equal(statSync(path).mode & 0o777, 0o700);
  });

  test("that was open to others is closed to them", async () => {
    const path = join(tempDir("parent"), "own");
    mkdirSync(path, { mode: 0o755 });
    await makeOwnFolder(path);
    assert.equal(statSync(path).mode & 0o777, 0o700);
  });

  test("is no link, dangling or not, and no file", async () => {
    const parent = tempDir("parent");
    const link = join(parent, "link");
    symlinkSync(tempDir("elsewhere"), link);
    await assert.rejects(makeOwnFolder(link), { code, message: /link": it is a symbolic link$/ });
    const dangling = join(parent, "dangling");
    symlinkSync(join(parent, "nowhere"), dangling);
    await assert.rejects(makeOwnFolder(dangling), { code });
    const file = join(parent, "file");
    writeFileSync(file, "");
    await assert.rejects(makeOwnFolder(file), { code, message: /it is no folder$/ });
  });

  needs("root")("that another user made is refused, also by root", async () => {
    const path = join(tempDir("parent"), "own");
    mkdirSync(path, { mode: 0o700 });
    const user = serverUser()!;
    await giveTo(user, path);
    await assert.rejects(makeOwnFolder(path), {
      code,
      message: `Cannot use the folder "${path}": it belongs to user ${user.uid}`,
    });
  });
});
