import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sourceTag } from "../../src/catalog/names.ts";
import type { JobRetention } from "../../src/config/model.ts";
import type { RetentionPolicy } from "../../src/catalog/retention.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import { BackupError } from "../../src/core/errors.ts";
import { openHistory } from "../../src/jobs/shared/history.ts";
import { withBackupsKept, withPruneLock } from "../../src/jobs/shared/lock.ts";
import { pruneBackups } from "../../src/jobs/prune/prune.ts";
import type { PruneResult } from "../../src/jobs/prune/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { withFaults } from "../support/faultyStorage.ts";
import { idOf, markAt, refOf } from "../catalog/refs.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import { contextOf, destinationOf, store, unreachable, writeManifest } from "./support.ts";

const now = new Date("2026-11-23T12:00:00Z");
const clock = () => now;
const dayMs = 86_400_000;

function rules(policy: RetentionPolicy, own: Record<string, RetentionPolicy> = {}): JobRetention {
  return { policy, destinations: new Map(Object.entries(own)) };
}

async function prune(
  storages: Record<string, Storage>,
  retention: JobRetention | undefined,
  o: JobContext = contextOf(clock),
  isDryRun = false,
): Promise<PruneResult[]> {
  return await pruneBackups({
    job: "shop",
    destinations: Object.entries(storages).map(([name, one]) => destinationOf(name, one)),
    retention,
    timezone: "UTC",
    abandonedAfterMs: 7 * dayMs,
    isDryRun,
  }, o);
}

/** One backup a day, oldest first; ids count from 1. */
function daily(count: number, over: { job?: string; sourceTag?: string } = {}): BackupRef[] {
  return Array.from({ length: count }, (_, index) =>
    refOf({
      id: idOf(index + 1),
      at: new Date(Date.parse("2026-11-23T03:00:00Z") - (count - 1 - index) * dayMs),
      ...over,
    }));
}

function withBackups(...refs: readonly BackupRef[]): MemoryStorage {
  const storage = memoryStorage({ now: clock });
  store(storage, ...refs);
  return storage;
}

function idsIn(storage: MemoryStorage): string[] {
  const ids = [...storage.objects.keys()].flatMap((key) =>
    /\/[^/_]+_[a-z]+_([^/_]+)/.exec(key)?.[1] ?? []
  );
  return [...new Set(ids)].sort();
}

function statuses({ backups }: PruneResult): Record<string, string> {
  return Object.fromEntries(backups.map(({ ref, outcome }) => [ref.id, outcome.status]));
}

describe("prune", () => {
  test("drops what retention does not keep, whole folders, and nothing else", async () => {
    const storage = withBackups(...daily(3), ...daily(2, { job: "blog" }));
    storage.objects.set("notes.txt", { body: new Uint8Array(1), modifiedAt: now });
    storage.objects.set("shop/readme.txt", { body: new Uint8Array(1), modifiedAt: now });
    const [result] = await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(statuses(result!), {
      [idOf(3)]: "kept",
      [idOf(2)]: "dropped",
      [idOf(1)]: "dropped",
    });
    const left = [...storage.objects.keys()].filter((key) => key.startsWith("shop/2"));
    assert.ok(left.every((key) => key.includes(idOf(3))), left.join("\n"));
    assert.ok(storage.objects.has("notes.txt") && storage.objects.has("shop/readme.txt"));
    const others = [...storage.objects.keys()].filter((key) => key.startsWith("blog/"));
    assert.equal(others.length, 8, "another job's backups are not touched");
  });

  test("deletes the manifest first, and chains newest first", async () => {
    const full = refOf({ id: "aaaaaaa1", at: "2026-11-01T00:00:00Z" });
    const first = refOf({ id: "aaaaaaa2", at: "2026-11-02T00:00:00Z", parentId: "aaaaaaa1" });
    const second = refOf({ id: "aaaaaaa3", at: "2026-11-03T00:00:00Z", parentId: "aaaaaaa2" });
    const newest = refOf({ id: "aaaaaaa4", at: "2026-11-04T00:00:00Z" });
    const storage = withBackups(full, first, second, newest);
    await prune({ disk: storage }, rules({ last: 1 }));
    const keys = storage.deleted.filter((key) => !key.includes("/clock-"));
    const manifests = keys.filter((key) => key.endsWith("manifest.json"));
    assert.deepEqual(manifests.map((key) => key.split("_")[2]), [
      "aaaaaaa3",
      "aaaaaaa2",
      "aaaaaaa1",
    ]);
    for (const ref of [full, first, second]) {
      const own = keys.filter((key) => key.startsWith(ref.prefix));
      assert.equal(own[0], `${ref.prefix}manifest.json`);
      assert.equal(own.length, 4);
    }
  });

  test("a dry run says the same and changes nothing", async () => {
    const storage = withBackups(...daily(3));
    const before = [...storage.objects.keys()];
    const [result] = await prune({ disk: storage }, rules({ last: 1 }), contextOf(clock), true);
    assert.deepEqual(statuses(result!), {
      [idOf(3)]: "kept",
      [idOf(2)]: "planned",
      [idOf(1)]: "planned",
    });
    assert.deepEqual([...storage.objects.keys()], before);
    assert.deepEqual(storage.calls, { put: 0, get: 0, stat: 0, list: 1, delete: 0, sweep: 0 });
  });

  test("plans over 10,000 backups with one LIST and reads no manifest", async () => {
    const storage = withBackups(...daily(10_000));
    const [result] = await prune({ disk: storage }, rules({ daily: 9_990 }));
    assert.equal(result!.backups.length, 10_000);
    assert.equal(idsIn(storage).length, 9_990);
    assert.equal(storage.calls.list, 1);
    assert.equal(storage.calls.get, 0);
    // Four objects and the hold mark of each dropped backup, and the clock.
    assert.equal(storage.calls.stat, 10 * 5 + 1);
  });

  test("without retention keeps every backup", async () => {
    const storage = withBackups(...daily(3));
    const [result] = await prune({ disk: storage }, undefined);
    assert.equal(result!.error, undefined);
    assert.equal(idsIn(storage).length, 3);
  });

  test("each destination has its own rules where the job gives it some", async () => {
    const [disk, tape] = [withBackups(...daily(5)), withBackups(...daily(5))];
    await prune({ disk, tape }, rules({ last: 3 }, { tape: { last: 1 } }));
    assert.equal(idsIn(disk).length, 3);
    assert.equal(idsIn(tape).length, 1);
  });

  test("one destination that fails does not keep the others from being pruned", async () => {
    const good = withBackups(...daily(2));
    const results = await pruneBackups({
      job: "shop",
      destinations: [
        unreachable("gone", new BackupError("storage/unavailable", "nobody there")),
        destinationOf(
          "mute",
          withFaults(withBackups(...daily(2)), {
            failList: { error: new BackupError("storage/denied", "not you") },
          }),
        ),
        destinationOf("good", good),
      ],
      retention: rules({ last: 1 }),
      timezone: "UTC",
      abandonedAfterMs: dayMs,
      isDryRun: false,
    }, contextOf(clock));
    const codes = new Map(results.map(({ destination, error }) => [destination, error?.code]));
    assert.equal(codes.get("gone"), "storage/unavailable");
    assert.equal(codes.get("mute"), "storage/denied");
    assert.equal(codes.get("good"), undefined);
    assert.equal(idsIn(good).length, 1);
  });

  test("backups of one second are told apart by their manifests", async () => {
    const at = "2026-11-23T03:00:00Z";
    const refs = ["aaaaaaa1", "aaaaaaa2", "aaaaaaa3"].map((id) =>
      refOf({ id, at, sourceTag: sourceTag("sqlite", "x") })
    );
    const storage = withBackups(...refs);
    const startedAt = ["2026-11-23T03:00:00.900Z", "2026-11-23T03:00:00.100Z", at];
    for (const [index, { prefix, id }] of refs.entries()) {
      writeManifest(storage, prefix, manifestOf(id, startedAt[index]!), new Date(at));
    }
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(idsIn(storage), ["aaaaaaa1"]);
  });
});

function manifestOf(id: string, startedAt: string): unknown {
  const sha256 = "0".repeat(64);
  return {
    formatVersion: 1,
    id,
    job: "shop",
    kind: "full",
    parent: null,
    source: {
      kind: "sqlite",
      id: "x",
      tag: sourceTag("sqlite", "x"),
      flavour: "SQLite",
      version: "3",
    },
    tool: { name: "dbbackup", version: "1" },
    clientTools: [],
    startedAt,
    finishedAt: startedAt,
    consistentAt: startedAt,
    position: {},
    clockOffsetMs: null,
    settings: {},
    omitted: [],
    warnings: [],
    artifacts: [{
      number: 1,
      role: "dump",
      databases: [],
      format: "sqlite",
      codecs: [],
      rawBytes: 1,
      rawSha256: sha256,
      storedBytes: 1,
      storedSha256: sha256,
      volumes: [{ name: "dump-001-shop.pgdump.gz", bytes: 1, sha256 }],
    }],
  };
}

describe("prune and retention locks", () => {
  const until = new Date("2027-01-01T00:00:00Z");

  test("a backup with one retained object is reported and not touched at all", async () => {
    const refs = daily(3);
    const storage = withBackups(...refs);
    storage.objects.get(`${refs[0]!.prefix}inventory.json.gz`)!.retainedUntil = until;
    const [result] = await prune({ disk: storage }, rules({ last: 1 }));
    const outcome = result!.backups.find(({ ref }) => ref.id === idOf(1))!.outcome;
    assert.deepEqual(outcome, { status: "retained", until });
    assert.equal(result!.error, undefined);
    assert.deepEqual(idsIn(storage), [idOf(1), idOf(3)]);
    assert.ok(storage.objects.has(`${refs[0]!.prefix}manifest.json`), "it stays listed");
  });

  test("what a retained backup builds on stays, too", async () => {
    const full = refOf({ id: "aaaaaaa1", at: "2026-11-01T00:00:00Z" });
    const child = refOf({ id: "aaaaaaa2", at: "2026-11-02T00:00:00Z", parentId: "aaaaaaa1" });
    const storage = withBackups(full, child, ...daily(1));
    storage.objects.get(`${child.prefix}manifest.json`)!.retainedUntil = until;
    const [result] = await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(statuses(result!), {
      [idOf(1)]: "kept",
      aaaaaaa2: "retained",
      aaaaaaa1: "kept",
    });
    assert.equal(idsIn(storage).length, 3);
  });

  test("a lock that has run out is none", async () => {
    const storage = withBackups(...daily(2));
    for (const object of storage.objects.values()) {
      object.retainedUntil = new Date("2026-11-23T11:00:00Z");
    }
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(idsIn(storage), [idOf(2)]);
  });

  test("the check of the clock is not retained itself, and one that a bucket keeps is no failure", async () => {
    const storage = memoryStorage({ now: clock, retain: until });
    store(storage, ...daily(2));
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.ok([...storage.objects.keys()].every((key) => !key.includes("clock-")));
    store(storage, ...daily(2));
    const stubborn: Storage = {
      ...storage,
      delete: (key, o) =>
        key.includes("clock-")
          ? Promise.reject(new BackupError("storage/retained", "not yet"))
          : storage.delete(key, o),
    };
    const [result] = await prune({ disk: stubborn }, rules({ last: 1 }));
    assert.equal(result!.error, undefined);
    assert.equal(statuses(result!)[idOf(1)], "dropped");
  });
});

describe("prune and a lock that only the delete shows", () => {
  test("says that the backup could not go, touches no more of it, and goes on", async () => {
    const refs = daily(4);
    const storage = withBackups(...refs);
    const locked = refs[2]!.prefix;
    const secretive: Storage = {
      ...storage,
      delete: (key, o) =>
        key.startsWith(locked)
          ? Promise.reject(new BackupError("storage/retained", "locked"))
          : storage.delete(key, o),
    };
    const [result] = await prune({ disk: secretive }, rules({ last: 1 }));
    assert.deepEqual(statuses(result!), {
      [idOf(4)]: "kept",
      [idOf(3)]: "failed",
      [idOf(2)]: "dropped",
      [idOf(1)]: "dropped",
    });
    assert.equal(result!.error!.code, "storage/retained");
    assert.ok(storage.objects.has(`${locked}manifest.json`));
  });
});

describe("prune and the clock", () => {
  test("works beside a backup from the future, which stays and fills no place", async () => {
    const future = refOf({ id: "bbbbbbb1", at: "2031-11-23T12:00:01Z" });
    const storage = withBackups(...daily(3), future);
    const [result] = await prune({ disk: storage }, rules({ last: 1 }));
    assert.equal(result!.error, undefined);
    const reasons = new Map(result!.backups.map(({ ref, reasons }) => [ref.id, reasons.join()]));
    assert.equal(reasons.get("bbbbbbb1"), "dated in the future");
    assert.match(reasons.get(idOf(3))!, /newest good/);
    assert.deepEqual(idsIn(storage), [idOf(3), "bbbbbbb1"].sort());
  });

  test("takes the store's word for when a backup was made, where it has a clock", async () => {
    const storage = { ...withBackups(...daily(3)), hasOwnClock: true };
    const early = refOf({ id: "bbbbbbb1", at: "2031-11-23T12:00:01Z" });
    store(storage, early);
    const storedAt = daily(3)[0]!.createdAt;
    for (const [key, object] of storage.objects) {
      if (key.startsWith(early.prefix)) object.modifiedAt = storedAt;
    }
    await prune({ disk: storage }, rules({ last: 2 }));
    assert.deepEqual(idsIn(storage), [idOf(2), idOf(3)], "it was made with the first");
  });

  for (const minutes of [16, -16]) {
    test(`refuses when the store's clock is ${minutes} minutes off, and tells`, async () => {
      const storage = memoryStorage({ now: () => new Date(now.getTime() + minutes * 60_000) });
      store(storage, ...daily(3));
      const [result] = await prune({ disk: storage }, rules({ last: 1 }));
      assert.equal(result!.error!.code, "storage/clock-skew");
      assert.match(result!.error!.message, minutes > 0 ? /16m behind/ : /16m ahead/);
      assert.equal(idsIn(storage).length, 3);
      assert.ok([...storage.objects.keys()].every((key) => !key.includes("clock-")));
    });
  }

  test("14 minutes are no matter", async () => {
    const storage = memoryStorage({ now: () => new Date(now.getTime() + 14 * 60_000) });
    store(storage, ...daily(3));
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(idsIn(storage), [idOf(3)]);
  });

  test("removes the small object that a killed check has left", async () => {
    const storage = withBackups(...daily(1));
    const old = new Date(now.getTime() - 2 * 3_600_000);
    storage.objects.set("shop/clock-aaaaaaa1", { body: new Uint8Array(1), modifiedAt: old });
    storage.objects.set("shop/clock-aaaaaaa2", { body: new Uint8Array(1), modifiedAt: now });
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.ok(!storage.objects.has("shop/clock-aaaaaaa1"));
    assert.ok(storage.objects.has("shop/clock-aaaaaaa2"), "another prune may be using it");
  });
});

describe("prune and failures", () => {
  test("what could not be deleted is an error, and the rest is not tried", async () => {
    const storage = withBackups(...daily(3));
    const error = new BackupError("storage/denied", "not you", { hint: "ask" });
    const refusing = { ...storage, delete: () => Promise.reject(error) };
    const [result] = await prune({ disk: refusing }, rules({ last: 1 }));
    assert.equal(result!.error!.code, "storage/denied");
    assert.deepEqual(statuses(result!), {
      [idOf(3)]: "kept",
      [idOf(2)]: "failed",
      [idOf(1)]: "skipped",
    });
    assert.equal(idsIn(storage).length, 3);
  });

  test("cut short after the manifest, the next prune finishes the folder", async () => {
    const storage = withBackups(...daily(2));
    const o = contextOf(clock);
    let isBroken = true;
    const failing: Storage = {
      ...storage,
      delete(key, options) {
        if (isBroken && key.includes("/dump-")) {
          return Promise.reject(new BackupError("storage/unavailable", "gone"));
        }
        return storage.delete(key, options);
      },
    };
    const [first] = await prune({ disk: failing }, rules({ last: 1 }), o);
    assert.equal(first!.error!.code, "storage/unavailable");
    assert.deepEqual(idsIn(storage), [idOf(1), idOf(2)]);
    isBroken = false;
    const [second] = await prune({ disk: failing }, rules({ last: 1 }), o);
    assert.equal(second!.error, undefined);
    assert.deepEqual(second!.abandoned.map(({ id, outcome }) => [id, outcome.status]), [
      [idOf(1), "dropped"],
    ]);
    assert.deepEqual(idsIn(storage), [idOf(2)]);
    const history = await openHistory(o);
    assert.deepEqual(history.unfinished("shop", "memory"), []);
    history.close();
  });
});

describe("prune and folders without a manifest", () => {
  function unfinished(id: string, newestAt: Date): { storage: MemoryStorage; prefix: string } {
    const storage = withBackups(...daily(1));
    const { prefix } = refOf({ id, at: "2026-11-01T00:00:00Z" });
    storage.objects.set(`${prefix}dump-001.sql.gz`, {
      body: new Uint8Array(3),
      modifiedAt: newestAt,
    });
    return { storage, prefix };
  }

  test("keeps one that another machine may be writing", async () => {
    const { storage } = unfinished("aaaaaaa1", new Date(now.getTime() - 6 * dayMs));
    const [result] = await prune({ disk: storage }, undefined);
    assert.deepEqual(result!.abandoned.map(({ reason }) => reason), ["may be under way"]);
    assert.equal(idsIn(storage).length, 2);
  });

  test("removes one whose newest object is older than abandonedAfter", async () => {
    const { storage } = unfinished("aaaaaaa1", new Date(now.getTime() - 8 * dayMs));
    const [result] = await prune({ disk: storage }, undefined);
    assert.deepEqual(result!.abandoned.map(({ outcome }) => outcome.status), ["dropped"]);
    assert.deepEqual(idsIn(storage), [idOf(1)]);
  });

  test("removes at once what this machine's own record names", async () => {
    const { storage, prefix } = unfinished("aaaaaaa1", now);
    const o = contextOf(clock);
    const history = await openHistory(o);
    history.begin("aaaaaaa1", "shop", "memory", prefix, now);
    history.close();
    const [result] = await prune({ disk: storage }, undefined, o);
    assert.deepEqual(result!.abandoned.map(({ reason }) => reason), [
      "left by a run of this machine",
    ]);
    assert.deepEqual(idsIn(storage), [idOf(1)]);
  });

  test("keeps one with files that dbbackup does not write, and one on hold", async () => {
    for (const name of ["notes.txt", "hold"]) {
      const { storage, prefix } = unfinished("aaaaaaa1", new Date(0));
      storage.objects.set(prefix + name, { body: new Uint8Array(1), modifiedAt: new Date(0) });
      await prune({ disk: storage }, undefined);
      assert.equal(idsIn(storage).length, 2, name);
    }
  });

  test("sweeps unfinished uploads that are older than abandonedAfter, and no others", async () => {
    const storage = withBackups(...daily(1));
    const asked: [string, Date | undefined][] = [];
    const watched: Storage = {
      ...storage,
      sweep(prefix, { before }) {
        asked.push([prefix, before]);
        return Promise.resolve(2);
      },
    };
    const [result] = await prune({ disk: watched }, undefined);
    assert.deepEqual(asked, [["shop/", new Date(now.getTime() - 7 * dayMs)]]);
    assert.equal(result!.swept, 2);
  });
});

describe("prune and others", () => {
  test("stays away while a restore, verify or copy of the job is under way", async () => {
    const storage = withBackups(...daily(2));
    const o = contextOf(clock);
    const scope = { job: "shop", locations: ["memory"] };
    await withBackupsKept(scope, o, () =>
      withBackupsKept(scope, o, async () => {
        const [result] = await prune({ disk: storage }, rules({ last: 1 }), o);
        assert.equal(result!.error!.code, "locked/backups");
      }));
    assert.equal(idsIn(storage).length, 2);
    await prune({ disk: storage }, rules({ last: 1 }), o);
    assert.equal(idsIn(storage).length, 1);
  });

  test("a restore waits for a prune that is under way", async () => {
    const o = contextOf(clock);
    const steps: string[] = [];
    const begun = Promise.withResolvers<void>();
    const { promise, resolve } = Promise.withResolvers<void>();
    const pruning = withPruneLock({ job: "shop", location: "memory" }, o, async () => {
      begun.resolve();
      await promise;
      steps.push("pruned");
    });
    await begun.promise;
    const restoring = withBackupsKept({ job: "shop", locations: ["memory"] }, o, () => {
      steps.push("restores");
      return Promise.resolve();
    });
    await new Promise((done) => setTimeout(done, 150));
    resolve();
    await Promise.all([pruning, restoring]);
    assert.deepEqual(steps, ["pruned", "restores"]);
  });

  test("two writers on one prefix: each server has its own newest good one", async () => {
    const mine = daily(2);
    const theirs = daily(2, { sourceTag: "s000001" }).map((ref, index) =>
      refOf({ id: idOf(index + 9), at: ref.createdAt, sourceTag: "s000001" })
    );
    const storage = withBackups(...mine, ...theirs);
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(idsIn(storage), [idOf(2), idOf(10)]);
  });

  test("a hold that is set while it deletes is obeyed", async () => {
    const refs = daily(2);
    const storage = withBackups(...refs);
    const late: Storage = {
      ...storage,
      async *list(prefix, o) {
        yield* storage.list(prefix, o);
        const body = new Uint8Array(1);
        storage.objects.set(`${refs[0]!.prefix}hold`, { body, modifiedAt: now });
      },
    };
    const [result] = await prune({ disk: late }, rules({ last: 1 }));
    assert.equal(statuses(result!)[idOf(1)], "kept");
    assert.equal(idsIn(storage).length, 2);
  });

  test("marks do not stop a backup from being dropped, and go with it", async () => {
    const [first, second] = daily(2);
    const verified = { ...first!, marks: [markAt("verified", "2026-11-22T00:00:00Z")] };
    const storage = withBackups(verified, second!);
    await prune({ disk: storage }, rules({ last: 1 }));
    assert.deepEqual(idsIn(storage), [idOf(2)]);
  });
});
