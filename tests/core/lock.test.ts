import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { tryLock, tryShare } from "../../src/core/lock.ts";
import { needs } from "../support/needs.ts";
import { killAtEnd, tempDir, tmpfs } from "../support/workspace.ts";

/** Another process that holds a lock until it is killed. */
async function holder(file: string): Promise<ChildProcess> {
  const script = `
    const { tryLock } = await import(${
    JSON.stringify(import.meta.resolve("../../src/core/lock.ts"))
  });
    const lock = await tryLock(${JSON.stringify(file)});
    console.log(lock === undefined ? "taken" : "held");
    setInterval(() => lock, 1000);
  `;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  child.unref();
  const strike = killAtEnd(child.pid!);
  child.once("exit", strike);
  const [said] = await once(child.stdout!, "data");
  assert.equal(String(said).trim(), "held");
  return child;
}

test("a lock keeps everybody else out, in this process too, until it is released", async () => {
  const file = path.join(tempDir(), "lock");
  const lock = await tryLock(file);
  assert.ok(lock);
  assert.equal(await tryLock(file), undefined);
  lock.release();
  const next = await tryLock(file);
  assert.ok(next);
  lock.release(); // a second time does nothing, and does not free the next holder's
  assert.equal(await tryLock(file), undefined);
  next.release();
});

test("two locks do not know each other", async () => {
  const folder = tempDir();
  const locks = await Promise.all(["a", "b"].map((name) => tryLock(path.join(folder, name))));
  assert.ok(locks.every((lock) => lock !== undefined));
  locks.forEach((lock) => lock?.release());
});

test("a lock of another process is free as soon as that is killed, and no process id counts", async () => {
  const file = path.join(tempDir(), "lock");
  const child = await holder(file);
  assert.equal(await tryLock(file), undefined);
  child.kill("SIGKILL");
  await once(child, "exit");
  // Nothing is written into it, so there is no id that a new process could have by chance.
  assert.equal(statSync(file).size, 0);
  assert.deepEqual(readdirSync(path.dirname(file)), ["lock"]);
  const lock = await tryLock(file);
  assert.ok(lock);
  lock.release();
});

test("a lock can be shared by many, who keep the one out that wants it alone", async () => {
  const file = path.join(tempDir(), "lock");
  const shared = await Promise.all([tryShare(file), tryShare(file)]);
  assert.ok(shared.every((lock) => lock !== undefined));
  assert.equal(await tryLock(file), undefined);
  shared[0]?.release();
  assert.equal(await tryLock(file), undefined);
  shared[1]?.release();
  const alone = await tryLock(file);
  assert.ok(alone);
  assert.equal(await tryShare(file), undefined);
  alone.release();
});

test("a lock needs no space on the disk", async () => {
  const folder = tmpfs(64 * 1024);
  if (folder === undefined) return; // this user may not mount
  writeFileSync(path.join(folder, "lock"), "");
  try {
    writeFileSync(path.join(folder, "fill"), new Uint8Array(1 << 20));
  } catch {
    // full now
  }
  const lock = await tryLock(path.join(folder, "lock"));
  assert.ok(lock);
  assert.equal(await tryLock(path.join(folder, "lock")), undefined);
  lock.release();
});

test("a folder that is not there is an error, not a lock that somebody has", () =>
  assert.rejects(tryLock(path.join(tempDir(), "missing", "lock"))));

test("a file that is no lock is an error", async () => {
  const file = path.join(tempDir(), "lock");
  writeFileSync(file, "something else entirely, and long enough to have a header".repeat(20));
  await assert.rejects(tryLock(file));
});

needs("root")("root takes locks in folders that nobody may write", async () => {
  const folder = tempDir();
  chmodSync(folder, 0o500);
  const lock = await tryLock(path.join(folder, "lock"));
  assert.ok(lock);
  lock.release();
});
