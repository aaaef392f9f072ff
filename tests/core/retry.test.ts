import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../src/core/errors.ts";
import { retryAfterMs, type RetryOptions, sleep, timed, withRetry } from "../../src/core/retry.ts";
import { never } from "../support/runtime.ts";

const failure = new Error("broken");

/** Options whose waits take no time; `waits` collects how long they would have been. */
function quick(waits: number[] = [], changes: Partial<RetryOptions> = {}): RetryOptions {
  return {
    signal: never,
    runtime: { now: () => new Date(0), random: () => new Uint8Array([0, 0, 0, 0]) },
    policy: { attempts: 4, baseMs: 100, maxMs: 250, totalMs: 60_000 },
    judge: () => "retry",
    onRetry: (_, waitMs) => waits.push(waitMs),
    ...changes,
  };
}

describe("withRetry", () => {
  test("gives the first result there is, and says which try it was", async () => {
    const tries: number[] = [];
    const result = await withRetry((_, nth) => {
      tries.push(nth);
      return nth < 3 ? Promise.reject(failure) : Promise.resolve("done");
    }, quick());
    assert.equal(result, "done");
    assert.deepEqual(tries, [1, 2, 3]);
  });

  test("throws the last error once the tries are used up", async () => {
    let count = 0;
    await assert.rejects(
      withRetry(() => Promise.reject(new Error(`try ${++count}`)), quick()),
      /try 4/,
    );
  });

  test("does not try again what is final", async () => {
    let count = 0;
    const run = () => Promise.reject(count++ === 0 ? failure : new Error("tried again"));
    await assert.rejects(withRetry(run, quick([], { judge: () => "final" })), failure);
  });

  test("waits a random time under a bound that doubles up to a limit", async () => {
    const waits: number[] = [];
    const runtime = {
      now: () => new Date(0),
      random: () => new Uint8Array([0x10, 0, 0, 0]), // 1/16
    };
    await assert.rejects(withRetry(() => Promise.reject(failure), quick(waits, { runtime })));
    assert.deepEqual(waits, [6, 12, 15]);
  });

  test("waits at least as long as the server asks", async () => {
    const waits: number[] = [];
    const judge = () => ({ afterMs: 7 });
    await assert.rejects(withRetry(() => Promise.reject(failure), quick(waits, { judge })));
    assert.deepEqual(waits, [7, 7, 7]);
  });

  test("begins no try when the time since the first failure is over", async () => {
    let at = 0;
    let count = 0;
    const runtime = { ...quick().runtime, now: () => new Date(at) };
    const run = () => {
      count++;
      at += 30_001;
      return Promise.reject(failure);
    };
    await assert.rejects(withRetry(run, quick([], { runtime })), failure);
    assert.equal(count, 3, "what passed before the first failure was no outage");
  });

  test("counts a try that was silent from its start", async () => {
    let at = 0;
    let count = 0;
    const runtime = { ...quick().runtime, now: () => new Date(at) };
    const hang = () => {
      count++;
      at += 30_001;
      return new Promise<never>(() => {});
    };
    await assert.rejects(
      withRetry(hang, quick([], { runtime, attemptTimeoutMs: 5 })),
      (error) => hasCode(error, "storage/unavailable"),
    );
    assert.equal(count, 2);
  });

  test("tells how long it goes on, of a silence while it lasts, and of the answer", async () => {
    const told: string[] = [];
    let at = 0;
    let count = 0;
    const result = await withRetry(
      async (signal) => {
        at += 1_000;
        if (++count === 1) throw failure;
        await sleep(50, signal);
        return "done";
      },
      quick([], {
        runtime: { ...quick().runtime, now: () => new Date(at) },
        onRetry: (_, __, leftMs) => told.push(`${leftMs} ms left`),
        onSilence: () => told.push("silent"),
        silenceMs: 5,
        onAnswer: () => told.push("answered"),
      }),
    );
    assert.equal(result, "done");
    assert.deepEqual(told, ["60000 ms left", "silent", "answered"]);
  });

  test("aborts a try that stalls, and tries again", async () => {
    const seen: boolean[] = [];
    const result = await withRetry((signal, nth) => {
      if (nth === 2) return Promise.resolve("second");
      signal.addEventListener("abort", () => seen.push(true));
      return new Promise<string>(() => {});
    }, quick([], { attemptTimeoutMs: 10, judge: () => "final" }));
    assert.equal(result, "second");
    assert.deepEqual(seen, [true]);
  });

  test("throws the signal's reason, also while it waits", async () => {
    const reason = new Error("stop");
    const controller = new AbortController();
    const slow = {
      policy: { attempts: 4, baseMs: 60_000, maxMs: 60_000, totalMs: 1e9 },
      runtime: { ...quick().runtime, random: () => new Uint8Array([255, 0, 0, 0]) },
      onRetry: () => setTimeout(() => controller.abort(reason)),
    };
    await assert.rejects(
      withRetry(
        () => Promise.reject(failure),
        quick([], { ...slow, signal: controller.signal }),
      ),
      (error) => error === reason,
    );
    await assert.rejects(
      withRetry(() => Promise.resolve(1), quick([], { signal: controller.signal })),
      (error) => error === reason,
    );
  });
});

describe("timed", () => {
  test("throws storage/unavailable in time although the work hears no signal", async () => {
    await assert.rejects(
      timed(() => new Promise(() => {}), 10, never),
      (error) => hasCode(error, "storage/unavailable"),
    );
  });

  test("throws the reason of the abort, not what the driver made of it", async () => {
    const reason = new Error("stop");
    const controller = new AbortController();
    const run = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("AbortError")));
        controller.abort(reason);
      });
    await assert.rejects(timed(run, 10_000, controller.signal), (error) => error === reason);
  });
});

test("Retry-After is read as seconds, as a date, or not at all", () => {
  const now = new Date("2026-11-25T08:00:00Z");
  assert.equal(retryAfterMs("2", now), 2000);
  assert.equal(retryAfterMs("Wed, 25 Nov 2026 08:00:05 GMT", now), 5000);
  assert.equal(retryAfterMs("Wed, 25 Nov 2026 07:00:00 GMT", now), 0);
  assert.equal(retryAfterMs("soon", now), undefined);
  assert.equal(retryAfterMs(undefined, now), undefined);
});
