import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import { BackupError } from "../../src/core/errors.ts";
import { deleteBackup } from "../../src/jobs/prune/delete.ts";
import { withBackupsKept } from "../../src/jobs/shared/lock.ts";
import { idOf, refOf } from "../catalog/refs.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import { contextOf, destinationOf, store, unreachable } from "./support.ts";

const full = refOf({ id: idOf(1), at: "2026-11-01T00:00:00Z" });
const child = refOf({ id: idOf(2), at: "2026-11-02T00:00:00Z", parentId: full.id });
const grandchild = refOf({ id: idOf(3), at: "2026-11-03T00:00:00Z", parentId: child.id });
const other = refOf({ id: idOf(4), at: "2026-11-04T00:00:00Z" });

function withBackups(location: string, ...refs: readonly BackupRef[]): MemoryStorage {
  const storage = memoryStorage({ location });
  store(storage, ...refs);
  return storage;
}

function idsIn({ objects }: MemoryStorage): string[] {
  return [...objects.keys()].filter((key) => key.endsWith("/manifest.json"))
    .map((key) => key.split("_")[2]!).sort();
}

function request(storages: Readonly<Record<string, MemoryStorage>>, backup: string) {
  return {
    destinations: Object.entries(storages).map(([name, one]) => destinationOf(name, one)),
    backup,
    isWithDependents: false,
    confirm: () => Promise.resolve(true),
  };
}

describe("delete", () => {
  test("takes a backup away at every destination that has it, and nothing else", async () => {
    const [a, b] = [withBackups("a", full, other), withBackups("b", full)];
    const { plan, copies } = await deleteBackup(request({ a, b }, full.id), contextOf());
    assert.deepEqual(copies!.map(({ destination, outcome }) => [destination, outcome.status]), [
      ["a", "dropped"],
      ["b", "dropped"],
    ]);
    assert.equal(plan.isNewestGood, false);
    assert.deepEqual([idsIn(a), [...b.objects.keys()]], [[other.id], []]);
    assert.ok(a.deleted[0]!.endsWith("manifest.json"), "the manifest goes first");
  });

  test("asks with its plan first, and changes nothing where the answer is no", async () => {
    const a = withBackups("a", full);
    let isNewest = false;
    const { copies } = await deleteBackup({
      ...request({ a }, full.id),
      confirm(plan) {
        isNewest = plan.isNewestGood;
        return Promise.resolve(false);
      },
    }, contextOf());
    assert.deepEqual([copies, isNewest, idsIn(a)], [undefined, true, [full.id]]);
  });

  test("refuses what others build on, and takes them along when told to, last first", async () => {
    const a = withBackups("a", full, child, grandchild, other);
    const wanted = request({ a }, full.id);
    await assert.rejects(deleteBackup(wanted, contextOf()), {
      code: "usage/has-dependents",
      hint: "--with-dependents deletes them, too.",
    });
    await deleteBackup({ ...wanted, isWithDependents: true }, contextOf());
    assert.deepEqual(idsIn(a), [other.id]);
    const manifests = a.deleted.filter((key) => key.endsWith("manifest.json"));
    assert.deepEqual(manifests.map((key) => key.split("_")[2]), [grandchild.id, child.id, full.id]);
  });

  test("sees what builds on it at another destination only", async () => {
    const [a, b] = [withBackups("a", full), withBackups("b", full, child)];
    await assert.rejects(deleteBackup(request({ a, b }, full.id), contextOf()), {
      code: "usage/has-dependents",
    });
  });

  test("leaves what is on hold, and what is retained", async () => {
    const held = withBackups("a", { ...full, marks: [{ type: "hold" }] });
    await assert.rejects(deleteBackup(request({ held }, full.id), contextOf()), {
      code: "usage/on-hold",
      hint: `\`dbbackup release ${full.id}\` lifts that.`,
    });
    const locked = withBackups("a", full);
    const until = new Date("2999-01-01T00:00:00Z");
    locked.objects.get(`${full.prefix}RESTORE.txt`)!.retainedUntil = until;
    const { copies } = await deleteBackup(request({ locked }, full.id), contextOf());
    assert.deepEqual(copies!.map(({ outcome }) => outcome), [{ status: "retained", until }]);
    assert.deepEqual([idsIn(held), idsIn(locked)], [[full.id], [full.id]]);
  });

  test("keeps off a backup that is being read", async () => {
    const a = withBackups("a", full);
    const o = contextOf();
    await withBackupsKept({ job: "shop", locations: ["a"] }, o, async () => {
      const { copies } = await deleteBackup(request({ a }, full.id), o);
      assert.deepEqual(copies!.map(({ outcome }) => outcome.status), ["failed"]);
    });
    assert.deepEqual(idsIn(a), [full.id]);
  });

  test("tells where it could not look", async () => {
    const a = withBackups("a", full);
    const gone = unreachable("gone", new BackupError("storage/unavailable", "nobody there"));
    const wanted = request({ a }, full.id);
    const destinations = [...wanted.destinations, gone];
    const { plan } = await deleteBackup({ ...wanted, destinations }, contextOf());
    assert.deepEqual(plan.unreached.map(({ name }) => name), ["gone"]);
    assert.deepEqual(idsIn(a), []);
  });
});
