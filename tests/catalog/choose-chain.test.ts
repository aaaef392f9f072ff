import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseChain, type Reachable } from "../../src/catalog/choose-chain.ts";
import { BackupError } from "../../src/core/errors.ts";

const at = (time: string) => new Date(`2026-11-23T${time}:00Z`);
const position = (line: number, epoch = 1) => ({ type: "line", line, epoch });
const compare = (a: object, b: object) => {
  const [one, other] = [a, b] as ReturnType<typeof position>[];
  return one!.epoch === other!.epoch ? one!.line - other!.line : undefined;
};

function base(id: string, time: string, line: number): Reachable {
  const window = { from: at(time), to: at(time) };
  return {
    id,
    parentId: undefined,
    consistentAt: at(time),
    window,
    position: { to: position(line) },
  };
}

function whole(id: string, time: string, parentId?: string): Reachable {
  return { id, parentId, consistentAt: at(time), position: {} };
}

function log(id: string, parent: Reachable, time: string, line: number): Reachable {
  const window = { from: parent.window!.to, to: at(time) };
  const from = parent.position.to;
  return {
    id,
    parentId: parent.id,
    consistentAt: at(time),
    window,
    position: { from, to: position(line) },
  };
}

// F1 with three increments and a differential, then F2 with one.
const f1 = base("f1", "01:00", 10);
const a1 = log("a1", f1, "02:00", 20);
const a2 = log("a2", a1, "03:00", 30);
const a3 = log("a3", a2, "04:00", 40);
const d1 = { ...log("d1", f1, "03:30", 35), parentId: "f1" };
const f2 = base("f2", "05:00", 50);
const b1 = log("b1", f2, "06:00", 60);
const logged = [f1, a1, a2, a3, f2, b1];

function chosen(backups: readonly Reachable[], time: string): string {
  try {
    const { chain, until } = chooseChain(backups, { at: at(time) });
    const stop = until === undefined ? "" : " until";
    return `${chain.map(({ id }) => id).join(" ")}${stop}`;
  } catch (error) {
    assert.ok(error instanceof BackupError, String(error));
    return `${error.code}: ${error.hint}`;
  }
}

const iso = (time: string) => at(time).toISOString();

describe("the chain for a moment", () => {
  const cases: [name: string, backups: readonly Reachable[], time: string, expected: string][] = [
    ["the base's own", logged, "01:00", "f1"],
    ["inside of the first increment", logged, "01:30", "f1 a1 until"],
    ["at the end of one", logged, "02:00", "f1 a1"],
    ["inside of a later one", logged, "03:15", "f1 a1 a2 a3 until"],
    ["the newest base wins", logged, "05:00", "f2"],
    ["after the newest base", logged, "05:30", "f2 b1 until"],
    ["the first that reaches it, not the longest way", [...logged, d1], "03:30", "f1 d1"],
    ["a differential, where increments are gone", [f1, a3, d1], "01:30", "f1 d1 until"],
    [
      "an increment whose link is gone reaches nothing",
      [f1, a1, a3],
      "03:30",
      `usage/no-such-moment: The nearest moment before it is ${iso("02:00")} (a1).`,
    ],
    [
      "between two families",
      logged,
      "04:30",
      `usage/no-such-moment: The nearest moment before it is ${
        iso("04:00")
      } (a3), the next one is ${iso("05:00")}.`,
    ],
    [
      "after everything",
      logged,
      "07:00",
      `usage/no-such-moment: The nearest moment before it is ${iso("06:00")} (b1).`,
    ],
    [
      "before everything",
      logged,
      "00:59",
      `usage/too-early: The oldest is f1, of ${iso("01:00")}.`,
    ],
    [
      "before the base ended, though its log begins",
      [f1, a1],
      "00:30",
      `usage/too-early: The oldest is f1, of ${iso("01:00")}.`,
    ],
    ["whole backups: the newest at it", [whole("x", "01:00"), whole("y", "02:00")], "02:00", "y"],
    [
      "whole backups: the newest before it",
      [whole("x", "01:00"), whole("y", "02:00")],
      "01:59",
      "x",
    ],
    [
      "whole increments, as of SQLite: the newest before it",
      [
        whole("x", "01:00"),
        whole("y", "02:00", "x"),
        whole("z", "03:00", "y"),
      ],
      "02:30",
      "x y",
    ],
    ["whole ones before a log was kept", [whole("x", "00:10"), ...logged], "00:30", "x"],
    [
      "names that lead in a circle",
      [{ ...a1, parentId: "a2" }, { ...a2, parentId: "a1" }, f1],
      "01:00",
      "f1",
    ],
  ];
  for (const [name, backups, time, expected] of cases) {
    test(name, () => {
      assert.equal(chosen(backups, time), expected);
      assert.equal(
        chosen(backups.toReversed(), time),
        expected,
        "in whatever order they are listed",
      );
    });
  }
});

describe("the chain for a position", () => {
  const choose = (line: number, epoch = 1) => {
    const { chain, until } = chooseChain(logged, { position: position(line, epoch), compare });
    return `${chain.map(({ id }) => id).join(" ")}${until === undefined ? "" : " until"}`;
  };
  const cases: [line: number, expected: string][] = [
    [10, "f1"],
    [11, "f1 a1 until"],
    [20, "f1 a1"],
    [35, "f1 a1 a2 a3 until"],
    [50, "f2"],
    [60, "f2 b1"],
  ];
  for (const [line, expected] of cases) {
    test(`line ${line}`, () => assert.equal(choose(line), expected));
  }

  test("that no backup reaches is refused, with the nearest ones", () => {
    const error = { code: "usage/no-such-position" };
    assert.throws(() => choose(45), (thrown) => {
      assert.ok(thrown instanceof BackupError);
      assert.equal(thrown.code, error.code);
      assert.match(thrown.hint!, /"line":40.*\(a3\), .*"line":50.*\(f2\)/);
      return true;
    });
    assert.throws(() => choose(9), error);
    assert.throws(() => choose(20, 2), error);
  });
});
