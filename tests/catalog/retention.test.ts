import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { applyRetention, type RetentionPolicy } from "../../src/catalog/retention.ts";
import { standingOf } from "../../src/catalog/standing.ts";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import { idOf, markAt, refOf } from "./refs.ts";

const now = new Date("2026-11-23T12:00:00Z");
const dayMs = 86_400_000;

/** Decides, and tells what is kept and why, by id. */
function decided(
  refs: readonly BackupRef[],
  policy: RetentionPolicy,
  timezone = "UTC",
): Record<string, string> {
  return Object.fromEntries(
    applyRetention(refs, policy, { now, timezone }).map(({ ref, action, reasons }) => [
      ref.id,
      `${action}: ${reasons.join(", ")}`,
    ]),
  );
}

function kept(refs: readonly BackupRef[], policy: RetentionPolicy, timezone = "UTC"): string[] {
  return applyRetention(refs, policy, { now, timezone })
    .filter(({ action }) => action === "keep").map(({ ref }) => ref.id).reverse();
}

/** One backup a day at this hour, the newest yesterday; ids count from 1, oldest first. */
function dailyBackups(count: number): BackupRef[] {
  return Array.from({ length: count }, (_, index) => {
    const at = new Date(Date.parse("2026-11-22T03:00:00Z") - (count - 1 - index) * dayMs);
    return refOf({ id: idOf(index + 1), at });
  });
}

describe("retention", () => {
  test("without any rule drops nothing", () => {
    assert.deepEqual(kept(dailyBackups(3), {}), [idOf(1), idOf(2), idOf(3)]);
    assert.match(decided(dailyBackups(3), {})[idOf(1)]!, /^keep: no rule drops any$/);
  });

  test("last keeps the newest so many, each with its reason", () => {
    assert.deepEqual(decided(dailyBackups(3), { last: 2 }), {
      [idOf(3)]: "keep: newest good, last 1 of 2",
      [idOf(2)]: "keep: last 2 of 2",
      [idOf(1)]: "drop: no rule keeps it",
    });
  });

  test("daily keeps the last of each day that has one, and passes over days without", () => {
    const refs = [
      refOf({ id: "aaaaaaa1", at: "2026-11-18T03:00:00Z" }),
      refOf({ id: "aaaaaaa2", at: "2026-11-20T03:00:00Z" }),
      refOf({ id: "aaaaaaa3", at: "2026-11-20T15:00:00Z" }),
      refOf({ id: "aaaaaaa4", at: "2026-11-22T03:00:00Z" }),
    ];
    assert.deepEqual(kept(refs, { daily: 2 }), ["aaaaaaa3", "aaaaaaa4"]);
    assert.deepEqual(kept(refs, { daily: 3 }), ["aaaaaaa1", "aaaaaaa3", "aaaaaaa4"]);
    assert.match(decided(refs, { daily: 3 })["aaaaaaa3"]!, /daily 2026-11-20/);
  });

  test("hourly, weekly, monthly and yearly go by hours, ISO weeks, months and years", () => {
    const refs = [
      refOf({ id: "bbbbbbb1", at: "2025-12-31T10:00:00Z" }),
      refOf({ id: "bbbbbbb2", at: "2026-10-31T10:00:00Z" }),
      refOf({ id: "bbbbbbb3", at: "2026-11-15T10:00:00Z" }), // a Sunday, the last day of week 46
      refOf({ id: "bbbbbbb4", at: "2026-11-16T10:00:00Z" }), // a Monday
      refOf({ id: "bbbbbbb5", at: "2026-11-23T10:10:00Z" }),
      refOf({ id: "bbbbbbb6", at: "2026-11-23T10:50:00Z" }),
    ];
    assert.deepEqual(kept(refs, { hourly: 2 }), ["bbbbbbb4", "bbbbbbb6"]);
    assert.deepEqual(kept(refs, { weekly: 3 }), ["bbbbbbb3", "bbbbbbb4", "bbbbbbb6"]);
    assert.deepEqual(kept(refs, { monthly: 3 }), ["bbbbbbb1", "bbbbbbb2", "bbbbbbb6"]);
    assert.deepEqual(kept(refs, { yearly: 2 }), ["bbbbbbb1", "bbbbbbb6"]);
    assert.match(decided(refs, { weekly: 3 })["bbbbbbb3"]!, /weekly 2026-W46/);
  });

  test("rules add up, as 7 daily, 4 weekly and 12 monthly do", () => {
    const refs = dailyBackups(400);
    const decisions = applyRetention(refs, { daily: 7, weekly: 4, monthly: 12 }, {
      now,
      timezone: "UTC",
    });
    const days = decisions.filter(({ action }) => action === "keep")
      .map(({ ref }) => ref.createdAt.toISOString().slice(0, 10));
    assert.deepEqual(days, [
      ...["2026-11-22", "2026-11-21", "2026-11-20", "2026-11-19", "2026-11-18", "2026-11-17"],
      ...["2026-11-16", "2026-11-15", "2026-11-08", "2026-11-01", "2026-10-31", "2026-09-30"],
      ...["2026-08-31", "2026-07-31", "2026-06-30", "2026-05-31", "2026-04-30", "2026-03-31"],
      ...["2026-02-28", "2026-01-31", "2025-12-31"],
    ]);
  });

  test("days are those of the job's time zone", () => {
    const refs = [
      refOf({ id: "ccccccc1", at: "2026-11-20T22:30:00Z" }), // 23:30 in Berlin
      refOf({ id: "ccccccc2", at: "2026-11-20T23:30:00Z" }), // 00:30 of the 21st in Berlin
      refOf({ id: "ccccccc3", at: "2026-11-21T22:00:00Z" }),
    ];
    assert.deepEqual(kept(refs, { daily: 2 }), ["ccccccc2", "ccccccc3"]);
    assert.deepEqual(kept(refs, { daily: 2 }, "Europe/Berlin"), ["ccccccc1", "ccccccc3"]);
    assert.deepEqual(kept(refs, { daily: 2 }, "Pacific/Auckland"), ["ccccccc2", "ccccccc3"]);
  });

  test("the hour that clocks show twice in autumn is two hours, and that day is one day", () => {
    const refs = [
      refOf({ id: "ddddddd1", at: "2026-10-25T00:30:00Z" }), // 02:30 summer time
      refOf({ id: "ddddddd2", at: "2026-10-25T01:30:00Z" }), // 02:30 again
      refOf({ id: "ddddddd3", at: "2026-10-25T22:30:00Z" }), // 23:30
    ];
    assert.equal(kept(refs, { hourly: 3 }, "Europe/Berlin").length, 3);
    assert.deepEqual(kept(refs, { daily: 3 }, "Europe/Berlin"), ["ddddddd3"]);
  });

  test("minChains keeps the newest chain of each of so many full backups, however old", () => {
    const day = (back: number) => new Date(now.getTime() - back * dayMs);
    const incr = (id: number, parent: number, back: number) =>
      refOf({ id: idOf(id), parentId: idOf(parent), kind: "incremental", at: day(back) });
    const refs = [
      refOf({ id: idOf(1), at: day(30) }),
      incr(2, 1, 29),
      refOf({ id: idOf(3), at: day(20) }),
      incr(4, 3, 19),
      incr(5, 3, 18),
      refOf({ id: idOf(6), at: day(10) }),
      incr(7, 6, 9),
    ];
    assert.deepEqual(kept(refs, { last: 1 }), [6, 7].map(idOf));
    assert.deepEqual(kept(refs, { last: 1, minChains: 1 }), [6, 7].map(idOf));
    const two = { maxAgeMs: dayMs, last: 1, minChains: 2 };
    assert.deepEqual(kept(refs, two), [3, 5, 6, 7].map(idOf));
    assert.equal(decided(refs, two)[idOf(5)], "keep: chain 2 of 2");
    assert.equal(decided(refs, two)[idOf(3)], `keep: needed by ${idOf(5)}`);
  });

  test("maxAge drops what is older, whatever rule keeps it; minKeep is a floor", () => {
    const refs = dailyBackups(5);
    assert.deepEqual(kept(refs, { maxAgeMs: 3.5 * dayMs }), [idOf(3), idOf(4), idOf(5)]);
    assert.deepEqual(kept(refs, { daily: 7, maxAgeMs: 2.5 * dayMs }), [idOf(4), idOf(5)]);
    assert.equal(
      kept(refs, { daily: 7, maxAgeMs: 2 * dayMs, minKeep: 4 }).length,
      4,
    );
    const reasons = decided(refs, { maxAgeMs: 3.5 * dayMs, minKeep: 1 });
    assert.equal(reasons[idOf(1)], "drop: older than 3.5 days");
    assert.equal(reasons[idOf(5)], "keep: newest good, younger than 3.5 days, minKeep 1 of 1");
  });

  test("never drops the newest good one, however old", () => {
    const refs = [refOf({ id: "eeeeeee1", at: "2020-01-01T00:00:00Z" })];
    assert.deepEqual(kept(refs, { last: 0, maxAgeMs: dayMs }), ["eeeeeee1"]);
  });

  test("damaged backups fill no place, and are not dropped before their time", () => {
    const refs = dailyBackups(4);
    const damaged = [markAt("damaged", "2026-11-23T00:00:00Z")];
    const [first, second, third, fourth] = refs;
    const history = [first!, second!, { ...third!, marks: damaged }, fourth!];
    assert.deepEqual(kept(history, { daily: 2 }), [idOf(2), idOf(3), idOf(4)]);
    assert.match(
      decided(history, { daily: 2 })[idOf(3)]!,
      /^keep: damaged, and kept as a good one would be: daily 2026-/,
    );
    assert.equal(decided(history, { daily: 1 })[idOf(3)], "drop: damaged");
    const newest = [first!, second!, third!, { ...fourth!, marks: damaged }];
    assert.deepEqual(kept(newest, { last: 1 }), [idOf(3), idOf(4)]);
    assert.match(decided(newest, { last: 1 })[idOf(4)]!, /newer than the newest good/);
  });

  test("keeps everything when nothing is good: a bad cable must not cost the last copies", () => {
    const marks = [markAt("damaged", "2026-11-23T00:00:00Z")];
    const refs = dailyBackups(3).map((ref) => ({ ...ref, marks }));
    assert.equal(kept(refs, { last: 1, maxAgeMs: 1 }).length, 3);
  });

  test("keeps what is on hold", () => {
    const [first, ...others] = dailyBackups(3);
    const refs = [{ ...first!, marks: [{ type: "hold" as const }] }, ...others];
    assert.deepEqual(kept(refs, { last: 1 }), [idOf(1), idOf(3)]);
    assert.equal(decided(refs, { last: 1 })[idOf(1)], "keep: on hold");
  });

  test("keeps a folder with files that dbbackup does not write, and says which", () => {
    const [first, ...others] = dailyBackups(3);
    const refs = [{ ...first!, files: new Map([["notes.docx", 5]]) }, ...others];
    assert.match(decided(refs, { last: 1 })[idOf(1)]!, /^keep: has "notes.docx"/);
  });

  test("keeps the chain that a kept backup builds on, even where it is damaged itself", () => {
    const refs = [
      refOf({ id: "fffffff1", at: "2026-11-01T00:00:00Z" }),
      refOf({ id: "fffffff2", at: "2026-11-02T00:00:00Z", parentId: "fffffff1" }),
      refOf({ id: "fffffff3", at: "2026-11-03T00:00:00Z", parentId: "fffffff2" }),
      refOf({ id: "fffffff4", at: "2026-11-04T00:00:00Z", parentId: "fffffff1" }),
    ];
    const reasons = decided(refs, { last: 1 });
    assert.equal(reasons["fffffff1"], "keep: needed by fffffff4");
    assert.match(reasons["fffffff2"]!, /^drop/);
    const held = refs.map((ref) => ({
      ...ref,
      marks: ref.id === "fffffff3"
        ? [{ type: "hold" as const }]
        : ref.id === "fffffff2"
        ? [markAt("damaged", "2026-11-05T00:00:00Z")]
        : [],
    }));
    assert.equal(decided(held, { last: 1 })["fffffff2"], "keep: needed by fffffff3");
  });

  test("a backup whose chain is broken is not good", () => {
    const refs = [
      refOf({ id: "ggggggg1", at: "2026-11-01T00:00:00Z" }),
      refOf({ id: "ggggggg2", at: "2026-11-02T00:00:00Z", parentId: "xxxxxxx1" }),
      refOf({ id: "ggggggg3", at: "2026-11-03T00:00:00Z" }),
    ];
    assert.deepEqual(kept(refs, { last: 2 }), ["ggggggg1", "ggggggg3"]);
    assert.equal(
      decided(refs, { last: 2 })["ggggggg2"],
      "drop: xxxxxxx1, which it builds on, is missing",
    );
  });

  test("looks at each job and each server alone", () => {
    const refs = [
      ...dailyBackups(2),
      refOf({ id: "hhhhhhh1", at: "2026-01-01T00:00:00Z", sourceTag: "s000001" }),
      refOf({ id: "hhhhhhh2", at: "2026-01-01T00:00:00Z", job: "blog" }),
    ];
    assert.deepEqual(kept(refs, { last: 1 }).sort(), [idOf(2), "hhhhhhh1", "hhhhhhh2"]);
  });

  test("parents that lead in a circle end nothing and count as broken", () => {
    const refs = [
      refOf({ id: "jjjjjjj1", at: "2026-11-01T00:00:00Z", parentId: "jjjjjjj2" }),
      refOf({ id: "jjjjjjj2", at: "2026-11-02T00:00:00Z", parentId: "jjjjjjj1" }),
      refOf({ id: "jjjjjjj3", at: "2026-11-03T00:00:00Z" }),
    ];
    assert.deepEqual(kept(refs, { last: 3 }), ["jjjjjjj3"]);
  });
});

/** Small, quick and good enough: Marsaglia's xorshift32. */
function randomOf(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"];
const baseMs = Date.parse("2026-11-23T00:00:00Z");

/** Two jobs and servers, chains of any depth (some broken), marks of any kind, times that collide. */
function randomHistory(random: (below: number) => number): BackupRef[] {
  const refs: BackupRef[] = [];
  for (let index = random(14); index > 0; index--) {
    const job = random(5) === 0 ? "blog" : "shop";
    const sourceTag = random(5) === 0 ? "s000001" : "s41f0c2";
    const parents = refs.filter((ref) => ref.job === job && ref.sourceTag === sourceTag);
    const parent = random(2) === 0 ? undefined : parents[random(parents.length || 1)];
    const parentId = parent?.id ?? (random(12) === 0 ? "zzzzzzzz" : undefined);
    const spanMs = [3_600_000, dayMs, 30 * dayMs, 700 * dayMs][random(4)]!;
    const marks: BackupRef["marks"][number][] = [];
    if (random(6) === 0) marks.push({ type: "damaged", at: new Date(baseMs) });
    if (random(8) === 0) marks.push({ type: "hold" });
    refs.push({
      id: idOf(index),
      job,
      kind: parentId === undefined ? "full" : "incremental",
      createdAt: new Date(baseMs - Math.floor(random(1000) * spanMs / 1_000_000) * 1000),
      sourceTag,
      parentId,
      prefix: `${job}/${index}/`,
      storedBytes: 1,
      marks,
      files: random(15) === 0 ? foreignFiles : ownFiles,
    });
  }
  return refs;
}

const ownFiles = new Map([["manifest.json", 1], ["dump-001.sql.gz", 1]]);
const foreignFiles = new Map([["manifest.json", 1], ["notes.txt", 1]]);

function randomPolicy(random: (below: number) => number): RetentionPolicy {
  const maybe = (name: string) => random(3) === 0 ? { [name]: random(5) } : {};
  return {
    ...maybe("last"),
    ...maybe("hourly"),
    ...maybe("daily"),
    ...maybe("weekly"),
    ...maybe("monthly"),
    ...maybe("yearly"),
    ...maybe("minKeep"),
    ...maybe("minChains"),
    ...(random(3) === 0 ? { maxAgeMs: (1 + random(400)) * dayMs } : {}),
  };
}

/** What holds of every history under every policy. @returns what does not; undefined when all does. */
function broken(refs: readonly BackupRef[], policy: RetentionPolicy, zone: string) {
  const at = new Date(baseMs + 1000);
  const decisions = applyRetention(refs, policy, { now: at, timezone: zone });
  if (decisions.length !== refs.length) return "one decision for each backup";
  const keeps = new Set(decisions.flatMap(({ ref, action }) => action === "keep" ? [ref] : []));
  const inGroup = (one: BackupRef, other: BackupRef) =>
    one.job === other.job && one.sourceTag === other.sourceTag;
  const parentOf = (ref: BackupRef) =>
    refs.find((other) => other.id === ref.parentId && inGroup(other, ref));
  const isGood = (ref: BackupRef): boolean => {
    if (ref.marks.some(({ type }) => type === "damaged")) return false;
    if (ref.parentId === undefined) return true;
    const parent = parentOf(ref);
    return parent !== undefined && isGood(parent);
  };
  const unmarked = refs.map((ref) => ({
    ...ref,
    marks: ref.marks.filter(({ type }) => type !== "damaged"),
  }));
  for (const { ref, action } of applyRetention(unmarked, policy, { now: at, timezone: zone })) {
    const isKept = [...keeps].some(({ prefix }) => prefix === ref.prefix);
    if (action === "keep" && !isKept) return "no mark deletes anything before its time";
  }
  for (const { reasons } of decisions) if (reasons.length === 0) return "a reason for each";
  for (const ref of refs) {
    const isKept = keeps.has(ref);
    if (isKept && ref.parentId !== undefined) {
      const parent = parentOf(ref);
      if (parent !== undefined && !keeps.has(parent)) return "keeps what a kept backup needs";
    }
    if (isKept) continue;
    if (ref.marks.some(({ type }) => type === "hold")) return "keeps what is on hold";
    if (ref.files === foreignFiles) return "keeps foreign folders";
    const group = refs.filter((other) => inGroup(other, ref));
    const goods = group.filter(isGood).sort((a, b) => Number(b.createdAt) - Number(a.createdAt));
    if (goods.length === 0) return "drops nothing where nothing is good";
    if (!goods.some((good) => keeps.has(good) && good.createdAt >= goods[0]!.createdAt)) {
      return "keeps the newest good";
    }
    const floor = Math.min(goods.length, policy.minKeep ?? 0);
    if (goods.filter((good) => keeps.has(good)).length < floor) return "minKeep is a floor";
    const young = goods.filter((good) =>
      policy.maxAgeMs === undefined || Number(at) - Number(good.createdAt) <= policy.maxAgeMs
    );
    const lasts = Math.min(young.length, policy.last ?? 0);
    if (young.filter((good) => keeps.has(good)).length < lasts) return "keeps the last so many";
  }
  return undefined;
}

describe("marks", () => {
  const at = (second: number) => new Date(baseMs + second * 1000);
  const cases: readonly (readonly [string, string])[] = [
    ["", "unknown"],
    ["verified 1", "verified"],
    ["damaged 1", "damaged"],
    ["damaged 1, verified 2", "verified"],
    ["verified 1, damaged 2", "damaged"],
    ["damaged 1, suspect 2", "damaged"],
    ["damaged 1, verified 2, suspect 3", "suspect"],
    ["verified 1, suspect 1", "suspect"],
  ];
  for (const [written, standing] of cases) {
    test(`"${written}" says ${standing}`, () => {
      const marks = written.split(", ").flatMap((mark) => {
        const [type, second] = mark.split(" ");
        return type === "verified" || type === "suspect" || type === "damaged"
          ? [{ type, at: at(Number(second)) }] as const
          : [];
      });
      assert.equal(standingOf(marks), standing);
    });
  }
});

describe("over 100,000 random histories", () => {
  test("the promises of retention hold", () => {
    let histories = 0;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = randomOf(seed);
        for (let round = 0; round < 100; round++) {
          const refs = randomHistory(random);
          const policy = randomPolicy(random);
          const zone = zones[random(zones.length)]!;
          const promise = broken(refs, policy, zone);
          histories++;
          assert.equal(promise, undefined, `${promise}: ${JSON.stringify({ refs, policy, zone })}`);
        }
      }),
      { numRuns: 1000 },
    );
    assert.equal(histories, 100_000);
  });

  test("what is kept stays kept when nothing changes: pruning twice is pruning once", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = randomOf(seed);
        const refs = randomHistory(random);
        const policy = randomPolicy(random);
        const o = { now: new Date(baseMs + 1000), timezone: "Europe/Berlin" };
        const once = applyRetention(refs, policy, o).filter(({ action }) => action === "keep");
        const twice = applyRetention(once.map(({ ref }) => ref), policy, o);
        const dropped = twice.filter(({ action }) => action === "drop");
        assert.deepEqual(dropped.map(({ ref }) => ref.id), []);
      }),
      { numRuns: 2000 },
    );
  });
});
