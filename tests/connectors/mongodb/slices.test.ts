import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { deserialize, type Document, Long, serialize, Timestamp, UUID } from "bson";
import type { NamespaceRules } from "../../../src/connectors/mongodb/archive/oplog.ts";
import { judge, shortOplog } from "../../../src/connectors/mongodb/oplog/continuation.ts";
import { readEntry } from "../../../src/connectors/mongodb/oplog/entry.ts";
import { oplogFormat } from "../../../src/connectors/mongodb/oplog/format.ts";
import { keptEntry, TakenIn } from "../../../src/connectors/mongodb/oplog/kept.ts";
import { positionAt, positions } from "../../../src/connectors/mongodb/oplog/position.ts";
import { sliceEntries } from "../../../src/connectors/mongodb/oplog/slice.ts";
import { sketchSpool } from "../../../src/connectors/mongodb/oplog/spool.ts";
import { transactions } from "../../../src/connectors/mongodb/oplog/transactions.ts";
import { rulesOf } from "../../../src/connectors/mongodb/rules.ts";
import type { RestorableArtifact } from "../../../src/contracts/restore.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { onFixtures } from "../../support/mongoKinds.ts";
import { never } from "../../support/runtime.ts";
import { chunked } from "./archives.ts";
import { recordedChain } from "./chains.ts";
import { code } from "./opened.ts";
import { entriesOf, recorded } from "./recording.ts";

const entry = (t: number, more: Document = {}, term = 1) =>
  serialize({
    ...{ op: "n", ns: "", o: {}, ts: new Timestamp({ t, i: 1 }), t: Long.fromNumber(term) },
    ...more,
  });
const timeOf = (t: number, term = 1) => readEntry(entry(t, {}, term))!;
const at = (t: number, term = 1) => positionAt({ t, i: 1, term }, []);

describe("a position in an oplog", () => {
  test("is before a later one, whatever else it says, and the same as itself", () => {
    const { compare } = positions;
    assert.ok(compare(at(5), at(6))! < 0);
    assert.ok(compare({ type: "oplog", t: 5, i: 2 }, at(5))! > 0);
    assert.equal(compare({ ...at(5), open: [] }, at(5)), 0);
    assert.ok(compare(at(5, 1), at(6, 2))! < 0);
  });

  test("is of another history where elections and times disagree, or where it is no oplog's", () => {
    const { compare } = positions;
    assert.equal(compare(at(5, 1), at(5, 2)), undefined);
    assert.equal(compare(at(5, 3), at(6, 2)), undefined);
    assert.equal(compare(at(5), { type: "lsn" }), undefined);
    // The term of a position that somebody has typed is not known.
    assert.equal(compare(at(5, 3), positions.parse!("5:1")), 0);
  });

  test("is read and written as T:I", () => {
    assert.deepEqual(positions.parse!("1795858231:161"), { type: "oplog", t: 1795858231, i: 161 });
    assert.equal(positions.format!(at(7)), "7:1");
    for (const text of ["", "5", "5:", "a:b", "5:6:7", "-1:2"]) {
      assert.throws(() => positions.parse!(text), code("usage/bad-position"));
    }
  });
});

describe("whether an oplog goes on from a backup", () => {
  const judged = (first: number | undefined, here: ReturnType<typeof timeOf> | undefined) =>
    judge(
      { first: first === undefined ? undefined : timeOf(first), here },
      at(1_800_000_100),
      "k3v9x2ma",
    );
  const reasonOf = (result: ReturnType<typeof judged>) =>
    result.isPossible ? undefined : result.reason;

  test("it does where the backup's last entry is there", () => {
    assert.deepEqual(judged(1_800_000_000, timeOf(1_800_000_100)), { isPossible: true });
    assert.deepEqual(judged(1_800_000_100, timeOf(1_800_000_100)), { isPossible: true });
  });

  test("it does not where the oplog has overtaken it", () => {
    assert.match(
      reasonOf(judged(1_800_000_200, undefined))!,
      /begins at 2027-01-15T08:03:20.000Z, after 2027-01-15T08:01:40.000Z where k3v9x2ma ended/,
    );
  });

  test("a warning comes while less than three times the time since the last backup is kept", () => {
    const warned = (keptSeconds: number, sinceSeconds: number) =>
      shortOplog(
        timeOf(1_800_000_000 - keptSeconds),
        { position: at(1_800_000_000) },
        { position: { to: at(1_800_000_000 - sinceSeconds) } },
      );
    assert.deepEqual([warned(3000, 1000), warned(3000, 900), warned(3000, 0)], [[], [], []]);
    assert.match(warned(7200, 3600).join(), /^The oplog reaches back 2h, .* is 1h old: less/);
  });

  test("it does not where the entry was rolled back, or another has its time", () => {
    assert.match(reasonOf(judged(1_800_000_000, undefined))!, /1800000100:1.*was rolled back/);
    assert.match(
      reasonOf(judged(1_800_000_000, timeOf(1_800_000_100, 4)))!,
      /is of term 4 now and was of term 1: the oplog was rolled back/,
    );
    assert.match(reasonOf(judged(undefined, undefined))!, /is not in the oplog any more/);
  });
});

describe("what is kept of an oplog", () => {
  const rules = rulesOf({ exclude: ["shop.secret*"], excludeData: ["shop.cache"] }, undefined);
  const kept = (more: Document, by: NamespaceRules = rules) =>
    deserialize(keptEntry(entry(9, more), by));
  const isKept = (more: Document) => kept(more)["op"] === more["op"];
  const write = (ns: string) => ({ op: "i", ns, o: { _id: 1 } });
  const command = (o: Document, db = "shop") => ({ op: "c", ns: `${db}.$cmd`, o });

  test("is every byte of what is backed up, and of all else only when it was", () => {
    const bytes = entry(9, write("shop.orders"));
    assert.equal(keptEntry(bytes, rules), bytes);
    const emptied = kept(write("shop.secret1"));
    assert.deepEqual([emptied["op"], emptied["ns"], emptied["o"]], ["n", "", {}]);
    assert.deepEqual(emptied["ts"], new Timestamp({ t: 9, i: 1 }));
    for (const ns of ["config.transactions", "admin.system.users", "local.x", "shop.cache"]) {
      assert.ok(!isKept(write(ns)), ns);
    }
    assert.ok(isKept(write("admin.own")));
    assert.ok(isKept(command({ create: "cache" })));
    assert.ok(!isKept(command({ create: "secret2" })));
    assert.ok(!isKept(command({ create: "system.roles" }, "admin")));
    assert.ok(isKept({ op: "i", ns: "shop.system.views", o: { _id: "shop.v", viewOn: "orders" } }));
    // A findAndModify leaves the whole document as an entry that does nothing.
    assert.deepEqual(kept({ op: "n", ns: "shop.orders", o: { _id: 1, whole: true } })["o"], {});
  });

  test("has as many operations in a transaction as it had", () => {
    const applyOps = [write("shop.secret1"), write("shop.orders"), write("config.x")];
    const { o } = kept(command({ applyOps, count: Long.fromNumber(3) }, "admin"));
    assert.deepEqual(o.applyOps.map(({ op }: { op: string }) => op), ["n", "i", "n"]);
  });

  test("of a rename out of the backup is that the collection goes, one into it ends the chain", () => {
    const out = kept(command({ renameCollection: "shop.orders", to: "shop.secret" }));
    assert.deepEqual([out["ns"], out["o"]], ["shop.$cmd", { drop: "orders" }]);
    assert.ok(!isKept(command({ renameCollection: "shop.secret1", to: "shop.secret2" })));
    for (const from of ["shop.secret1", "shop.cache"]) {
      const into = command({ renameCollection: from, to: "shop.orders" });
      assert.throws(() => kept(into), TakenIn);
    }
  });
});

describe("a transaction that is under way at the end of a piece", () => {
  const step = (t: number, o: Document, isFirst = true) =>
    readEntry(entry(t, {
      ...{ op: "c", ns: "admin.$cmd", o, txnNumber: Long.fromNumber(1) },
      lsid: { id: new UUID("30d96917-ac0d-46a0-9b9e-5af9afe4d936") },
      prevOpTime: {
        ts: new Timestamp(isFirst ? { t: 0, i: 0 } : { t: 1, i: 1 }),
        t: Long.fromNumber(1),
      },
    }))!;
  const prepare = step(5, { applyOps: [{ op: "i", ns: "a.b", o: { _id: 1 } }], prepare: true });
  const commit = step(7, { commitTransaction: 1 }, false);

  test("is known by its first entry, and the next piece goes on with it", () => {
    const first = transactions(sketchSpool);
    assert.equal(first.take(prepare, true), undefined);
    assert.deepEqual(first.open().map(({ since }) => since), [{ t: 5, i: 1 }]);
    const next = transactions(sketchSpool, first.open());
    assert.notEqual(next.take(commit, true), undefined);
    assert.deepEqual(next.open(), []);
    assert.throws(() => transactions(sketchSpool).take(commit, true), /first entries are missing/);
  });
});

describe("a piece of an oplog", () => {
  const walked = async (bytes: Uint8Array, cuts: number[] = []) => {
    const walker = oplogFormat.walk();
    for await (const chunk of chunked(bytes.slice(), cuts)) walker.push(chunk);
    return walker.end();
  };

  onFixtures("oplog")("is walked however its bytes are cut", async () => {
    const slice = recorded("slice-1.bson");
    for (const cuts of [[], [1], [3, 4, 5], [1000, 1001, 40_000]]) await walked(slice, cuts);
    await assert.rejects(walked(slice.subarray(0, -1)), code("verification/truncated"));
    await assert.rejects(walked(slice.subarray(0, -200)), code("verification/truncated"));
    await assert.rejects(walked(slice.subarray(1)), code("verification/structure"));
  });

  onFixtures("oplog")("is damaged where its entries are not in their order", async () => {
    const [a, b, c] = [...entriesOf(recorded("slice-1.bson"))];
    await assert.rejects(walked(Buffer.concat([a!, c!, b!])), code("verification/structure"));
    await assert.rejects(walked(Buffer.concat([a!, a!])), code("verification/structure"));
  });

  onFixtures("oplog")("that is not the one which the manifest means is a gap", async () => {
    const [, one, two] = await recordedChain();
    const read = async (artifact: RestorableArtifact) => {
      for await (const _ of sliceEntries(artifact, { signal: never }));
    };
    const [first, second] = [one!.artifacts[0]!, two!.artifacts[0]!];
    await read(first);
    const gap = code("verification/gap");
    await assert.rejects(read({ ...first, open: (o) => second.open(o) }), gap);
    // Cut at an entry's end, it is as whole as any.
    const whole = [...entriesOf(recorded("slice-1.bson"))];
    const short = Buffer.concat(whole.slice(0, -1));
    await assert.rejects(read({ ...first, open: () => bytesOf(short) }), gap);
  });
});
