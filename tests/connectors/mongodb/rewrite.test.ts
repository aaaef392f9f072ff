import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { deserialize, type Document, serialize } from "bson";
import fc from "fast-check";
import { namespaceOf } from "../../../src/connectors/mongodb/archive/namespace.ts";
import { type NamespaceRules, ruledEntry } from "../../../src/connectors/mongodb/archive/oplog.ts";
import { rewriteArchive } from "../../../src/connectors/mongodb/archive/rewrite.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { archiveOf, archives, chunked, walk, whole } from "./archives.ts";

const cuts = fc.array(fc.nat());
const everything: NamespaceRules = { keep: () => true, rename: (db) => db };

describe("mongodb archive rewriter", () => {
  test("leaves an archive as it is, byte by byte, when it is told to keep everything", () =>
    fc.assert(fc.asyncProperty(archives, cuts, async ({ bytes }, at) => {
      const rewritten = await whole(rewriteArchive(chunked(bytes, at), everything));
      assert.deepEqual(Buffer.from(rewritten), Buffer.from(bytes));
    })));

  test("renames databases, and the result is an archive with the same documents", () =>
    fc.assert(fc.asyncProperty(archives, cuts, async ({ bytes }, at) => {
      const before = await walk(chunked(bytes, []));
      const rules = { ...everything, rename: (db: string) => `${db} renamed` };
      const after = await walk(rewriteArchive(chunked(bytes, at), rules));
      const byName = (list: typeof after) =>
        new Map(list.map((one) => [one.database, one.objects]));
      const renamed = before.map((one) => ({ ...one, database: `${one.database} renamed` }));
      assert.deepEqual(byName(after), byName(renamed));
    })));

  test("keeps only what it is told to, in the oplog too", () =>
    fc.assert(fc.asyncProperty(archives, fc.nat(), cuts, async ({ bytes, parts }, which, at) => {
      const { db, collection } = parts[which % parts.filter((part) => part.db !== "").length]!;
      const rules = {
        ...everything,
        keep: (d: string, c?: string) => d === db && c === collection,
      };
      const rewritten = await whole(rewriteArchive(chunked(bytes, at), rules));
      const before = await walk(chunked(bytes, []));
      const own = before.find(({ database }) => database === db);
      const objects = own?.objects.filter(({ name }) => name === collection);
      assert.deepEqual(await walk(chunked(rewritten, [])), [{ database: db, objects }]);
    })));

  test("leaves out documents and keeps the collection", () =>
    fc.assert(fc.asyncProperty(archives, cuts, async ({ bytes }, at) => {
      const rules = { ...everything, hasData: () => false };
      const databases = await walk(rewriteArchive(chunked(bytes, at), rules));
      const before = await walk(chunked(bytes, []));
      const emptied = before.map((one) => ({
        ...one,
        objects: one.objects.map((object) => ({ ...object, count: 0, bytes: 0, isExact: true })),
      }));
      assert.deepEqual(databases, emptied);
    })));

  test("passes no damage on as sound: cut anywhere or with any bit of its blocks flipped", () =>
    fc.assert(
      fc.asyncProperty(
        archives,
        fc.boolean(),
        fc.nat(),
        cuts,
        async ({ bytes, preludeBytes }, isCut, where, at) => {
          const damaged = isCut
            ? bytes.slice(0, 1 + where % (bytes.byteLength - 1))
            : bytes.slice();
          if (!isCut) {
            const bit = preludeBytes * 8 + where % ((bytes.byteLength - preludeBytes) * 8);
            damaged[bit >> 3]! ^= 1 << (bit & 7);
          }
          await assert.rejects(
            walk(rewriteArchive(chunked(damaged, at), everything)),
            (error) => hasCode(error, "verification/"),
          );
        },
      ),
      { numRuns: 500 },
    ));

  test("tells the times of the oplog and drops its no-ops", async () => {
    const entry = (op: string, i: number) => ({ op, ns: "a.b", o: { _id: i }, ts: i, t: 1 });
    const archive = archiveOf([
      { db: "a", collection: "b", documents: [] },
      { db: "", collection: "oplog", documents: [entry("i", 1), entry("n", 2)] },
    ]);
    const rewritten = await whole(rewriteArchive(chunked(archive.bytes, [7, 100]), everything));
    const kept = archiveOf([archive.parts[0]!, {
      ...archive.parts[1]!,
      documents: [entry("i", 1)],
    }]);
    assert.deepEqual(Buffer.from(rewritten), Buffer.from(kept.bytes));
  });
});

describe("mongodb oplog entries", () => {
  const ruled = (entry: Document, rules: Partial<NamespaceRules>): Document | undefined => {
    const bytes = ruledEntry(serialize(entry), { ...everything, ...rules });
    return bytes && deserialize(bytes);
  };
  const onlyA = { keep: (db: string) => db === "a", rename: (db: string) => db.toUpperCase() };

  test("of other namespaces are dropped, and the rest gets its new name", () => {
    const write = { op: "i", ns: "a.b.c", o: { _id: 1 } };
    assert.deepEqual(ruled(write, onlyA), { ...write, ns: "A.b.c" });
    assert.equal(ruled({ ...write, ns: "b.a" }, onlyA), undefined);
    const create = { op: "c", ns: "a.$cmd", o: { create: "x", idIndex: { v: 2 } } };
    assert.deepEqual(ruled(create, onlyA), { ...create, ns: "A.$cmd" });
  });

  test("of a transaction keep their frame, with what is left in it", () => {
    const inside = (ns: string) => ({ op: "i", ns, o: { _id: 1 }, ui: "x" });
    const entry = {
      op: "c",
      ns: "admin.$cmd",
      lsid: { id: 1 },
      txnNumber: 5,
      o: { applyOps: [inside("b.x"), inside("a.x"), inside("b.y")], count: 3 },
    };
    const left = { applyOps: [inside("A.x")], count: 3 };
    assert.deepEqual(ruled(entry, onlyA), { ...entry, o: left });
    const none = { applyOps: [], count: 3 };
    assert.deepEqual(ruled(entry, { keep: () => false }), { ...entry, o: none });
  });

  test("on views become the commands behind them, which a server replays", () => {
    const frame = { ts: 5, v: 2 };
    const make = {
      ...{ op: "i", ns: "a.system.views", ui: "x", ...frame },
      o: { _id: "a.v.w", viewOn: "b", pipeline: [{ $match: {} }] },
    };
    const created = { create: "v.w", viewOn: "b", pipeline: [{ $match: {} }] };
    assert.deepEqual(ruled(make, onlyA), { op: "c", ns: "A.$cmd", ...frame, o: created });
    const drop = { op: "d", ns: "a.system.views", ...frame, o: { _id: "a.v" } };
    assert.deepEqual(ruled(drop, onlyA), { op: "c", ns: "A.$cmd", ...frame, o: { drop: "v" } });
    const change = { ...make, op: "u", o2: { _id: "a.v.w" } };
    assert.deepEqual(ruled(change, onlyA)?.["o"], {
      applyOps: [
        { op: "c", ns: "A.$cmd", ...frame, o: { drop: "v.w" } },
        { op: "c", ns: "A.$cmd", ...frame, o: created },
      ],
    });
    assert.equal(ruled(make, { keep: (_, collection) => collection === "b" }), undefined);
    const views = { op: "c", ns: "a.$cmd", o: { create: "system.views" } };
    assert.equal(ruled(views, onlyA), undefined);
  });

  test("without data lose their writes and keep what changes collections", () => {
    const rules = { hasData: () => false };
    assert.equal(ruled({ op: "u", ns: "a.b", o: { _id: 1 } }, rules), undefined);
    const drop = { op: "c", ns: "a.$cmd", o: { drop: "b" } };
    assert.deepEqual(ruled(drop, rules), drop);
  });

  test("of the buckets of a time series go with the series", () => {
    const write = { op: "i", ns: "a.system.buckets.weather", o: { _id: 1 } };
    const keep = (_: string, collection?: string) => collection === "weather";
    assert.deepEqual(ruled(write, { keep }), write);
    assert.equal(namespaceOf({ db: "a", collection: "b" }), "a.b");
  });
});
