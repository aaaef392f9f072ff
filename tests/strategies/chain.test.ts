import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SourceInfo } from "../../src/contracts/source.ts";
import type { Manifest } from "../../src/contracts/manifest.ts";
import type { Strategy, StrategyFacts, StrategyWish } from "../../src/contracts/strategy.ts";
import { differential } from "../../src/strategies/differential.ts";
import { full } from "../../src/strategies/full.ts";
import { incremental } from "../../src/strategies/incremental.ts";
import { idOf, refOf } from "../catalog/refs.ts";

const hourMs = 60 * 60 * 1000;
const base = refOf({ id: idOf(1), at: "2026-11-20T03:00:00Z" });
const second = refOf({ id: idOf(2), at: "2026-11-21T03:00:00Z", parentId: base.id });
const third = refOf({ id: idOf(3), at: "2026-11-22T03:00:00Z", parentId: second.id });
const history = [base, second, third];
const now = new Date("2026-11-23T03:00:00Z");

const info: SourceInfo = {
  flavour: "Lines",
  version: "1.0",
  tools: [],
  privileges: [],
  omissions: [],
  capabilities: ["full", "differential", "incremental"],
  clockOffsetMs: 0,
  warnings: [],
  continues: { isPossible: true },
};
const parent = { position: { to: { type: "line" } }, settings: {} } as unknown as Manifest;
const facts: StrategyFacts = { parent, info, settings: {} };

function wish(strategy: Strategy, over: Partial<Parameters<Strategy["wants"]>[0]> = {}) {
  return strategy.wants({ history, now, ...over });
}

function told({ kind, parent, reason }: StrategyWish): string {
  return `${kind} on ${parent?.id ?? "nothing"}: ${reason}`;
}

describe("what an incremental strategy wants", () => {
  const cases: [name: string, history: typeof history, over: object, expected: string][] = [
    ["without a full one", [], {}, "full on nothing: there is no full backup to build on yet"],
    [
      "on a full one",
      [base],
      {},
      `incremental on ${base.id}: the changes since the last backup, ${base.id}`,
    ],
    [
      "on the last one",
      history,
      {},
      `incremental on ${third.id}: the changes since the last backup, ${third.id}`,
    ],
    [
      "forced to full",
      history,
      { forced: "full" },
      "full on nothing: it was asked for with --kind",
    ],
    [
      "forced to differential",
      history,
      { forced: "differential" },
      `differential on ${base.id}: it was asked for with --kind`,
    ],
    [
      "when a full one is due",
      history,
      { now: new Date("2026-11-27T03:00:00Z") },
      `full on nothing: the last full backup, ${base.id}, is 7d old`,
    ],
    [
      "a few minutes early",
      history,
      { now: new Date("2026-11-27T02:55:00Z") },
      `full on nothing: the last full backup, ${base.id}, is 6d 23h old`,
    ],
    [
      "an hour early",
      history,
      { now: new Date("2026-11-27T02:00:00Z") },
      `incremental on ${third.id}: the changes since the last backup, ${third.id}`,
    ],
    [
      "with the clock set back",
      history,
      { now: new Date("2026-11-01T00:00:00Z") },
      `incremental on ${third.id}: the changes since the last backup, ${third.id}`,
    ],
  ];
  for (const [name, history, over, expected] of cases) {
    test(name, () => assert.equal(told(wish(incremental(), { history, ...over })), expected));
  }

  test("cannot be forced to what has nothing to build on", () => {
    assert.throws(() => wish(incremental(), { history: [], forced: "incremental" }), {
      code: "usage/kind-unsupported",
      message: 'Cannot take a backup of kind "incremental": there is no full one to build on',
    });
  });

  test("takes a child for newer than its parent, whatever the clocks said", () => {
    const child = refOf({ id: idOf(4), at: "2026-11-19T00:00:00Z", parentId: base.id });
    const grandchild = refOf({ id: idOf(5), at: "2026-11-19T00:00:00Z", parentId: child.id });
    assert.equal(wish(incremental(), { history: [grandchild, child, base] }).parent, grandchild);
  });

  test("builds on nothing of a kind that it does not know, nor on what builds on that", () => {
    const tail = refOf({
      id: idOf(4),
      at: "2026-11-22T05:00:00Z",
      kind: "tail",
      parentId: third.id,
    });
    const after = refOf({ id: idOf(5), at: "2026-11-22T06:00:00Z", parentId: tail.id });
    assert.equal(wish(incremental(), { history: [...history, tail, after] }).parent, third);
  });

  test("does so once an hour and a full one a day, from the start of the last", () => {
    const strategy = incremental({ fullEveryMs: 24 * hourMs });
    let taken = [base];
    for (let hour = 1; hour <= 49; hour++) {
      const at = new Date(base.createdAt.getTime() + hour * hourMs);
      const { kind, parent } = wish(strategy, { history: taken, now: at });
      taken = [...taken, refOf({ id: idOf(100 + hour), at, kind, parentId: parent?.id })];
    }
    const fulls = taken.filter(({ kind }) => kind === "full").map(({ id }) => id);
    assert.deepEqual(fulls, [base.id, idOf(124), idOf(148)]);
  });
});

describe("what a differential strategy wants", () => {
  test("builds on the last full one, whatever else there is", () => {
    assert.equal(wish(differential()).parent, base);
    const newer = refOf({ id: idOf(9), at: "2026-11-22T12:00:00Z" });
    assert.equal(wish(differential(), { history: [...history, newer] }).parent, newer);
  });
});

describe("what is taken of that", () => {
  const cases: [name: string, over: Partial<StrategyFacts>, reason: string | undefined][] = [
    ["what was wanted", {}, undefined],
    ["full where the log does not go on", {
      info: { ...info, continues: { isPossible: false, reason: "binlog.000007 was purged" } },
    }, "binlog.000007 was purged"],
    ["full where the server cannot", {
      info: { ...info, capabilities: ["full"] },
    }, "Lines 1.0 gives no incremental backup as it is set up now"],
    ["full where the server does not say", {
      info: { ...info, continues: undefined } as unknown as SourceInfo,
    }, `Lines does not say whether its log goes on from ${third.id}`],
    ["full where the parent has no end", {
      parent: { ...parent, position: {} },
    }, `${third.id} does not say where in the log it ended`],
    [
      "full where the parent cannot be read",
      { parent: undefined },
      `the manifest of ${third.id} cannot be read`,
    ],
    ["full where other things are left out", {
      settings: { exclude: ["log"] },
    }, `${third.id} was taken with other settings of what is left out`],
    [
      "what was wanted where only the restore differs",
      { settings: { restoreArgs: ["-v"] } },
      undefined,
    ],
  ];
  for (const [name, over, reason] of cases) {
    test(name, () => {
      const plan = incremental().decide(wish(incremental()), { ...facts, ...over });
      assert.deepEqual(
        [plan.kind, plan.parent?.id, plan.wanted, plan.isBase],
        reason === undefined
          ? ["incremental", third.id, undefined, true]
          : ["full", undefined, "incremental", true],
      );
      assert.equal(plan.reason, reason ?? `the changes since the last backup, ${third.id}`);
    });
  }

  test("an error where the kind was forced", () => {
    const broken = {
      ...info,
      continues: { isPossible: false, reason: "the slot is lost" },
    } as const;
    assert.throws(
      () =>
        incremental().decide(wish(incremental()), {
          ...facts,
          info: broken,
          forced: "incremental",
        }),
      { code: "usage/kind-unsupported", message: /"incremental": the slot is lost$/ },
    );
  });

  test("nothing builds on a backup of the full strategy", () => {
    assert.equal(full.decide(full.wants({ history, now }), facts).isBase, false);
    assert.throws(() => full.wants({ history, now, forced: "incremental" }), {
      code: "usage/kind-unsupported",
    });
  });
});
