import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, describe, test } from "node:test";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "./memoryBackup.ts";
import { connectorOf, makeSample } from "./sample.ts";

/** A mount whose server never answers; undefined where this user may not make one. */
function hungFolder(): { folder: string; end: () => void } | undefined {
  const folder = tempDir("hung");
  try {
    const server = openSync("/dev/fuse", "r+");
    const options = `fd=3,rootmode=40000,user_id=${process.getuid!()},group_id=0`;
    const mounted = spawnSync("mount", ["-i", "-t", "fuse", "-o", options, "none", folder], {
      stdio: ["ignore", "ignore", "ignore", server],
    });
    const end = () => {
      spawnSync("umount", ["-l", folder]);
      closeSync(server);
    };
    if (mounted.status === 0) return { folder, end };
    closeSync(server);
  } catch {
    // Neither Linux nor root.
  }
  return undefined;
}

const hung = process.getuid?.() === 0 ? hungFolder() : undefined;
const skip = hung === undefined ? "needs root and /dev/fuse" : false;
after(() => hung?.end());

const isSilent = (error: unknown) => {
  assert.ok(error instanceof BackupError);
  assert.equal(error.code, "connection/silent");
  assert.match(`${error.message} ${error.hint}`, /has not answered for 0\.3 s.*answerTimeoutMs/);
  return true;
};

describe("a SQLite file on a disk that hangs", () => {
  const open = () =>
    sqlite.open({ path: join(hung!.folder, "app.db"), answerTimeoutMs: 300 }, {
      signal: never,
      runtime: testRuntime(),
    });

  test("is given up by every call, within its limit", { skip }, async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const backup = await backUp(sqlite, await connectorOf(source));
    const connector = await open();
    await assert.rejects(connector.inspect({ signal: never }), isSilent);
    await assert.rejects(connector.databases({ signal: never }), isSilent);
    await assert.rejects(backUp(sqlite, connector), isSilent);
    await assert.rejects(connector.inventory("app.db", { signal: never }), isSilent);
    await assert.rejects(restoreInto(connector, chainOf(sqlite, backup)), isSilent);
    await connector.close();
  });
});

describe("a path that is no SQLite file", () => {
  const fails = async (path: string, code: string, text: RegExp) => {
    const connector = await connectorOf(path);
    await assert.rejects(connector.inspect({ signal: never }), (error) => {
      assert.ok(error instanceof BackupError, String(error));
      assert.equal(error.code, code);
      assert.match(`${error.message} ${error.hint}`, text);
      return true;
    });
  };

  test("is told by what it is", async () => {
    const folder = tempDir();
    mkdirSync(join(folder, "dir"));
    writeFileSync(
      join(folder, "text"),
      "not a database, but long enough to have a header".repeat(9),
    );
    await fails(join(folder, "dir"), "connection/not-a-database", /is a folder/);
    await fails("/dev/null", "connection/not-a-database", /is no file, but a device/);
    await fails(join(folder, "text"), "connection/not-a-database", /encrypted/);
    await fails(join(folder, "none"), "connection/no-database", /no database file/);
    await fails(join(folder, "a".repeat(300)), "connection/unreachable", /Check the path/);
  });
});
