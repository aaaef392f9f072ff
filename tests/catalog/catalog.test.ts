import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readCatalog, surveyCatalog } from "../../src/catalog/catalog.ts";
import { addMark, removeMark } from "../../src/catalog/marks.ts";
import { markName, parseMarkName } from "../../src/catalog/mark-names.ts";
import { chainOf, goodBackups, latest, resolveBackup } from "../../src/catalog/choose.ts";
import { manifestText, parseManifest, sha256Of } from "../../src/catalog/manifest.ts";
import { manifestSchema } from "../../src/contracts/manifest.ts";
import { store } from "../jobs/support.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { never } from "../support/runtime.ts";
import { idOf, markAt, refOf } from "./refs.ts";

const o = { signal: never };
const full = refOf({ id: "aaaaaaa1", at: "2026-11-01T00:00:00Z" });
const child = refOf({ id: "aaaaaaa2", at: "2026-11-02T00:00:00Z", parentId: "aaaaaaa1" });
const grandchild = refOf({ id: "aaaaaab3", at: "2026-11-03T00:00:00Z", parentId: "aaaaaaa2" });

describe("the catalog", () => {
  test("tells 10,000 backups from one LIST, oldest first, and reads nothing", async () => {
    const storage = memoryStorage();
    for (let number = 10_000; number > 0; number--) {
      store(storage, refOf({ id: idOf(number), at: new Date(number * 60_000) }));
    }
    const refs = await readCatalog(storage, o);
    assert.deepEqual([refs.length, refs[0]!.id], [10_000, idOf(1)]);
    assert.deepEqual([storage.calls.list, storage.calls.get, storage.calls.stat], [1, 0, 0]);
  });

  test("has time, kind, id, source, parent, size, files and marks of each", async () => {
    const storage = memoryStorage();
    store(storage, { ...child, marks: [{ type: "hold" }] });
    const [ref] = await readCatalog(storage, o);
    const { id, kind, createdAt, sourceTag, parentId, marks, storedBytes, job } = ref!;
    assert.deepEqual(
      { id, kind, createdAt, sourceTag, parentId, marks, storedBytes, job },
      {
        id: "aaaaaaa2",
        kind: "incremental",
        createdAt: child.createdAt,
        sourceTag: "s41f0c2",
        parentId: "aaaaaaa1",
        marks: [{ type: "hold" }],
        storedBytes: 2,
        job: "shop",
      },
    );
  });

  test("passes over what is no backup, and tells what is unfinished apart", async () => {
    const storage = memoryStorage();
    store(storage, full);
    const put = (key: string) =>
      storage.objects.set(key, { body: new Uint8Array(1), modifiedAt: new Date(0) });
    for (const key of ["x", "shop/x", "shop/x/manifest.json", `${child.prefix}dump-001.sql`]) {
      put(key);
    }
    put("shop/clock-aaaaaaa1");
    const { backups, abandoned, scratch } = await surveyCatalog(storage, o);
    assert.deepEqual(backups.map(({ id }) => id), ["aaaaaaa1"]);
    assert.deepEqual(abandoned.map(({ id, job }) => [id, job]), [["aaaaaaa2", "shop"]]);
    assert.deepEqual(scratch.map(({ key }) => key), ["shop/clock-aaaaaaa1"]);
  });

  test("lists one job alone where it is asked to", async () => {
    const storage = memoryStorage();
    store(storage, full, refOf({ id: "bbbbbbb1", at: "2026-11-01T00:00:00Z", job: "shop2" }));
    assert.equal((await readCatalog(storage, { ...o, job: "shop" })).length, 1);
  });
});

describe("choosing", () => {
  const refs = [full, child, grandchild];

  test("an id may be shortened while it is unique, and upper case does not matter", () => {
    assert.equal(resolveBackup(refs, "aaaaaab"), grandchild);
    assert.equal(resolveBackup(refs, "AAAAAAA1"), full);
    assert.equal(resolveBackup([...refs, ...refs], "aaaaaaa1"), full);
    assert.throws(() => resolveBackup(refs, "aaaaaaa"), { code: "usage/ambiguous-backup" });
    assert.throws(() => resolveBackup(refs, "zz"), { code: "usage/no-such-backup" });
    assert.throws(() => resolveBackup(refs, ""), { code: "usage/no-such-backup" });
    const newest = latest(refs, refs[0]!.job)!.id;
    assert.throws(() => resolveBackup(refs, refs[0]!.job), {
      code: "usage/no-such-backup",
      hint: `Its newest backup is ${newest}.`,
    });
  });

  test("a chain goes from the full backup to the one that is meant", () => {
    assert.deepEqual(chainOf(refs, grandchild), refs);
    assert.throws(() => chainOf([full, grandchild], grandchild), {
      code: "verification/broken-chain",
    });
    const circle = refOf({ id: "aaaaaaa1", at: "2026-11-01T00:00:00Z", parentId: "aaaaaaa2" });
    assert.throws(() => chainOf([circle, child], child), { code: "verification/broken-chain" });
  });

  test("the latest is of one job and, where asked, of one source", () => {
    const other = refOf({ id: "ccccccc1", at: "2026-11-09T00:00:00Z", sourceTag: "s000001" });
    assert.equal(latest([...refs, other], "shop"), other);
    assert.equal(latest([...refs, other], "shop", "s41f0c2"), grandchild);
    assert.equal(latest(refs, "blog"), undefined);
  });

  test("good is what is whole and undamaged down to the full one", () => {
    assert.deepEqual(goodBackups(refs), refs);
    const damaged = { ...child, marks: [markAt("damaged", "2026-11-05T00:00:00Z")] };
    assert.deepEqual(goodBackups([full, damaged, grandchild]), [full]);
    assert.deepEqual(goodBackups([child]), []);
  });
});

describe("marks", () => {
  test("are told by their names", () => {
    const at = new Date("2026-11-24T04:00:00Z");
    for (const mark of [{ type: "hold" } as const, { type: "verified", at } as const]) {
      assert.deepEqual(parseMarkName(markName(mark)), mark);
    }
    for (const name of ["hold-1", "verified", "damaged-now", "manifest.json"]) {
      assert.equal(parseMarkName(name), undefined);
    }
  });

  test("can be set and lifted twice", async () => {
    const storage = memoryStorage();
    const manifest = `${full.prefix}manifest.json`;
    storage.objects.set(manifest, { body: new Uint8Array(1), modifiedAt: new Date() });
    await addMark(storage, full, { type: "hold" }, o);
    await addMark(storage, full, { type: "hold" }, o);
    assert.deepEqual([...storage.objects.keys()], [manifest, `${full.prefix}hold`]);
    await removeMark(storage, full, { type: "hold" }, o);
    await removeMark(storage, full, { type: "hold" }, o);
    assert.deepEqual([...storage.objects.keys()], [manifest]);
  });

  test("are not left where the backup was pruned meanwhile", async () => {
    const storage = memoryStorage();
    await assert.rejects(addMark(storage, full, { type: "hold" }, o), {
      code: "storage/not-found",
    });
    assert.equal(storage.objects.size, 0);
  });
});

describe("a manifest", () => {
  const sha256 = "0".repeat(64);
  const at = "2026-11-23T03:00:00.000Z";
  const manifest = manifestSchema.parse({
    formatVersion: 1,
    id: "aaaaaaa1",
    job: "shop",
    kind: "full",
    parent: null,
    source: { kind: "sqlite", id: "x", tag: "s41f0c2", flavour: "SQLite", version: "3" },
    tool: { name: "dbbackup", version: "1" },
    clientTools: [],
    startedAt: at,
    finishedAt: at,
    consistentAt: at,
    position: {},
    clockOffsetMs: null,
    settings: {},
    omitted: [],
    warnings: [],
    later: { unknown: true },
    artifacts: [{
      number: 1,
      role: "dump",
      databases: ["shop"],
      format: "sqlite",
      codecs: [],
      rawBytes: 1,
      rawSha256: sha256,
      storedBytes: 1,
      storedSha256: sha256,
      volumes: [{ name: "dump-001.sqlite", bytes: 1, sha256 }],
    }],
  });
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

  test("is read as it was written, unknown fields and all", () => {
    const text = manifestText(manifest);
    const again = parseManifest(new TextEncoder().encode(text), "k");
    assert.deepEqual(again, manifest);
    assert.equal(manifestText(again), text);
    assert.match(sha256Of(text), /^[0-9a-f]{64}$/);
  });

  test("that is empty, cut, or no manifest is refused with its key", () => {
    const whole = manifestText(manifest);
    for (const text of ["", whole.slice(0, -20), "{}", '{"formatVersion":1}']) {
      assert.throws(() => parseManifest(new TextEncoder().encode(text), "shop/k"), (error) => {
        const { code, message } = error as { code: string; message: string };
        return code === "verification/manifest" && message.includes("shop/k");
      });
    }
  });

  test("of a newer format is refused with what it takes, whatever else it looks like", () => {
    const newer = { formatVersion: 2, tool: { name: "dbbackup", version: "9.1" } };
    assert.throws(() => parseManifest(bytes(newer), "k"), {
      code: "verification/newer-format",
      hint: "Use dbbackup 9.1 or newer.",
    });
  });
});
