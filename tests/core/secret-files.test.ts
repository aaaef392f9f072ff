import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, fstatSync, readdirSync, readFileSync, readSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSecretFiles } from "../../src/core/secret-files.ts";
import { sweepTempDirs } from "../../src/core/temp.ts";
import { testRuntime } from "../support/runtime.ts";
import { killAtEnd, tempDir } from "../support/workspace.ts";

const inTwoMinutes = () => new Date(Date.now() + 120_000);
const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const ours = (folder: string) =>
  readdirSync(folder).filter((name) => name.startsWith("dbbackup-fd-"));

describe("the files of a child's secrets", () => {
  test("are plain ones of mode 0600, without a name, and hold the whole text", () => {
    const folder = tempDir("secrets");
    const text = "pässword ".repeat(10_000);
    const [fd] = openSecretFiles([text], folder);
    const info = fstatSync(fd!);
    assert.deepEqual([info.isFile(), info.mode & 0o777, info.nlink], [true, 0o600, 0]);
    const bytes = new Uint8Array(info.size);
    for (let at = 0; at < bytes.length;) at += readSync(fd!, bytes, at, bytes.length - at, at);
    assert.equal(new TextDecoder().decode(bytes), text);
    closeSync(fd!);
    assert.deepEqual(readdirSync(folder), []);
  });

  test("have lost their names when the secret comes, so that kill -9 leaves none", async () => {
    const folder = tempDir("secrets");
    // Where there is no /dev/shm, they are in the temporary folder: that way is the one that is tried.
    const script = `
      const { closeSync } = await import("node:fs");
      const { openNamelessIn } = await import("${root}/src/core/secret-files.ts");
      process.stdout.write("go");
      for (;;) closeSync(openNamelessIn(${JSON.stringify(folder)}, "canary-".repeat(2000)));
    `;
    for (let round = 0; round < 15; round++) {
      const child = spawn(process.execPath, ["-e", script], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      const forget = killAtEnd(child.pid!);
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await sleep(round);
      const closed = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGKILL");
      await closed;
      forget();
    }
    for (const name of ours(folder)) {
      assert.equal(readFileSync(path.join(folder, name), "utf8"), "");
    }
    await sweepTempDirs(testRuntime({ tempDir: folder, now: inTwoMinutes }));
    assert.deepEqual(readdirSync(folder), []);
  });

  test("need no temporary folder where there is memory to hold them", () => {
    const [fd] = openSecretFiles(["x"], "/no/such/folder");
    closeSync(fd!);
  });
});
