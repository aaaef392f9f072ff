import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseDuration, parseSize } from "../../src/core/units.ts";

describe("durations", () => {
  const good: [string, number][] = [
    ["90s", 90_000],
    ["10m", 600_000],
    ["2h30m", 9_000_000],
    ["1.5h", 5_400_000],
    ["250ms", 250],
    ["1w1d", 8 * 86_400_000],
  ];
  for (const [text, ms] of good) {
    test(`"${text}" is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
  }
  for (const text of ["", "10", "m", "10 m", "-1m", "10min", "0s", "1h garbage", "2H"]) {
    test(`"${text}" is no duration`, () => assert.equal(parseDuration(text), undefined));
  }
});

describe("sizes", () => {
  const good: [string, number][] = [
    ["4096", 4096],
    ["512MiB", 512 * 1024 ** 2],
    ["1.5 GiB", 1.5 * 1024 ** 3],
    ["100GB", 100e9],
    ["1TiB", 1024 ** 4],
    ["7B", 7],
  ];
  for (const [text, bytes] of good) {
    test(`"${text}" is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
  }
  for (const text of ["", "0", "1G", "1gib", "-1MiB", "1 0MiB", "99999999TiB", "1PiB"]) {
    test(`"${text}" is no size`, () => assert.equal(parseSize(text), undefined));
  }
});

describe("units", () => {
  test("of durations add up, in whatever order and number", () => {
    const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 } as const;
    const part = fc.tuple(fc.integer({ min: 1, max: 999 }), fc.constantFrom(...Object.keys(units)));
    fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.map(([count, unit]) => `${count}${unit}`).join("");
      const ms = parts.reduce((sum, [n, unit]) => sum + n * units[unit as keyof typeof units], 0);
      assert.equal(parseDuration(text), ms);
    }));
  });

  test("of sizes are powers of 1000, or of 1024 with an i", () => {
    const units = ["K", "M", "G", "T"];
    fc.assert(fc.property(fc.integer({ min: 1, max: 999 }), fc.nat(3), (count, power) => {
      assert.equal(parseSize(`${count}${units[power]}B`), count * 1000 ** (power + 1));
      assert.equal(parseSize(`${count} ${units[power]}iB`), count * 1024 ** (power + 1));
    }));
  });

  test("never read as anything but a positive whole number, or not at all", () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{1,25} ?[KMGT]?i?B?$/));
    fc.assert(fc.property(texts, (text) => {
      for (const value of [parseDuration(text), parseSize(text)]) {
        assert.ok(value === undefined || (Number.isInteger(value) && value > 0), text);
      }
    }));
  });
});
