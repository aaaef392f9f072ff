import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  counted,
  formatBytes,
  formatDuration,
  listed,
  nearest,
  shellQuote,
  suggestion,
} from "../../src/core/text.ts";
import { run } from "../support/run.ts";

describe("sizes for people", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [1024 ** 2, "1.0 MiB"],
    [5 * 1024 ** 3, "5.0 GiB"],
    [1024 ** 4, "1.0 TiB"],
    [3000 * 1024 ** 5, "3000.0 PiB"],
  ];
  for (const [bytes, text] of cases) {
    test(`${bytes} is ${text}`, () => assert.equal(formatBytes(bytes), text));
  }
});

test("a long list ends with how many more there are", () => {
  const words = Array.from({ length: 12 }, (_, index) => `b${index}`);
  assert.equal(listed(words.slice(0, 2)), "b0, b1");
  assert.equal(listed(words.slice(0, 10)), words.slice(0, 10).join(", "));
  assert.equal(listed(words), `${words.slice(0, 10).join(", ")} and 2 more`);
  assert.equal(listed(words, 2), "b0, b1 and 10 more");
});

test("one thing is no plural", () => {
  const counts = [0, 1, 2].map((count) => counted(count, "copy", "copies"));
  assert.deepEqual(counts, ["0 copies", "1 copy", "2 copies"]);
  assert.equal(counted(2, "job"), "2 jobs");
});

describe("times for people", () => {
  const cases: [number, string][] = [
    [-5, "0.0s"],
    [0, "0.0s"],
    [340, "0.3s"],
    [9_900, "9.9s"],
    [10_000, "10s"],
    [59_400, "59s"],
    [59_600, "1m"],
    [245_000, "4m 5s"],
    [3_600_000, "1h"],
    [3_605_000, "1h"],
    [51 * 3_600_000, "2d 3h"],
    [86_400_000, "1d"],
  ];
  for (const [ms, text] of cases) {
    test(`${ms} ms are ${text}`, () => assert.equal(formatDuration(ms), text));
  }

  test("have one or two units, and are never empty", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => {
      assert.match(formatDuration(ms), /^(\d+\.\ds|\d+[dhms]( \d+[hms])?)$/);
    }));
  });
});

describe("the nearest name", () => {
  const names = ["shop", "orders", "customers"];

  test("is one with a letter wrong, missing, too many, swapped, or in another case", () => {
    for (const wrong of ["shap", "sho", "shopp", "hsop", "SHOP"]) {
      assert.equal(nearest(wrong, names), "shop", wrong);
    }
    assert.equal(nearest("custmoers", names), "customers");
  });

  test("is none when nothing is near", () => {
    for (const wrong of ["", "x", "billing", "sh"]) {
      assert.notEqual(nearest(wrong, names), "orders");
    }
    assert.equal(nearest("billing", names), undefined);
    assert.equal(nearest("shop", []), undefined);
  });

  test("of a name that is there is that name", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1 })),
        fc.string({ minLength: 1 }),
        (others, name) => {
          assert.equal(nearest(name, [...others, name])?.toLowerCase(), name.toLowerCase());
        },
      ),
    );
  });

  test("becomes a sentence, or the list of what there is", () => {
    assert.equal(suggestion("shpo", names), 'Did you mean "shop"?');
    assert.equal(suggestion("billing", names), "Known: shop, orders, customers.");
    assert.equal(suggestion("billing", []), "None is defined.");
  });
});

describe("words for a shell", () => {
  test("stay as they are where they need nothing", () => {
    assert.equal(shellQuote("/var/a-b_c.d,e:f@g%h+i=j"), "/var/a-b_c.d,e:f@g%h+i=j");
    assert.equal(shellQuote(""), "''");
    assert.equal(shellQuote("it's"), `'it'\\''s'`);
  });

  test("come out of sh as they went in, whatever they hold", async () => {
    const words = fc.string({ unit: "grapheme" }).filter((word) => !word.includes("\0"));
    await fc.assert(
      fc.asyncProperty(fc.array(words, { minLength: 1, maxLength: 8 }), async (list) => {
        const script = `printf '%s\\0' ${list.map(shellQuote).join(" ")}`;
        const { stdout } = await run("sh", ["-c", script]);
        assert.deepEqual(stdout.split("\0").slice(0, -1), list);
      }),
      { numRuns: 50 },
    );
  });
});
