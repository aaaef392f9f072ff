import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { namespaceOf } from "../../../src/connectors/mongodb/archive/namespace.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { archiveOf, archives, chunked, type TestArchive, walk } from "./archives.ts";
import { code } from "./opened.ts";

const cuts = fc.array(fc.nat());

/** Counts by namespace, as the archive was made. */
function countsOf({ parts }: TestArchive): Map<string, number> {
  const own = parts.filter(({ db }) => db !== "");
  return new Map(own.map((part) => [namespaceOf(part), part.documents.length]));
}

async function walkedCounts(bytes: Uint8Array, at: readonly number[] = []) {
  const databases = await walk(chunked(bytes, at));
  return new Map(
    databases.flatMap(({ database, objects }) =>
      objects.filter(({ type }) => type === "collection").map(({ name, count }) =>
        [`${database}.${name}`, count ?? -1] as const
      )
    ),
  );
}

/** Whether bytes are refused as damaged. */
async function isRefused(bytes: Uint8Array, at: readonly number[] = []): Promise<boolean> {
  try {
    await walk(chunked(bytes, at));
    return false;
  } catch (error) {
    if (hasCode(error, "verification/")) return true;
    throw error;
  }
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

describe("mongodb archive walker", () => {
  test("every archive passes, however it is cut into chunks, and is counted", () =>
    fc.assert(fc.asyncProperty(archives, cuts, async (archive, at) => {
      const expected = [...countsOf(archive)].sort();
      assert.deepEqual([...await walkedCounts(archive.bytes, at)].sort(), expected);
    })));

  test("one that is cut short anywhere is truncated", () =>
    fc.assert(fc.asyncProperty(archives, fc.nat(), cuts, async ({ bytes }, length, at) => {
      const cut = bytes.subarray(0, length % bytes.byteLength);
      await assert.rejects(
        walk(cut.byteLength === 0 ? bytesOf(cut) : chunked(cut, at)),
        code("verification/truncated"),
      );
    })));

  test("one with a flipped bit in its blocks is refused, in framing and data alike", () =>
    fc.assert(
      fc.asyncProperty(archives, fc.nat(), cuts, async ({ bytes, preludeBytes }, where, at) => {
        const bits = (bytes.byteLength - preludeBytes) * 8;
        assert.ok(await isRefused(flipped(bytes, preludeBytes * 8 + where % bits), at));
      }),
      { numRuns: 1000 },
    ));

  test("no single bit of a whole small archive can change what is counted", async () => {
    const archive = archiveOf([
      { db: "a", collection: "c", documents: [{ _id: 1 }, { _id: 2 }] },
      { db: "a", collection: "b", documents: [] },
      { db: "", collection: "oplog", documents: [{ op: "n", ns: "", o: {} }] },
    ], [{ part: 0, documents: 1 }]);
    const expected = [...await walkedCounts(archive.bytes)];
    for (let bit = 0; bit < archive.bytes.byteLength * 8; bit++) {
      const damaged = flipped(archive.bytes, bit);
      const isInPrelude = bit < archive.preludeBytes * 8;
      if (await isRefused(damaged)) continue;
      assert.ok(isInPrelude, `bit ${bit}`);
      assert.deepEqual([...await walkedCounts(damaged)], expected, `bit ${bit}`);
    }
  });

  test("bytes that follow the end, and other bytes, are refused", () =>
    fc.assert(
      fc.asyncProperty(archives, fc.uint8Array({ minLength: 1 }), async ({ bytes }, more) => {
        assert.ok(await isRefused(Uint8Array.from([...bytes, ...more])));
        assert.ok(await isRefused(more));
      }),
    ));

  test("what an archive must not hold is named", async () => {
    const one = { db: "a", collection: "b", documents: [{ _id: 1 }] };
    const { bytes, preludeBytes } = archiveOf([one]);
    const blocks = bytes.subarray(preludeBytes);
    const again = Uint8Array.from([...bytes, ...blocks]);
    await assert.rejects(walk(bytesOf(again)), /"a\.b" goes on after its end/);
    const twice = archiveOf([one, one]);
    await assert.rejects(walk(bytesOf(twice.bytes)), /announces "a\.b" twice/);
    const other = archiveOf([{ ...one, collection: "c" }]);
    const mixed = Uint8Array.from([
      ...bytes.subarray(0, preludeBytes),
      ...other.bytes.subarray(other.preludeBytes),
    ]);
    await assert.rejects(walk(bytesOf(mixed)), /does not announce "a\.c"/);
  });
});

describe("mongodb inventory of an archive", () => {
  const inventory = async (operations: readonly object[]) =>
    await walk(bytesOf(
      archiveOf([
        { db: "shop", collection: "orders", documents: [{ _id: 1 }], indexes: ["by day"] },
        { db: "shop", collection: "quiet", documents: [{ _id: 1 }, { _id: 2 }] },
        { db: "shop", collection: "open", documents: [], type: "view" },
        { db: "old", collection: "c", documents: [] },
        { db: "", collection: "oplog", documents: operations },
      ]).bytes,
    ));
  const orders = { type: "collection", name: "orders", count: 1, isExact: true, bytes: 14 };
  const quiet = { type: "collection", name: "quiet", count: 2, isExact: true, bytes: 28 };
  const byDay = { type: "index", name: "orders.by day" };
  const open = { type: "view", name: "open" };
  const old = {
    database: "old",
    objects: [{ type: "collection", name: "c", count: 0, isExact: true, bytes: 0 }],
  };
  const command = (db: string, o: object) => ({ op: "c", ns: `${db}.$cmd`, o });
  const cases: Record<
    string,
    [operations: object[], shop: object[] | undefined, others: object[]]
  > = {
    "nothing": [[], [orders, byDay, quiet, open], [old]],
    "a no-op": [[{ op: "n", ns: "", o: { msg: "periodic noop" } }], [
      orders,
      byDay,
      quiet,
      open,
    ], [old]],
    "a write": [[{ op: "i", ns: "shop.orders", o: { _id: 2 } }], [
      { ...orders, isExact: false },
      byDay,
      quiet,
      open,
    ], [old]],
    "a write inside a transaction": [
      [command("admin", { applyOps: [{ op: "d", ns: "shop.quiet", o: { _id: 1 } }] })],
      [orders, byDay, { ...quiet, isExact: false }, open],
      [old],
    ],
    "a new collection with an index": [
      [
        command("new", { create: "c.d" }),
        command("new", { createIndexes: "c.d", v: 2, key: { a: 1 }, name: "a_1" }),
        { op: "i", ns: "new.c.d", o: { _id: 1 } },
      ],
      [orders, byDay, quiet, open],
      [{
        database: "new",
        objects: [
          { type: "collection", name: "c.d", count: 0, isExact: false },
          { type: "index", name: "c.d.a_1" },
        ],
      }, old],
    ],
    "a dropped collection": [[command("shop", { drop: "orders" })], [quiet, open], [old]],
    "a dropped database": [[command("old", { dropDatabase: 1 })], [
      orders,
      byDay,
      quiet,
      open,
    ], []],
    "an index built and one dropped": [
      [
        command("shop", {
          commitIndexBuild: "quiet",
          indexes: [{ v: 2, key: { a: 1 }, name: "a_1" }, { v: 2, key: { b: 1 }, name: "b" }],
        }),
        command("shop", { dropIndexes: "orders", index: "by day" }),
      ],
      [orders, quiet, { type: "index", name: "quiet.a_1" }, {
        type: "index",
        name: "quiet.b",
      }, open],
      [old],
    ],
    "a view made, and one dropped": [
      [
        command("shop", { create: "later", viewOn: "quiet", pipeline: [] }),
        command("shop", { drop: "open" }),
      ],
      [orders, byDay, quiet, { type: "view", name: "later" }],
      [old],
    ],
  };
  for (const [what, [operations, shop, others]] of Object.entries(cases)) {
    test(`takes ${what} in the oplog into account`, async () => {
      const own = shop === undefined ? [] : [{ database: "shop", objects: shop }];
      const byName = (list: readonly object[]) =>
        [...list].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
      assert.deepEqual(byName(await inventory(operations)), byName([...others, ...own]));
    });
  }

  test("refuses a description that is not JSON", async () => {
    const { bytes } = archiveOf([{ db: "a", collection: "b", documents: [] }]);
    const copy = bytes.slice();
    const at = copy.findIndex((byte, index) => byte === 0x7b && copy[index + 1] === 0x22);
    copy[at] = 0x28;
    await assert.rejects(walk(bytesOf(copy)), code("verification/structure"));
  });
});
