import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tryLock, tryShare } from "../../src/core/lock.ts";
import { killAtEnd, tempDir } from "../support/workspace.ts";

const lockModule = fileURLToPath(import.meta.resolve("../../src/core/lock.ts"));

describe("a lock that is shared", () => {
  test("has any number of holders and keeps an exclusive one out until the last has gone", async () => {
    const path = join(tempDir("lock"), "x.lock");
    const [one, two] = [await tryShare(path), await tryShare(path)];
    assert.ok(one !== undefined && two !== undefined);
    assert.equal(await tryLock(path), undefined);
    one.release();
    assert.equal(await tryLock(path), undefined);
    two.release();
    const alone = await tryLock(path);
    assert.ok(alone !== undefined);
    assert.equal(await tryShare(path), undefined);
    alone.release();
    (await tryShare(path))!.release();
  });

  test("is freed when its process is killed", async () => {
    const path = join(tempDir("lock"), "x.lock");
    const script = `import { tryShare } from ${JSON.stringify(lockModule)};
      await tryShare(${JSON.stringify(path)}); console.log("held"); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const forget = killAtEnd(child.pid!);
    await once(child.stdout, "data");
    assert.equal(await tryLock(path), undefined);
    child.kill("SIGKILL");
    await once(child, "close");
    forget();
    (await tryLock(path))!.release();
  });
});

test("a lock is not taken through a link, and makes no file at its end", async () => {
  const folder = tempDir("lock");
  const elsewhere = join(tempDir("elsewhere"), "made");
  symlinkSync(elsewhere, join(folder, "x.lock"));
  await assert.rejects(tryLock(join(folder, "x.lock")), { code: "config/foreign-file" });
  assert.equal(existsSync(elsewhere), false);
});
