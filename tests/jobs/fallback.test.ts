import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { databaseFromUrl } from "../../src/config/adhoc.ts";
import type { DestinationDefinition } from "../../src/config/model.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import { BackupError } from "../../src/core/errors.ts";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import { surveyHistory } from "../../src/jobs/backup/survey-history.ts";
import { listBackups } from "../../src/jobs/list/list.ts";
import { withPruneLock } from "../../src/jobs/shared/lock.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { connectorKinds } from "../../src/registry.ts";
import { withFaults } from "../support/faultyStorage.ts";
import { idOf, markAt, refOf } from "../catalog/refs.ts";
import { makeSqlite, ordersOf } from "../e2e/support/sqlite.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { tempDir } from "../support/workspace.ts";
import {
  backUp,
  contextOf,
  destinationOf,
  flipBit,
  jobOf,
  marksIn,
  restoreRequest,
  store,
  unreachable,
  writeManifest,
} from "./support.ts";

const storageAt = (location: string) => memoryStorage({ location });
const gone = unreachable("gone", new BackupError("storage/unavailable", "nobody there"));

/** A backup at two destinations, its folder there, the dump's first key, and the original. */
async function twice() {
  const [a, b] = [storageAt("a"), storageAt("b")];
  const o = contextOf();
  const job = jobOf({ a, b });
  const prefix = await backUp(job, o);
  const dump = [...a.objects.keys()].find((key) => key.includes("/dump-001"))!;
  const { path } = job.database.options as { path: string };
  return { a, b, o, prefix, dump, original: path };
}

function request(
  destinations: readonly DestinationDefinition[],
  path: string,
  over: Partial<RestoreRequest> = {},
): RestoreRequest {
  return restoreRequest(destinations, databaseFromUrl(`sqlite:${path}`, connectorKinds), over);
}

async function restore(wanted: RestoreRequest, o: JobContext) {
  const prepared = await prepareRestore(wanted, o);
  try {
    return { from: prepared.from, result: await prepared.run() };
  } finally {
    await prepared.close();
  }
}

function named(storages: Readonly<Record<string, Storage>>): DestinationDefinition[] {
  return Object.entries(storages).map(([name, one]) => destinationOf(name, one));
}

describe("restore", () => {
  test("takes the first destination that has the backup", async () => {
    const { a, b, o, original } = await twice();
    const path = join(tempDir("target"), "back.db");
    const { from, result } = await restore(request(named({ a, b }), path), o);
    assert.equal(from, "a");
    assert.deepEqual(result.warnings, []);
    assert.equal(ordersOf(path), ordersOf(original));
  });

  test("takes the next when one cannot be opened, and one cannot be listed", async () => {
    const { a, b, o, original } = await twice();
    const mute = withFaults(a, { failList: { error: new BackupError("storage/denied", "no") } });
    const path = join(tempDir("target"), "back.db");
    const wanted = request([gone, ...named({ mute, b })], path);
    assert.equal((await restore(wanted, o)).from, "b");
    assert.equal(ordersOf(path), ordersOf(original));
  });

  test("takes the next when an object is missing, and marks the damaged copy", async () => {
    const { a, b, o, dump, prefix } = await twice();
    a.objects.delete(dump);
    const path = join(tempDir("target"), "back.db");
    assert.equal((await restore(request(named({ a, b }), path), o)).from, "b");
    assert.deepEqual(marksIn(a, prefix), ["damaged"]);
    assert.deepEqual(marksIn(b, prefix), []);
  });

  test("begins again from the next when damage shows while it restores", async () => {
    const { a, b, o, dump, prefix, original } = await twice();
    flipBit(a, dump);
    const path = join(tempDir("target"), "back.db");
    const { from, result } = await restore(request(named({ a, b }), path), o);
    assert.equal(from, "a");
    assert.deepEqual(readdirSync(dirname(path)), ["back.db"], "nothing is left of the first try");
    assert.match(result.warnings[0]!, /The copy of \w+ at "a" cannot be used/);
    assert.equal(ordersOf(path), ordersOf(original));
    assert.deepEqual(marksIn(a, prefix), ["damaged"]);
    // The next one does not even try the damaged copy.
    const again = join(tempDir("target"), "back.db");
    assert.equal((await restore(request(named({ a, b }), again), o)).from, "b");
  });

  test("begins again when a download is cut, and marks nothing for it", async () => {
    const { a, b, o, prefix, original } = await twice();
    const error = new BackupError("storage/unavailable", "gone");
    const cut = withFaults(a, { cutGet: { nth: 4, afterBytes: 1000, error } });
    const path = join(tempDir("target"), "back.db");
    const { result } = await restore(request(named({ cut, b }), path), o);
    assert.equal(result.warnings.length, 1);
    assert.equal(ordersOf(path), ordersOf(original));
    assert.deepEqual(marksIn(a, prefix), []);
  });

  test("takes what differed as it was left, whatever became of the copy that it was read from", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const o = contextOf();
    const job = jobOf({ a, b });
    const { kind, options } = job.database;
    // Its inventory says that there is a table more than the database has.
    const lying: typeof kind = {
      ...kind,
      async open(given, oo) {
        const inner = await kind.open(given, oo);
        return {
          ...inner,
          async dump(...dumping) {
            const result = await inner.dump(...dumping);
            const databases = result.inventory.databases.map(({ database, objects }) => ({
              database,
              objects: [...objects, { type: "table", name: "lost" } as const],
            }));
            return { ...result, inventory: { databases } };
          },
        };
      },
    };
    const prefix = await backUp({ ...job, database: { ...job.database, kind: lying } }, o);
    const path = join(tempDir("target"), "back.db");
    await assert.rejects(restore(request(named({ a, b }), path), o), {
      code: "restore/incomplete",
      message: /"lost" is missing/,
    });
    for (const key of a.objects.keys()) {
      if (key.startsWith(prefix) && /\/(dump|inventory)/.test(key)) flipBit(a, key, 5);
    }
    for (const key of b.objects.keys()) if (key.includes("/dump-")) flipBit(b, key);
    const accepted = request(named({ a, b }), path, { isDifferenceAccepted: true });
    const prepared = await prepareRestore(accepted, o);
    assert.equal(prepared.from, "b");
    assert.match(prepared.plan.steps[0]!.adopts!, /back\.db_restore_/);
    const { differences } = await prepared.run();
    await prepared.close();
    assert.deepEqual(differences.map(({ name, isFailure }) => ({ name, isFailure })), [
      { name: "lost", isFailure: true },
    ]);
    assert.equal(ordersOf(path), ordersOf((options as { path: string }).path));
  });

  test("under overwrite, replaces the old only with what proved whole", async () => {
    const { a, b, o, dump, original } = await twice();
    flipBit(a, dump);
    const path = join(tempDir("target"), "old.db");
    makeSqlite(path, 1);
    await restore(request(named({ a, b }), path, { isOverwrite: true }), o);
    assert.equal(ordersOf(path), ordersOf(original));
  });

  test("fails when every copy is damaged, with the old still there and all marked", async () => {
    const { a, b, o, dump, prefix } = await twice();
    flipBit(a, dump);
    flipBit(b, dump);
    const path = join(tempDir("target"), "old.db");
    makeSqlite(path, 1);
    const before = ordersOf(path);
    await assert.rejects(
      restore(request(named({ a, b }), path, { isOverwrite: true }), o),
      (error) => error instanceof BackupError && error.code.startsWith("verification/"),
    );
    assert.equal(ordersOf(path), before);
    assert.deepEqual([marksIn(a, prefix), marksIn(b, prefix)], [["damaged"], ["damaged"]]);
    const fresh = join(tempDir("target"), "new.db");
    await assert.rejects(restore(request(named({ a, b }), fresh), o), {
      code: "storage/no-backup",
    });
    assert.ok(!existsSync(fresh));
  });

  test("a target's own failure is not taken for the copy's", async () => {
    const { a, b, o, prefix } = await twice();
    const path = join(tempDir("target"), "old.db");
    makeSqlite(path, 1);
    await assert.rejects(restore(request(named({ a, b }), path), o), { code: "restore/not-empty" });
    assert.deepEqual(marksIn(a, prefix), []);
  });

  test("the latest is the newest that is good at some destination", async () => {
    const { a, b, o, prefix } = await twice();
    const newer = await backUp(jobOf({ a, b }), o).catch(() => undefined);
    assert.ok(newer !== undefined);
    const path = join(tempDir("target"), "back.db");
    const job = { job: "shop" };
    const mark = { body: new Uint8Array(1), modifiedAt: new Date() };
    a.objects.set(`${newer}damaged-20261124T030000Z`, mark);
    // Two databases are two sources, so the older one is asked for by its id.
    const backup = prefix.split("_")[2]!;
    const prepared = await prepareRestore(request(named({ a, b }), path, { ...job, backup }), o);
    assert.equal(prepared.from, "a");
    await prepared.close();
  });

  test("keeps prune away from the plan to the end", async () => {
    const { a, o } = await twice();
    const path = join(tempDir("target"), "back.db");
    const prepared = await prepareRestore(request(named({ a }), path), o);
    const scope = { job: "shop", location: "a" };
    const prune = () => withPruneLock(scope, o, () => Promise.resolve("free"));
    await assert.rejects(prune(), { code: "locked/backups" });
    await prepared.close();
    assert.equal(await prune(), "free");
  });
});

describe("verify", () => {
  const wanted = { backups: [], isDeep: false, kinds: connectorKinds };

  test("checks what can be reached and tells what cannot", async () => {
    const { a, b, o } = await twice();
    const mute = withFaults(b, { failList: { error: new BackupError("storage/denied", "no") } });
    const unreached: string[] = [];
    const results = await verifyBackups(
      { ...wanted, destinations: [gone, ...named({ a, mute })] },
      { ...o, onUnreached: ({ name, error }) => unreached.push(`${name}: ${error.code}`) },
    );
    assert.deepEqual(results.map(({ destination, status }) => [destination, status]), [
      ["a", "good"],
    ]);
    assert.deepEqual(unreached, ["gone: storage/unavailable", "mute: storage/denied"]);
  });

  test("fails when nothing can be reached", async () => {
    await assert.rejects(verifyBackups({ ...wanted, destinations: [gone] }, contextOf()), {
      code: "storage/unavailable",
    });
  });
});

describe("list", () => {
  test("reads each manifest once and remembers it", async () => {
    const { a, o } = await twice();
    a.calls.get = 0;
    const first = await listBackups(named({ a }), o);
    assert.equal(a.calls.get, 1);
    const second = await listBackups(named({ a }), o);
    assert.equal(a.calls.get, 1);
    assert.deepEqual(second.backups, first.backups);
  });

  test("lists 2,000 again without reading any", async () => {
    const { a, o, prefix } = await twice();
    const text = new TextDecoder().decode(a.objects.get(`${prefix}manifest.json`)!.body);
    const id = prefix.split("_")[2]!;
    for (let number = 1; number <= 2_000; number++) {
      const manifest = JSON.parse(text.replaceAll(id, idOf(number)));
      writeManifest(a, prefix.replace(id, idOf(number)), manifest);
    }
    await listBackups(named({ a }), o);
    const before = a.calls.get;
    const { backups } = await listBackups(named({ a }), o);
    assert.equal(backups.length, 2_001);
    assert.equal(a.calls.get, before);
  });
});

describe("the history for strategies", () => {
  const scope = { job: "shop", sourceTag: "s41f0c2" };
  const full = refOf({ id: "aaaaaaa1", at: "2026-11-01T00:00:00Z" });
  const child = refOf({ id: "aaaaaaa2", at: "2026-11-02T00:00:00Z", parentId: "aaaaaaa1" });
  const other = refOf({ id: "aaaaaaa3", at: "2026-11-03T00:00:00Z", sourceTag: "s000001" });

  async function survey(storages: Readonly<Record<string, Storage>>) {
    const open = Object.entries(storages).map(([name, storage]) => ({ name, storage }));
    const surveyed = await surveyHistory(scope, open, contextOf());
    const lacking = (name: string, ref: BackupRef) =>
      surveyed.lacking(open.find((one) => one.name === name)!, ref).map((one) => one.ref.id);
    return { history: surveyed.history.map(({ id }) => id), unlisted: surveyed.unlisted, lacking };
  }

  test("counts what is good and whole at any destination, of this job and source", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    store(a, full, child, other);
    store(b, full, child);
    const { history, lacking } = await survey({ a, b });
    assert.deepEqual(history, ["aaaaaaa1", "aaaaaaa2"]);
    assert.deepEqual([lacking("a", child), lacking("b", child)], [[], []]);
    assert.equal(a.calls.list, 1);
  });

  test("tells what one destination lacks, or has damaged, with all that builds on it", async () => {
    const [a, b, c] = [storageAt("a"), storageAt("b"), storageAt("c")];
    store(a, full, child);
    store(b, full);
    store(c, { ...full, marks: [markAt("damaged", "2026-11-05T00:00:00Z")] }, child);
    const one = await survey({ a, b });
    assert.deepEqual([one.history, one.lacking("b", child)], [
      ["aaaaaaa1", "aaaaaaa2"],
      ["aaaaaaa2"],
    ]);
    const two = await survey({ a, c });
    assert.deepEqual(two.lacking("c", child), ["aaaaaaa1", "aaaaaaa2"]);
    const alone = await survey({ c });
    assert.deepEqual(alone.history, [], "nothing builds on what is damaged everywhere");
  });

  test("tells of a destination that cannot be listed: nobody knows what it has", async () => {
    const a = storageAt("a");
    store(a, full);
    const b = withFaults(a, { failList: { error: new BackupError("storage/denied", "no") } });
    const { history, unlisted } = await survey({ a, b });
    assert.deepEqual(history, ["aaaaaaa1"]);
    assert.deepEqual(unlisted.map(({ name, error }) => [name, error.code]), [
      ["b", "storage/denied"],
    ]);
  });
});
