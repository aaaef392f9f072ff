import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  areaMeanings,
  areaOf,
  BackupError,
  type ErrorArea,
  exitStatuses,
  exitStatusOf,
  hasCode,
  systemCode,
  toBackupError,
  worstCode,
} from "../../src/core/errors.ts";

const areas = Object.keys(exitStatuses) as ErrorArea[];

describe("the table of exit statuses", () => {
  test("is part of the command line's contract and does not change", () => {
    assert.deepEqual(exitStatuses, {
      ...{ internal: 1, usage: 2, config: 3, connection: 4, dump: 5, storage: 6, verification: 7 },
      ...{ restore: 8, partial: 9, locked: 10, interrupted: 130 },
    });
  });

  test("gives each area its own status, none of them success, and a meaning", () => {
    assert.equal(new Set(Object.values(exitStatuses)).size, areas.length);
    assert.ok(Object.values(exitStatuses).every((status) => status > 0 && status < 256));
    assert.deepEqual(Object.keys(areaMeanings).sort(), [...areas].sort());
  });

  test("is asked by a code's area", () => {
    for (const area of areas) {
      assert.equal(areaOf(`${area}/any/thing`), area);
      assert.equal(exitStatusOf(`${area}/x`), exitStatuses[area]);
    }
  });

  test("is ordered from the worst on, and the worst of several wins in any order", () => {
    fc.assert(fc.property(fc.array(fc.constantFrom(...areas), { minLength: 1 }), (list) => {
      const worst = areas.find((area) => list.includes(area))!;
      assert.equal(areaOf(worstCode(list.map((area) => `${area}/x` as const))!), worst);
    }));
    assert.equal(worstCode([]), undefined);
    assert.equal(worstCode(["partial/x", "dump/x", "locked/x"]), "dump/x");
  });
});

describe("a BackupError", () => {
  test("carries code, message, hint, details and cause", () => {
    const cause = new Error("below");
    const error = new BackupError("dump/failed", "It failed", {
      ...{ cause, hint: "Try again.", details: { a: 1 } },
    });
    assert.deepEqual(
      [error.name, error.code, error.message, error.hint, error.details, error.cause],
      ["BackupError", "dump/failed", "It failed", "Try again.", { a: 1 }, cause],
    );
    assert.equal("cause" in new BackupError("dump/failed", "x"), false);
  });

  test("is recognised by its code or its area, and nothing else is", () => {
    const error = new BackupError("storage/not-found", "x");
    assert.ok(hasCode(error, "storage/not-found") && hasCode(error, "storage/"));
    assert.ok(!hasCode(error, "storage/not-found-either") && !hasCode(error, "dump/"));
    assert.ok(!hasCode({ code: "storage/not-found" }, "storage/"));
    assert.ok(!hasCode(undefined, "storage/"));
  });

  test("is made of anything that was thrown", () => {
    const error = new BackupError("dump/failed", "x");
    assert.equal(toBackupError(error), error);
    const cause = new TypeError("x is not a function");
    const unexpected = toBackupError(cause);
    assert.deepEqual([unexpected.code, unexpected.message, unexpected.cause], [
      ...["internal/unexpected", "x is not a function", cause],
    ]);
    assert.match(unexpected.hint ?? "", /report/);
    assert.equal(toBackupError(new TypeError()).message, "TypeError");
    for (const value of ["text", 5, null, undefined]) {
      assert.equal(toBackupError(value).message, String(value));
    }
  });
});

test("the system's code of an error is told, if there is one", () => {
  assert.equal(systemCode(Object.assign(new Error("x"), { code: "ENOENT" })), "ENOENT");
  for (const value of [new Error("x"), { code: 5 }, null, undefined, "ENOENT"]) {
    assert.equal(systemCode(value), undefined);
  }
});
