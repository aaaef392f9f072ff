import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { BackupError } from "../../src/core/errors.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { connectorKinds } from "../../src/registry.ts";
import { withFaults } from "../support/faultyStorage.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { contextOf, destinationOf, jobOf } from "./support.ts";

/** The endings of a backup, as the record has them. */
function recorded({ stateDir }: JobContext): unknown[] {
  const database = new DatabaseSync(join(stateDir, "state.db"));
  try {
    return database.prepare("SELECT status, code FROM runs").all().map((row) => ({ ...row }));
  } finally {
    database.close();
  }
}

async function verified(storage: Storage, o: JobContext): Promise<string[]> {
  const wanted = { backups: [], isDeep: true, kinds: connectorKinds };
  const destinations = [destinationOf("a", storage)];
  return (await verifyBackups({ ...wanted, destinations }, o)).map(({ status }) => status);
}

describe("a backup", () => {
  test("to one place under two names is whole there, and partial", async () => {
    const a = memoryStorage();
    const o = contextOf();
    const result = await runBackup(jobOf({ a, again: a }), o);
    assert.equal(result.status, "partial", result.error?.message);
    assert.deepEqual(result.destinations.map(({ status }) => status).sort(), [
      "committed",
      "failed",
    ]);
    assert.deepEqual(await verified(a, o), ["good"]);
  });

  test("is none where an object was acknowledged and is not there", async () => {
    const [a, b] = [memoryStorage({ location: "a" }), memoryStorage({ location: "b" })];
    const forgetful: Storage = {
      ...a,
      async put(key, body, o) {
        const info = await a.put(key, body, o);
        if (key.includes("/dump-001")) a.objects.delete(key);
        return info;
      },
    };
    const o = contextOf();
    const result = await runBackup(jobOf({ forgetful, b }), o);
    assert.equal(result.status, "partial");
    const [failed] = result.destinations;
    assert.ok(failed?.status === "failed");
    assert.equal(failed.error.code, "storage/failed");
    assert.match(failed.error.message, /dump-001\S* is missing, though it was just stored/);
    assert.deepEqual([...a.objects.keys()], []);
    assert.deepEqual(await verified(b, o), ["good"]);
  });

  test("that is stopped between two commits is partial, and whole where it is", async () => {
    const [a, b] = [memoryStorage({ location: "a" }), memoryStorage({ location: "b" })];
    const stop = new AbortController();
    const stopping: Storage = {
      ...a,
      async put(key, body, o) {
        const info = await a.put(key, body, o);
        const reason = new BackupError("interrupted/signal", "stopped by SIGTERM");
        if (key.endsWith("manifest.json")) stop.abort(reason);
        return info;
      },
    };
    const o = contextOf();
    const result = await runBackup(jobOf({ stopping, b }), { ...o, signal: stop.signal });
    assert.equal(result.status, "partial");
    assert.deepEqual(result.destinations.map(({ status }) => status), ["committed", "failed"]);
    assert.deepEqual([...b.objects.keys()], []);
    assert.deepEqual(await verified(a, o), ["good"]);
  });

  test("is on record however it ended", async () => {
    const a = memoryStorage();
    const error = new BackupError("storage/full", "no space");
    const full = withFaults(a, { failPut: { nth: 1, error } });
    const o = contextOf();
    assert.equal((await runBackup(jobOf({ full }), o)).status, "failure");
    assert.equal((await runBackup(jobOf({ a }), o)).status, "success");
    assert.deepEqual(recorded(o), [
      { status: "failure", code: "storage/full" },
      { status: "success", code: null },
    ]);
  });
});
