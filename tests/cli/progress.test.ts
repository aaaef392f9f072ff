import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createProgressLine, formatProgress } from "../../src/cli/progress.ts";
import { createMeter } from "../../src/jobs/shared/progress.ts";
import type { JobEvent } from "../../src/contracts/run.ts";

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

  test("goes on while nothing is told, and stops when it is taken away", async () => {
    let screen = "";
    const write = (text: string) => void (screen += text);
    const line = createProgressLine({ write, isTerminal: true, columns: 100 }, "shop");
    line.update({ stage: "copy", rawBytes: 0, storedBytes: 0, totalBytes: 4 * mebibyte });
    line.update({
      stage: "copy",
      rawBytes: 4 * mebibyte,
      storedBytes: 0,
      totalBytes: 4 * mebibyte,
    });
    line.update({ stage: "check", rawBytes: 4 * mebibyte, storedBytes: 0 });
    await sleep(1_300);
    const drawn = screen.split("\r\x1b[K").filter((text) => text !== "");
    assert.match(drawn.at(-2)!, /^shop: check {2}4\.0 MiB raw {2}0\.0s$/);
    assert.match(drawn.at(-1)!, /^shop: check {2}4\.0 MiB raw {2}1\.\ds$/);
    line.clear();
    const length = screen.length;
    await sleep(1_300);
    assert.equal(screen.length, length);
  });

  test("counts what is made ready from its beginning, and what goes by then again", () => {
    const events: string[] = [];
    const onEvent = (event: JobEvent) => {
      if (event.type !== "stage" && event.type !== "progress") return;
      events.push(`${event.type} ${event.stage} ${event.rawBytes}`);
    };
    const meter = createMeter({ onEvent });
    meter.stage("dump", 100);
    meter.prepared(40);
    meter.checking();
    meter.raw(10);
    assert.deepEqual(events.filter((one) => one.startsWith("stage")), [
      "stage dump 0",
      "stage copy 0",
      "stage check 40",
      "stage dump 0",
    ]);
  });
});
