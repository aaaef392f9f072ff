import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { BackupError, hasCode } from "../../src/core/errors.ts";
import { copyBackups } from "../../src/jobs/copy/copy.ts";
import { withPruneLock } from "../../src/jobs/shared/lock.ts";
import type { CopyResult } from "../../src/jobs/copy/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { connectorKinds } from "../../src/registry.ts";
import { withFaults } from "../support/faultyStorage.ts";
import { refOf } from "../catalog/refs.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import {
  backUp,
  contentOf,
  contextOf,
  destinationOf,
  flipBit,
  jobOf,
  marksIn,
  store,
  unreachable,
} from "./support.ts";

const storageAt = (location: string) => memoryStorage({ location });

async function copy(
  sources: Readonly<Record<string, Storage>>,
  to: Storage,
  o: JobContext,
  wanted: readonly string[] = [],
): Promise<CopyResult[]> {
  return await copyBackups({
    sources: Object.entries(sources).map(([name, one]) => destinationOf(name, one)),
    to: destinationOf("to", to),
    wanted,
  }, o);
}

/** One backup at `a`, and at `b` where it is given. */
async function backedUp(storages: Readonly<Record<string, MemoryStorage>>) {
  const o = contextOf();
  const prefix = await backUp(jobOf(storages), o);
  const volume = `${prefix}dump-001-shop.sqlite`;
  const [first] = Object.values(storages);
  const dump = [...first!.objects.keys()].find((key) => key.includes("/dump-001"))!;
  return { o, prefix, dump: first!.objects.has(volume) ? volume : dump };
}

async function isGood(storage: Storage, o: JobContext): Promise<boolean> {
  const results = await verifyBackups({
    destinations: [destinationOf("x", storage)],
    backups: [],
    isDeep: true,
    kinds: connectorKinds,
  }, o);
  return results.length > 0 && results.every(({ status }) => status === "good");
}

describe("copy", () => {
  test("brings a destination up to date, artifacts before the manifest, byte by byte", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o, prefix } = await backedUp({ a });
    const [result] = await copy({ a }, to, o);
    assert.equal(result!.status, "copied");
    assert.equal(result!.from, "a");
    assert.deepEqual(contentOf(to), contentOf(a));
    assert.equal([...to.objects.keys()].at(-1), `${prefix}manifest.json`);
    assert.ok(await isGood(to, o));
  });

  test("leaves alone what is there, and reads nothing for it", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const { o } = await backedUp({ a, b });
    a.calls.get = b.calls.get = b.calls.put = 0;
    const [result] = await copy({ a }, b, o);
    assert.equal(result!.status, "present");
    assert.deepEqual([a.calls.get, b.calls.get, b.calls.put], [0, 0, 0]);
  });

  test("heals a partial run", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const o = contextOf();
    await backUp(jobOf({ a }), o);
    await backUp(jobOf({ a, b }), o);
    const results = await copy({ a }, b, o);
    assert.deepEqual(results.map(({ status }) => status).sort(), ["copied", "present"]);
    assert.deepEqual(contentOf(b), contentOf(a));
  });

  test("goes on where it was cut short, and keeps only what is right", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o, dump } = await backedUp({ a });
    const error = new BackupError("storage/unavailable", "gone");
    const [cut] = await copy({ a }, withFaults(to, { failPut: { nth: 3, error } }), o);
    assert.equal(cut!.status, "failed");
    assert.equal(cut!.error!.code, "storage/unavailable");
    assert.equal(to.objects.size, 2);
    assert.ok(![...to.objects.keys()].some((key) => key.endsWith("manifest.json")));
    flipBit(to, dump);
    const before = to.calls.put;
    const [result] = await copy({ a }, to, o);
    assert.equal(result!.status, "copied");
    assert.equal(to.calls.put - before, a.objects.size - 1, "one object was right already");
    assert.deepEqual(contentOf(to), contentOf(a));
  });

  test("takes from a source what that has, and of the others only what it has damaged", async () => {
    const [a, b, to] = [storageAt("a"), storageAt("b"), storageAt("to")];
    const o = contextOf();
    await backUp(jobOf({ a }), o);
    const prefix = await backUp(jobOf({ a, b }), o);
    flipBit(b, [...b.objects.keys()].find((key) => key.includes("/dump-001"))!);
    const request = {
      sources: [destinationOf("b", b)],
      fallbacks: [destinationOf("a", a)],
      to: destinationOf("to", to),
      wanted: [],
    };
    const results = await copyBackups(request, o);
    assert.deepEqual(results.map(({ status, from }) => [status, from]), [["copied", "a"]]);
    assert.ok([...to.objects.keys()].every((key) => key.startsWith(prefix)));
    // What is not at the source is not known by its id or job either.
    const refused = copyBackups({ ...request, wanted: ["nobody"] }, o);
    await assert.rejects(refused, (error) => hasCode(error, "usage/"));
  });

  test("leaves no folder behind where the only source is pruned meanwhile", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o, dump } = await backedUp({ a });
    const source: Storage = {
      ...a,
      get(key, options) {
        // The volumes come in their order: the first is there, the second gone.
        if (key === dump) {
          for (const one of a.objects.keys()) if (/inventory/.test(one)) a.objects.delete(one);
        }
        return a.get(key, options);
      },
    };
    const [result] = await copy({ a: source }, to, o);
    assert.equal(result!.error!.code, "verification/missing-object");
    assert.deepEqual([...to.objects.keys()], []);
  });

  test("commits nothing where its folder is pruned meanwhile, and leaves no part of it", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o, dump } = await backedUp({ a });
    const target: Storage = {
      ...to,
      async put(key, body, options) {
        const info = await to.put(key, body, options);
        if (key.endsWith("RESTORE.txt")) to.objects.delete(dump);
        return info;
      },
    };
    const [result] = await copy({ a }, target, o);
    assert.match(
      result!.error!.message,
      /dump-001.* was removed from to while \w+ was copied there/,
    );
    assert.deepEqual([...to.objects.keys()], []);
  });

  test("a source that breaks off leaves nothing that looks whole", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o } = await backedUp({ a });
    const get: Storage["get"] = (key, how) =>
      key.includes("/dump-001")
        ? a.get(key, { ...how, range: { start: 0, end: 999 } })
        : a.get(key, how);
    const [result] = await copy({ broken: { ...a, get } }, to, o);
    assert.equal(result!.error!.code, "verification/size");
    assert.ok(![...to.objects.keys()].some((key) => key.endsWith("manifest.json")));
  });

  test("reads a source again that was read wrong once, and marks nothing", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o, prefix } = await backedUp({ a });
    // The manifest is read first.
    const flaky = withFaults(a, { cutGet: { nth: 3, afterBytes: 1000 } });
    const [result] = await copy({ flaky }, to, o);
    assert.equal(result!.status, "copied");
    assert.deepEqual(contentOf(to), contentOf(a));
    assert.deepEqual(marksIn(a, prefix), []);
  });

  test("takes another destination where the first is damaged, and marks the damaged", async () => {
    const [a, b, to] = [storageAt("a"), storageAt("b"), storageAt("to")];
    const { o, prefix, dump } = await backedUp({ a, b });
    flipBit(a, dump);
    const [result] = await copy({ a, b }, to, o);
    assert.deepEqual([result!.status, result!.from], ["copied", "b"]);
    assert.deepEqual(contentOf(to), contentOf(b));
    assert.deepEqual(marksIn(a, prefix), ["damaged"]);
    assert.deepEqual(marksIn(to, prefix), []);
  });

  test("fails where every copy is damaged, and tells", async () => {
    const [a, b, to] = [storageAt("a"), storageAt("b"), storageAt("to")];
    const { o, dump } = await backedUp({ a, b });
    flipBit(a, dump);
    b.objects.delete(dump);
    const [result] = await copy({ a, b }, to, o);
    assert.equal(result!.error!.code, "verification/missing-object");
    assert.ok(![...to.objects.keys()].some((key) => key.endsWith("manifest.json")));
  });

  test("heals a damaged copy: only what is wrong is replaced, and the mark is lifted", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const { o, prefix, dump } = await backedUp({ a, b });
    flipBit(b, dump);
    b.objects.set(`${prefix}damaged-20261124T030000Z`, {
      body: new Uint8Array(1),
      modifiedAt: new Date(),
    });
    const [result] = await copy({ a }, b, o);
    assert.equal(result!.status, "healed");
    assert.deepEqual(contentOf(b), contentOf(a));
    assert.deepEqual(marksIn(b, prefix), []);
    assert.deepEqual(b.deleted.slice(0, 2), [`${prefix}manifest.json`, dump]);
    assert.equal(b.deleted.length, 3);
  });

  test("heals a copy that lacks an object", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const { o, dump } = await backedUp({ a, b });
    b.objects.delete(dump);
    assert.equal((await copy({ a }, b, o))[0]!.status, "healed");
    assert.deepEqual(contentOf(b), contentOf(a));
  });

  test("does not touch a damaged copy when no other is better", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const { o, dump } = await backedUp({ a, b });
    flipBit(a, dump);
    b.objects.set(dump, { body: new Uint8Array(7), modifiedAt: new Date() });
    const before = contentOf(b);
    const [result] = await copy({ a }, b, o);
    assert.equal(result!.error!.code, "verification/digest");
    assert.deepEqual(contentOf(b), before);
  });

  test("does not touch a damaged copy whose wrong object is retained", async () => {
    const [a, b] = [storageAt("a"), storageAt("b")];
    const { o, dump } = await backedUp({ a, b });
    const retainedUntil = new Date(Date.now() + 86_400_000);
    b.objects.set(dump, { body: new Uint8Array(7), modifiedAt: new Date(), retainedUntil });
    const before = contentOf(b);
    const [result] = await copy({ a }, b, o);
    assert.equal(result!.error!.code, "storage/retained");
    assert.deepEqual(contentOf(b), before);
  });

  test("takes the hold mark along", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o, prefix } = await backedUp({ a });
    a.objects.set(`${prefix}hold`, { body: new Uint8Array(1), modifiedAt: new Date() });
    await copy({ a }, to, o);
    assert.deepEqual(marksIn(to, prefix), ["hold"]);
    to.objects.delete(`${prefix}hold`);
    assert.equal((await copy({ a }, to, o))[0]!.status, "present");
    assert.deepEqual(marksIn(to, prefix), ["hold"]);
  });

  test("copies the jobs and ids that are named, and no others", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const o = contextOf();
    const first = await backUp(jobOf({ a }), o);
    await backUp(jobOf({ a }), o);
    await backUp(jobOf({ a }, { name: "blog" }), o);
    assert.equal((await copy({ a }, to, o, [first.split("_")[2]!.slice(0, 6)])).length, 1);
    assert.equal((await copy({ a }, to, o, ["blog"]))[0]!.job, "blog");
    assert.equal((await copy({ a }, to, o)).filter(({ status }) => status === "copied").length, 1);
    await assert.rejects(copy({ a }, to, o, ["zzzzzzzz"]), { code: "usage/no-such-backup" });
  });

  test("a child is not copied without what it builds on", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const full = refOf({ id: "aaaaaaa1", at: "2026-11-01T00:00:00Z" });
    const child = refOf({ id: "aaaaaaa2", at: "2026-11-02T00:00:00Z", parentId: "aaaaaaa1" });
    store(a, full, child);
    const results = await copy({ a }, to, contextOf(), ["aaaaaaa2"]);
    assert.deepEqual(results.map(({ id, error }) => [id, error?.code]), [
      ["aaaaaaa1", "verification/manifest"],
      ["aaaaaaa2", "verification/broken-chain"],
    ]);
    assert.equal(to.objects.size, 0);
  });

  test("goes on without a source that cannot be reached, and fails when none can", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o } = await backedUp({ a });
    const gone = unreachable("gone", new BackupError("storage/unavailable", "nobody there"));
    const request = { to: destinationOf("to", to), wanted: [] };
    const results = await copyBackups(
      { ...request, sources: [gone, destinationOf("a", a)] },
      o,
    );
    assert.deepEqual(results.map(({ status }) => status), ["copied"]);
    await assert.rejects(copyBackups({ ...request, sources: [gone] }, o), {
      code: "storage/unavailable",
    });
  });

  test("keeps prune away from both ends", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o } = await backedUp({ a });
    const asked: string[] = [];
    const watched: Storage = {
      ...to,
      async put(key, body, options) {
        for (const location of ["a", "to"]) {
          await assert.rejects(
            withPruneLock({ job: "shop", location }, o, () => Promise.resolve()),
            { code: "locked/backups" },
          );
        }
        asked.push(key);
        return await to.put(key, body, options);
      },
    };
    await copy({ a }, watched, o);
    assert.ok(asked.length > 2);
  });

  test("two copies at the same time end with one whole backup", async () => {
    const [a, to] = [storageAt("a"), storageAt("to")];
    const { o } = await backedUp({ a });
    const both = await Promise.all([copy({ a }, to, o), copy({ a }, to, o)]);
    assert.deepEqual(both.flat().map(({ error }) => error?.message), [undefined, undefined]);
    assert.deepEqual(contentOf(to), contentOf(a));
  });
});
