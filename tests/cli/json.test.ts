import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { jsonPieces } from "../../src/cli/json.ts";

describe("JSON in pieces", () => {
  const lists: readonly (readonly unknown[])[] = [
    [],
    [1],
    [{ a: [1, { b: "two\nlines" }], c: {} }, null, "x"],
    Array.from({ length: 3_000 }, (_, id) => ({ id, name: "shop".repeat(20) })),
  ];
  for (const list of lists) {
    test(`is that of JSON.stringify for ${list.length} entries`, () => {
      const pieces = [...jsonPieces(list.values())];
      assert.equal(pieces.join(""), `${JSON.stringify(list, null, 2)}\n`);
      assert.ok(pieces.every((piece) => piece.length < 128 * 1024));
    });
  }

  test("is that of JSON.stringify for an object", () => {
    const value = { error: { code: "usage/x" } };
    assert.equal([...jsonPieces(value)].join(""), `${JSON.stringify(value, null, 2)}\n`);
  });
});
