import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { hasCode } from "../../src/core/errors.ts";
import { tryLock } from "../../src/core/lock.ts";
import { sweepTempDirs, withTempDir } from "../../src/core/temp.ts";
import { needs } from "../support/needs.ts";
import { testRuntime } from "../support/runtime.ts";
import { giveTo, serverUser } from "../support/user.ts";
import { tempDir, tmpfs } from "../support/workspace.ts";

const inTwoMinutes = () => new Date(Date.now() + 120_000);

describe("a temporary folder", () => {
  test("is there for its user only, and gone afterwards", async () => {
    const parent = tempDir("parent");
    const result = await withTempDir(testRuntime({ tempDir: parent }), 0, (folder) => {
      assert.equal(path.dirname(folder), parent);
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      writeFileSync(path.join(folder, "file"), "x");
      return Promise.resolve("done");
    });
    assert.equal(result, "done");
    assert.deepEqual(readdirSync(parent), []);
  });

  test("is gone after a failure, too, which is passed on", async () => {
    const parent = tempDir("parent");
    const failure = new Error("x");
    await assert.rejects(
      withTempDir(testRuntime({ tempDir: parent }), 0, () => Promise.reject(failure)),
      failure,
    );
    assert.deepEqual(readdirSync(parent), []);
  });

  test("is another one each time", async () => {
    const runtime = testRuntime({ tempDir: tempDir("parent") });
    await withTempDir(
      runtime,
      0,
      (one) => withTempDir(runtime, 0, (other) => Promise.resolve(assert.notEqual(one, other))),
    );
  });

  test("is refused when the disk has less space than it will need", async () => {
    const parent = tmpfs(256 * 1024) ?? tempDir("parent");
    let isUsed = false;
    await assert.rejects(
      withTempDir(testRuntime({ tempDir: parent }), 1e18, () => Promise.resolve(isUsed = true)),
      (error) =>
        hasCode(error, "storage/no-temp-space") && error.message.includes(`"${parent}"`) &&
        /888\.2 PiB are needed/.test(error.message),
    );
    assert.equal(isUsed, false);
    assert.deepEqual(readdirSync(parent), []);
  });

  needs("root")("that fills up while it is used is told as full", async () => {
    const parent = tmpfs(256 * 1024)!;
    await assert.rejects(
      withTempDir(
        testRuntime({ tempDir: parent }),
        0,
        (folder) => writeFile(path.join(folder, "large"), new Uint8Array(1024 * 1024)),
      ),
      (error) =>
        hasCode(error, "storage/no-temp-space") && error.message.includes(`"${parent}" is full`),
    );
    assert.deepEqual(readdirSync(parent), []);
  });

  test("that cannot be made is told with its parent", async () => {
    const missing = path.join(tempDir(), "missing");
    await assert.rejects(
      withTempDir(testRuntime({ tempDir: missing }), 0, () => Promise.resolve()),
      (error) => hasCode(error, "storage/temp-dir") && error.message.includes(`"${missing}"`),
    );
    const file = path.join(tempDir(), "file");
    writeFileSync(file, "");
    await assert.rejects(
      withTempDir(testRuntime({ tempDir: file }), 0, () => Promise.resolve()),
      (error) => hasCode(error, "storage/temp-dir"),
    );
  });
});

describe("the sweep of temporary folders", () => {
  test("removes what killed processes left, however they are called", async () => {
    const parent = tempDir("parent");
    const left = path.join(parent, "dbbackup-tmp-0123456789abcdef");
    mkdirSync(path.join(left, "deep"), { recursive: true });
    writeFileSync(path.join(left, "lock"), "");
    const secrets = path.join(parent, "dbbackup-fd-0a1B2c");
    mkdirSync(secrets);
    writeFileSync(path.join(secrets, "0"), "password");
    await sweepTempDirs(testRuntime({ tempDir: parent, now: inTwoMinutes }));
    assert.deepEqual(readdirSync(parent), []);
  });

  test("leaves those of living processes, fresh ones and everything else", async () => {
    const parent = tempDir("parent");
    for (const name of ["dbbackup-tmp-living", "dbbackup-tmp-left", "other"]) {
      mkdirSync(path.join(parent, name));
    }
    const runtime = testRuntime({ tempDir: parent });
    await sweepTempDirs(runtime);
    assert.equal(readdirSync(parent).length, 3, "all are fresh");
    const lock = await tryLock(path.join(parent, "dbbackup-tmp-living", "lock"));
    await sweepTempDirs({ ...runtime, now: inTwoMinutes });
    assert.deepEqual(readdirSync(parent).sort(), ["dbbackup-tmp-living", "other"]);
    lock?.release();
    await sweepTempDirs({ ...runtime, now: inTwoMinutes });
    assert.deepEqual(readdirSync(parent), ["other"]);
  });

  test("keeps a folder that is in use, and comes before a new one is made", async () => {
    const parent = tempDir("parent");
    mkdirSync(path.join(parent, "dbbackup-tmp-left"));
    const runtime = testRuntime({ tempDir: parent, now: inTwoMinutes });
    await withTempDir(runtime, 0, async (folder) => {
      await sweepTempDirs(runtime);
      assert.ok(existsSync(folder));
      assert.deepEqual(readdirSync(parent), [path.basename(folder)]);
    });
  });

  test("removes the empty files of a child that was about to start", async () => {
    const parent = tempDir("parent");
    writeFileSync(path.join(parent, "dbbackup-fd-0a1b2c"), "");
    await sweepTempDirs(testRuntime({ tempDir: parent, now: inTwoMinutes }));
    assert.deepEqual(readdirSync(parent), []);
  });

  test("follows no link, and touches nothing that others can write", async () => {
    const parent = tempDir("parent");
    const elsewhere = tempDir("elsewhere");
    symlinkSync(elsewhere, path.join(parent, "dbbackup-tmp-link"));
    symlinkSync(path.join(elsewhere, "made"), path.join(parent, "dbbackup-fd-link"));
    const open = path.join(parent, "dbbackup-tmp-open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    symlinkSync(path.join(elsewhere, "made"), path.join(open, "lock"));
    await sweepTempDirs(testRuntime({ tempDir: parent, now: inTwoMinutes }));
    assert.deepEqual(readdirSync(elsewhere), []);
    assert.ok(existsSync(path.join(open)));
  });

  needs("root")("of root follows no link of another user's folder", async () => {
    const parent = tempDir("parent");
    const elsewhere = tempDir("elsewhere");
    const theirs = path.join(parent, "dbbackup-tmp-0123456789abcdef");
    mkdirSync(theirs, { mode: 0o700 });
    symlinkSync(path.join(elsewhere, "nologin"), path.join(theirs, "lock"));
    await giveTo(serverUser(), theirs, true);
    await sweepTempDirs(testRuntime({ tempDir: parent, now: inTwoMinutes }));
    assert.deepEqual(readdirSync(elsewhere), []);
    assert.ok(existsSync(theirs));
  });

  test("of a folder that is not there does nothing", () =>
    sweepTempDirs(testRuntime({ tempDir: path.join(tempDir(), "missing") })));
});
