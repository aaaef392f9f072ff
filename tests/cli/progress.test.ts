import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatProgress } from "../../src/cli/progress.ts";

const mebibyte = 1024 ** 2;
const times = { elapsedMs: 12_000, stageMs: 10_000, stageBytes: 100 * mebibyte };

describe("the progress line", () => {
  test("tells stage, bytes in and out, rate, time, and the rest where the size is known", () => {
    const state = {
      stage: "dump",
      rawBytes: 100 * mebibyte,
      storedBytes: 30 * mebibyte,
      totalBytes: 400 * mebibyte,
    };
    assert.equal(
      formatProgress("shop", state, times),
      "shop: dump  100.0 MiB raw  30.0 MiB stored  10.0 MiB/s  12s  about 25%, 30s left",
    );
  });

  test("guesses nothing without a size, and no time in the first moments", () => {
    const state = { stage: "dump", rawBytes: mebibyte, storedBytes: 0 };
    assert.doesNotMatch(formatProgress("shop", state, times), /about|left|stored/);
    const early = { elapsedMs: 500, stageMs: 400, stageBytes: 1_000 };
    const line = formatProgress("shop", { ...state, totalBytes: 400 * mebibyte }, early);
    assert.match(line, /about 0%$/);
  });

  test("never says that more than all is done, when the estimate was too low", () => {
    const state = { stage: "dump", rawBytes: 100, storedBytes: 1, totalBytes: 10 * mebibyte };
    assert.match(formatProgress("shop", state, times), /about 99%$/);
  });
});
