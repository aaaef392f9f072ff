import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { BSON, deserialize, type Document, Long, serialize, Timestamp, UUID } from "bson";
import { elements, find, inner } from "../../../src/connectors/mongodb/archive/bson.ts";
import { readEntry } from "../../../src/connectors/mongodb/oplog/entry.ts";
import { announced } from "../../../src/connectors/mongodb/oplog/base.ts";
import { applyDiff, UnknownDiff } from "../../../src/connectors/mongodb/oplog/diff.ts";
import { replay } from "../../../src/connectors/mongodb/oplog/replay.ts";
import type { ReplayRules } from "../../../src/connectors/mongodb/oplog/replay-rules.ts";
import { fileSpools } from "../../../src/connectors/mongodb/oplog/spool.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { onFixtures } from "../../support/mongoKinds.ts";
import { described, memorySpool, model, restoredBase } from "./model.ts";
import {
  entriesOf,
  type Moment,
  recorded,
  recordedMoments,
  recordedPrepared,
  sliceNumbers,
  type Time,
} from "./recording.ts";

const isAfter = (a: Time, b: Time) => a.t > b.t || (a.t === b.t && a.i > b.i);
const entries = sliceNumbers.flatMap((number) =>
  [
    ...entriesOf(recorded(`slice-${number}.bson`)),
  ].map((one) => readEntry(one)!)
);
const recording = recordedMoments();
const momentOf = (name: string): Moment => recording.moments.find((one) => one.name === name)!;

/** Replays the recording up to and with a time. */
async function replayedTo(until: Time, rules: Partial<ReplayRules> = {}) {
  const restored = await restoredBase(recorded("base.archive"), rules);
  for (const entry of entries) {
    if (isAfter(entry.time, until)) break;
    await restored.replay.entry(entry, "exact");
  }
  await restored.replay.end();
  return restored;
}

/** The sum of the balances that transactions move between accounts. */
const sumOf = (state: Awaited<ReturnType<typeof replayedTo>>) =>
  [...state.model.collections.get("shop.accounts")!.documents.values()]
    .reduce((sum, document) => sum + Number(deserialize(document)["balance"]), 0);

describe("a replayed oplog", () => {
  onFixtures("replay")("leads to every recorded moment: documents, options, indexes", async () => {
    const { model, replay } = await restoredBase(recorded("base.archive"));
    let at = 0;
    for (const { name, ts, databases } of recording.moments) {
      while (at < entries.length && !isAfter(entries[at]!.time, ts)) {
        await replay.entry(entries[at++]!, "exact");
      }
      await replay.flush();
      assert.deepEqual(described(model, replay, recording), databases, name);
    }
    assert.equal(at, entries.length);
  });

  onFixtures("transactions")(
    "has all of a transaction or nothing, at each entry of it",
    async () => {
      const before = momentOf("transactions");
      const { largeTransaction, chainedTransaction } = recording;
      const stateAt = async (until: Time) => {
        const { model, replay } = await replayedTo(until);
        return described(model, replay, recording);
      };
      const untouched = await stateAt(before.ts);
      assert.deepEqual(untouched, before.databases);
      // All but the last entry: as if nothing of it had been written.
      for (const [first, ...others] of [largeTransaction, chainedTransaction]) {
        const atFirst = await stateAt(first!);
        for (const middle of others.slice(0, -1)) assert.deepEqual(await stateAt(middle), atFirst);
        assert.notDeepEqual(await stateAt(others.at(-1)!), atFirst);
      }
    },
  );

  onFixtures("transactions")("keeps sums that transactions keep, after every entry", async () => {
    const state = await restoredBase(recorded("base.archive"));
    const sums = new Set<number>();
    for (const entry of entries) {
      await state.replay.entry(entry, "exact");
      if (entry.collection !== "$cmd" && entry.collection !== "accounts") continue;
      await state.replay.flush();
      sums.add(sumOf(state));
    }
    assert.deepEqual([...sums], [20_000]);
  });

  onFixtures("transactions")(
    "of a base that ends before a commit has it with the commit",
    async () => {
      const { moments } = recordedPrepared();
      const { model, replay } = await restoredBase(recorded("prepared/base.archive"));
      const slice = [...entriesOf(recorded("prepared/slice.bson"))].map((one) => readEntry(one)!);
      for (const { ts, databases, name } of moments) {
        for (const entry of slice.splice(0).map((one) => one)) {
          if (isAfter(entry.time, ts)) slice.push(entry);
          else await replay.entry(entry, "exact");
        }
        await replay.flush();
        const found = described(model, replay, recording);
        for (const [db, collections] of Object.entries(databases)) {
          for (const [collection, { docs, count }] of Object.entries(collections)) {
            const now = found[db]![collection]!;
            assert.deepEqual([now.count, now.docs], [count, docs], `${name} ${collection}`);
          }
        }
      }
    },
  );

  onFixtures("transactions")("stops at a transaction whose beginning it has not", async () => {
    const { replay } = await restoredBase(recorded("base.archive"));
    const chained = recording.chainedTransaction;
    const lacking = entries.filter((entry) => {
      const { t, i } = entry.time;
      return t !== chained[1]!.t || i > chained[1]!.i;
    });
    await assert.rejects(
      async () => {
        for (const entry of lacking) await replay.entry(entry, "exact");
      },
      (error: BackupError) =>
        error.code === "restore/failed" && /a transaction is not whole/.test(error.message) &&
        /1795858249:/.test(error.message),
    );
  });

  onFixtures("replay")("brings one database back under another name", async () => {
    const { ts, databases } = momentOf("end");
    const { model, replay } = await replayedTo(ts, {
      nameOf: (db) => db === "shop" ? "copy" : undefined,
    });
    const found = described(model, replay, recording);
    assert.deepEqual(found, { copy: databases["shop"] });
  });

  onFixtures("replay")("keeps large transactions in a file", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "spool-"));
    const { ts, databases } = momentOf("chained and prepared transactions");
    const { model, replay } = await replayedTo(ts, { spool: fileSpools(folder) });
    assert.deepEqual(described(model, replay, recording), databases);
  });
});

/** A replay onto a model, of entries that are made by hand; each is a second after the one before. */
async function replayed(
  operations: readonly Document[],
  { rules = {}, window = [] }: {
    readonly rules?: Partial<ReplayRules>;
    readonly window?: readonly Document[];
  } = {},
) {
  const server = model();
  const under = replay({ sink: server, spool: memorySpool, nameOf: (db) => db, ...rules });
  let t = 1_800_000_000;
  const next = (operation: Document) =>
    serialize({ ts: new Timestamp({ t: t++, i: 1 }), ...operation });
  for (const one of window) await under.entry(readEntry(next(one))!, "window");
  for (const one of operations) await under.entry(readEntry(next(one))!, "exact");
  await under.end();
  const content = Object.fromEntries(
    [...server.collections].map(([name, { documents }]) => [
      name,
      [...documents.values()].map((document) => deserialize(document)),
    ]),
  );
  return { server, under, content };
}

const insert = (ns: string, o: Document) => ({ op: "i", ns, o });
const update = (ns: string, _id: unknown, o: Document) => ({ op: "u", ns, o, o2: { _id } });
const remove = (ns: string, _id: unknown) => ({ op: "d", ns, o: { _id } });
const command = (o: Document, db = "shop") => ({ op: "c", ns: `${db}.$cmd`, o });
const failsWith = (pattern: RegExp) => (error: BackupError) =>
  error.code === "restore/failed" && pattern.test(error.message);

describe("a collection of the full backup", () => {
  const indexOf = (key: string) => {
    const metadata = `{"options":{},"indexes":[{"v":{"$numberInt":"2"},"key":${key},"name":"i"}]}`;
    const entry = { db: "shop", collection: "c", type: "collection", metadata };
    return announced(entry, BSON).state.indexes.get("i")!;
  };

  test("has its indexes with their fields in their order, numbers or not", () => {
    const name = 'a"7';
    const key = `{"2021":{"$numberInt":"1"},"2020" : {"$numberInt":"-1"},"b":{"$numberInt":"1"},` +
      `"10.9":{"$numberInt":"1"},"\\u000112":{"$numberInt":"1"},${JSON.stringify(name)}:` +
      `{"$numberInt":"1"},"0":{"$numberInt":"1"}}`;
    const fields = [...elements(inner(find(indexOf(key), "key"))!)];
    assert.deepEqual(
      fields.map((one) => one.name),
      ["2021", "2020", "b", "10.9", "\u000112", name, "0"],
    );
    assert.deepEqual(fields.map(({ type }) => type), fields.map(() => 0x10));
  });
});

describe("what an entry does", () => {
  test("a command that is not known stops the replay, with its time", async () => {
    await assert.rejects(
      replayed([command({ create: "c" }), command({ importCollection: "c" })]),
      failsWith(
        /beyond 1800000001:1 \(2027-01-15T08:00:01.000Z\).*"importCollection", is not known/,
      ),
    );
  });

  test("a write to a collection that is not there is an error, and in the window nothing", async () => {
    const gone = [
      insert("shop.gone", { _id: 1 }),
      update("shop.gone", 1, { $v: 1, $set: { a: 1 } }),
    ];
    await assert.rejects(replayed(gone), failsWith(/"shop.gone" is not there/));
    assert.deepEqual((await replayed([], { window: gone })).content, {});
  });

  test("of the server's own collections nothing is replayed", async () => {
    const { content } = await replayed([
      insert("config.transactions", { _id: 1 }),
      insert("local.startup_log", { _id: 1 }),
      insert("admin.system.users", { _id: 1 }),
      command({ create: "system.roles" }, "admin"),
      command({ createIndexes: "system.roles", key: { role: 1 }, name: "r" }, "admin"),
      { op: "n", ns: "shop.c", o: { _id: 1, whole: "document" } },
    ]);
    assert.deepEqual(content, {});
  });

  test("views are made, changed and dropped as their documents say", async () => {
    const view = { _id: "shop.v", viewOn: "c", pipeline: [{ $match: { a: 1 } }] };
    const changed = { _id: "shop.v", viewOn: "d", pipeline: [] };
    const start = [command({ create: "system.views" }), insert("shop.system.views", view)];
    const { server } = await replayed(start);
    const { _id, ...definition } = view;
    assert.deepEqual(deserialize(server.collections.get("shop.v")!.options), definition);
    const again = await replayed([...start, update("shop.system.views", "shop.v", changed)]);
    assert.equal(deserialize(again.server.collections.get("shop.v")!.options)["viewOn"], "d");
    assert.deepEqual(
      (await replayed([...start, remove("shop.system.views", "shop.v")])).content,
      {},
    );
  });

  test("indexes wait until the end, and go along with a rename", async () => {
    const { server, under } = await replayed([
      command({ create: "c", collation: { locale: "de" } }),
      command({ createIndexes: "c", v: 2, key: { a: 1 }, name: "a_1", unique: true }),
      command({
        commitIndexBuild: "c",
        indexes: [{ v: 2, key: { t: 1 }, name: "t_1", expireAfterSeconds: 5 }, {
          v: 2,
          key: { x: 1 },
          name: "x_1",
        }],
      }),
      command({ dropIndexes: "c", index: "x_1" }),
      command({ collMod: "c", index: { name: "t_1", expireAfterSeconds: Long.fromNumber(9) } }),
      command({ collMod: "c", index: { keyPattern: { a: 1 }, hidden: true } }),
      command({ renameCollection: "shop.c", to: "other.d", stayTemp: false }),
    ]);
    assert.deepEqual(server.collections.get("other.d")!.indexes, []);
    const [first] = under.indexes();
    const simple = { collation: { locale: "simple" } };
    assert.deepEqual(first!.target, { db: "other", collection: "d" });
    assert.deepEqual(first!.definitions.map((one) => deserialize(one)), [
      { v: 2, key: { a: 1 }, name: "a_1", unique: true, hidden: true, ...simple },
      { v: 2, key: { t: 1 }, name: "t_1", expireAfterSeconds: 9, ...simple },
    ]);
  });

  test("a collection that the server made on its way goes at the end", async () => {
    const out = "tmp.agg_out.6a8c5c74-85f4-4c06-a40b-f2914b561338";
    const half = [command({ create: out, temp: true }), insert(`shop.${out}`, { _id: 1 })];
    assert.deepEqual((await replayed(half)).content, {});
    const whole = [
      ...half,
      command({ renameCollection: `shop.${out}`, to: "shop.o", stayTemp: false }),
    ];
    assert.deepEqual((await replayed(whole)).content, { "shop.o": [{ _id: 1 }] });
  });

  test("a rename out of what is restored takes it away, one into it cannot be had", async () => {
    const rules = { nameOf: (db: string) => db === "shop" ? "shop" : undefined };
    const start = [command({ create: "c" }), command({ create: "c" }, "other")];
    const out = command({ renameCollection: "shop.c", to: "other.d" });
    assert.deepEqual((await replayed([...start, out], { rules })).content, {});
    await assert.rejects(
      replayed([...start, command({ renameCollection: "other.c", to: "shop.d" })], { rules }),
      failsWith(/"shop.d" comes from "other.c", which is not restored/),
    );
  });

  test("a dropped database takes what is in it along, and no other's", async () => {
    const { content } = await replayed([
      command({ create: "c" }),
      command({ create: "c" }, "shop2"),
      command({ dropDatabase: 1 }),
    ]);
    assert.deepEqual(Object.keys(content), ["shop2.c"]);
  });

  test("a time series is made and dropped with its buckets", async () => {
    const timeseries = { timeField: "at", granularity: "seconds" };
    const start = [
      command({ create: "system.buckets.s", timeseries, expireAfterSeconds: Long.fromNumber(60) }),
      insert("shop.system.views", { _id: "shop.s", viewOn: "system.buckets.s", pipeline: [] }),
      insert("shop.system.buckets.s", { _id: 1 }),
    ];
    const { content, under } = await replayed(start);
    assert.deepEqual(content, { "shop.system.buckets.s": [{ _id: 1 }] });
    assert.deepEqual(under.expiring().map(({ target, change }) => [target, deserialize(change)]), [
      [{ db: "shop", collection: "s" }, { expireAfterSeconds: 60 }],
    ]);
    const gone = await replayed([
      ...start,
      remove("shop.system.views", "shop.s"),
      command({ drop: "system.buckets.s" }),
    ]);
    assert.deepEqual(gone.content, {});
  });

  test("several retryable writes in one entry count by themselves", async () => {
    const { content } = await replayed([command({ create: "c" }), {
      ...command(
        { applyOps: [insert("shop.c", { _id: 1 }), insert("shop.c", { _id: 2 })] },
        "admin",
      ),
      ...{ lsid: { id: new UUID(), uid: 1 }, txnNumber: Long.fromNumber(1), multiOpType: 1 },
      prevOpTime: { ts: new Timestamp({ t: 5, i: 5 }), t: Long.fromNumber(1) },
    }]);
    assert.deepEqual(content["shop.c"], [{ _id: 1 }, { _id: 2 }]);
  });

  test("a transaction of the window counts without what is not in the base", async () => {
    const part = (operations: Document[], more: Document, isFirst: boolean) => ({
      ...command({ applyOps: operations, ...more }, "admin"),
      ...{ lsid: { id: new UUID("30d96917-ac0d-46a0-9b9e-5af9afe4d936") } },
      txnNumber: Long.fromNumber(1),
      prevOpTime: {
        ts: new Timestamp(isFirst ? { t: 0, i: 0 } : { t: 5, i: 5 }),
        t: Long.fromNumber(1),
      },
    });
    const first = part([insert("shop.c", { _id: 1 })], { partialTxn: true }, true);
    // Of three, one was left out of the archive.
    const last = part([insert("shop.c", { _id: 2 })], { count: Long.fromNumber(3) }, false);
    const made = command({ create: "c" });
    const both = [{ _id: 1 }, { _id: 2 }];
    const within = await replayed([], { window: [made, first, last] });
    assert.deepEqual(within.content["shop.c"], both);
    const across = await replayed([last], { window: [made, first] });
    assert.deepEqual(across.content["shop.c"], both);
    await assert.rejects(replayed([made, first, last]), failsWith(/has 2 of 3 operations/));
  });

  test("what the window wrote into a capped collection follows what the dump has seen", async () => {
    const server = model();
    const under = replay({ sink: server, spool: memorySpool, nameOf: (db) => db });
    const options = serialize({ capped: true, size: 4096 });
    await server.create({ db: "shop", collection: "log" }, options);
    under.announce("shop.log", { options, indexes: new Map(), isTemporary: false });
    const target = { db: "shop", collection: "log" };
    const documentOf = (_id: number) => serialize({ _id });
    const { documents } = server.collections.get("shop.log")!;
    // The dump came after 3 and 4, and 3 had fallen out by then.
    await under.flush();
    for (const _id of [4, 5]) {
      const document = documentOf(_id);
      const id = find(document, "_id")!;
      const mode = { isLenient: true, isCapped: true };
      await server.write(target, [{ type: "insert", id, document }], mode);
    }
    let t = 1;
    for (const _id of [3, 4, 5, 6]) {
      const entry = { ts: new Timestamp({ t: t++, i: 1 }), ...insert("shop.log", { _id }) };
      await under.entry(readEntry(serialize(entry))!, "window");
    }
    await under.flush();
    assert.deepEqual([...documents.values()].map((one) => deserialize(one)["_id"]), [4, 5, 6]);
  });
});

describe("an update of 5.0 and newer", () => {
  const changed = (document: Document, diff: Document) =>
    deserialize(applyDiff(serialize(document), serialize(diff)));
  const keys = (document: Document) => Object.keys(document).join("");

  test("sets in place, moves to the end, removes", () => {
    const before = { _id: 1, a: 1, b: 2, c: 3 };
    assert.deepEqual(changed(before, { d: { b: false }, u: { a: 9 }, i: { z: 1 } }), {
      ...{ _id: 1, a: 9, c: 3, z: 1 },
    });
    assert.equal(keys(changed(before, { i: { a: 7, n: 1 } })), "_idbcan");
    assert.deepEqual(changed(before, { u: { "x.y": 1, $z: 2 } }), { ...before, "x.y": 1, $z: 2 });
  });

  test("goes into documents and arrays", () => {
    const before = { _id: 1, o: { p: { q: 1, r: 2 } }, a: [1, { b: 1 }, 3, 4] };
    assert.deepEqual(changed(before, { so: { sp: { u: { q: 5 }, d: { r: false } } } }), {
      ...before,
      o: { p: { q: 5 } },
    });
    assert.deepEqual(
      changed(before, { sa: { a: true, l: 3, u0: "x", s1: { i: { c: 2 } } } })["a"],
      [
        ...["x", { b: 1, c: 2 }, 3],
      ],
    );
    assert.deepEqual(changed(before, { sa: { a: true, u6: 7 } })["a"], [
      ...[1, { b: 1 }, 3, 4, null, null, 7],
    ]);
    assert.deepEqual(changed(before, { sa: { a: true, l: 6 } })["a"], [
      1,
      { b: 1 },
      3,
      4,
      null,
      null,
    ]);
    assert.deepEqual(changed({ a: [[1, 2], 3] }, { sa: { a: true, s0: { a: true, l: 1 } } })["a"], [
      ...[[1], 3],
    ]);
  });

  test("leaves null where it finds another type than it expects", () => {
    assert.deepEqual(
      changed({ o: 5, a: { x: 1 } }, { so: { u: { p: 1 } }, sa: { a: true, u0: 1 } }),
      {
        ...{ o: null, a: null },
      },
    );
  });

  test("is refused where it is written in a way that is not known", () => {
    assert.throws(() => changed({ a: 1 }, { b: { o: 1 } }), UnknownDiff);
    assert.throws(() => changed({ a: [] }, { sa: { a: true, q: 1 } }), UnknownDiff);
  });

  test("twice is the same as once", () => {
    const before = { _id: 1, a: 1, b: { c: [1, 2] }, z: 0 };
    const diff = {
      d: { z: false },
      u: { a: 2 },
      i: { n: 1 },
      sb: { sc: { a: true, l: 3, u2: 9 } },
    };
    assert.deepEqual(changed(changed(before, diff), diff), changed(before, diff));
  });
});
