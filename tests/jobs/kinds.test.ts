import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readCatalog } from "../../src/catalog/catalog.ts";
import { applyRetention } from "../../src/catalog/retention.ts";
import { pruneBackups } from "../../src/jobs/prune/prune.ts";
import { idOf, refOf } from "../catalog/refs.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { never } from "../support/runtime.ts";
import { contextOf, destinationOf, store } from "./support.ts";

const now = new Date("2026-11-23T12:00:00Z");
const full = refOf({ id: idOf(1), at: "2026-11-01T00:00:00Z" });
const newer = refOf({ id: idOf(2), at: "2026-11-20T00:00:00Z" });
const tail = refOf({ id: idOf(3), at: "2026-11-02T00:00:00Z", kind: "tail", parentId: full.id });

describe("a kind that only a newer dbbackup knows", () => {
  test("is listed with its name and its parent", async () => {
    const storage = memoryStorage();
    store(storage, full, tail);
    const refs = await readCatalog(storage, { signal: never });
    assert.deepEqual(refs.map(({ kind, parentId }) => [kind, parentId]), [
      ["full", undefined],
      ["tail", full.id],
    ]);
  });

  test("is kept, with what it builds on, whatever the policy says, and fills no place", () => {
    const decisions = applyRetention([full, tail, newer], { last: 1 }, { now, timezone: "UTC" });
    assert.deepEqual(
      Object.fromEntries(decisions.map(({ ref, action, reasons }) => [
        ref.id,
        `${action}: ${reasons.join(", ")}`,
      ])),
      {
        [newer.id]: "keep: newest good, last 1 of 1",
        [tail.id]: 'keep: of kind "tail", which this dbbackup does not know',
        [full.id]: `keep: needed by ${tail.id}`,
      },
    );
  });

  for (const kind of ["tail", "incremental"]) {
    test(`keeps its parent from being pruned while it has no manifest: ${kind}`, async () => {
      const storage = memoryStorage({ now: () => now });
      const open = refOf({ id: idOf(4), at: "2026-11-23T11:00:00Z", kind, parentId: full.id });
      store(storage, full, newer, open);
      storage.objects.delete(`${open.prefix}manifest.json`);
      const prune = () =>
        pruneBackups({
          job: "shop",
          destinations: [destinationOf("disk", storage)],
          retention: { policy: { last: 1 }, destinations: new Map() },
          timezone: "UTC",
          abandonedAfterMs: 86_400_000,
          isDryRun: false,
        }, contextOf(() => now));
      const [result] = await prune();
      assert.equal(result!.error, undefined);
      const kept = result!.backups.find(({ ref }) => ref.id === full.id)!;
      assert.deepEqual(kept.reasons, ["what builds on it is still there"]);
      assert.ok(storage.objects.has(`${full.prefix}manifest.json`));
    });
  }

  test("is never taken for what a failed run left, however old", async () => {
    const storage = memoryStorage({ now: () => now });
    store(storage, newer, tail);
    storage.objects.delete(`${tail.prefix}manifest.json`);
    const [result] = await pruneBackups({
      job: "shop",
      destinations: [destinationOf("disk", storage)],
      retention: undefined,
      timezone: "UTC",
      abandonedAfterMs: 86_400_000,
      isDryRun: false,
    }, contextOf(() => now));
    assert.deepEqual(result!.abandoned.map(({ reason }) => reason), [
      'of kind "tail", which is not known here',
    ]);
    assert.ok([...storage.objects.keys()].some((key) => key.startsWith(tail.prefix)));
  });
});
