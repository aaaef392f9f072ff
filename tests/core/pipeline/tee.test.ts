import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../../src/core/bytes.ts";
import { tee } from "../../../src/core/pipeline/tee.ts";

const o = { signal: new AbortController().signal };

describe("tee", () => {
  test("gives every branch every chunk, and each its own result", async () => {
    const outcomes = await tee(numbered(10), [read, read, read], o);
    const all = Array.from({ length: 10 }, (_, index) => index);
    const done = { status: "done", value: all } as const;
    assert.deepEqual(outcomes, [done, done, done]);
  });

  test("asks the source for more only when every live branch has asked", async () => {
    let pulled = 0;
    let fast = 0;
    let slow = 0;
    const source = counting(numbered(50), () => pulled++);
    const outcomes = await tee(source, [
      async (copy) => {
        for await (const _ of copy) {
          fast++;
          assert.ok(fast - slow <= 1, `${fast} against ${slow}`);
        }
      },
      async (copy) => {
        for await (const _ of copy) {
          await pause(1);
          slow++;
          assert.ok(pulled - slow <= 1, "the source ran ahead of the slow branch");
        }
      },
    ], o);
    assert.deepEqual(outcomes.map(({ status }) => status), ["done", "done"]);
    assert.equal(slow, 50);
  });

  test("drops a branch that fails, and the others go on", async () => {
    const failure = new Error("disk full");
    const [bad, good] = await tee<number[]>(numbered(5), [failingAt(2, failure), read], o);
    assert.deepEqual(bad, { status: "failed", error: failure });
    assert.deepEqual(good, { status: "done", value: [0, 1, 2, 3, 4] });
  });

  test("throws the first branch's error and ends the source when all have failed", async () => {
    const [first, second] = [new Error("first"), new Error("second")];
    let isEnded = false;
    const source = onEnd(numbered(1_000), () => isEnded = true);
    await assert.rejects(
      tee(source, [failingAt(4, second), failingAt(2, first)], o),
      (error) => error === first,
    );
    assert.ok(isEnded);
  });

  test("throws the source's error into every branch, and itself", async () => {
    const failure = new Error("the dump died");
    const seen: unknown[] = [];
    const branch = async (copy: Bytes) => {
      try {
        for await (const _ of copy);
      } catch (error) {
        seen.push(error);
        throw error;
      }
    };
    await assert.rejects(
      tee(breaking(3, failure), [branch, branch], o),
      (error) => error === failure,
    );
    assert.deepEqual(seen, [failure, failure]);
  });

  test("throws the source's error even when every branch swallows it", async () => {
    const failure = new Error("the dump died");
    const swallow = async (copy: Bytes) => {
      try {
        for await (const _ of copy);
      } catch {
        // A storage with a defect.
      }
    };
    await assert.rejects(
      tee(breaking(3, failure), [swallow], o),
      (error) => error === failure,
    );
  });

  test("goes on when a branch ends early", async () => {
    const early = async (copy: Bytes) => {
      for await (const chunk of copy) return [chunk[0]!];
      return [];
    };
    const outcomes = await tee<number[]>(numbered(5), [early, read], o);
    assert.deepEqual(outcomes[0], { status: "done", value: [0] });
    assert.deepEqual(outcomes[1], { status: "done", value: [0, 1, 2, 3, 4] });
  });

  test("ends the source when every branch ended early", async () => {
    let isEnded = false;
    const early = async (copy: Bytes) => {
      for await (const _ of copy) break;
    };
    await tee(onEnd(numbered(1_000), () => isEnded = true), [early, early], o);
    assert.ok(isEnded);
  });

  test("does not wait for a branch that never reads", async () => {
    const outcomes = await tee<number[]>(numbered(5), [() => Promise.resolve([]), read], o);
    assert.deepEqual(outcomes[1], { status: "done", value: [0, 1, 2, 3, 4] });
  });

  test("aborts every branch with the whole, and a failed branch's own signal", async () => {
    const controller = new AbortController();
    const reason = new Error("stop");
    const stuck = (_: Bytes, signal: AbortSignal) =>
      new Promise<void>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
    setTimeout(() => controller.abort(reason), 10);
    await assert.rejects(
      tee(numbered(5), [stuck, stuck], { signal: controller.signal }),
      (error) => error === reason,
    );
    let dropped: AbortSignal | undefined;
    const failure = new Error("full");
    await tee<unknown>(numbered(5), [
      (_, signal) => {
        dropped = signal;
        return Promise.reject(failure);
      },
      read,
    ], o);
    assert.equal(dropped?.reason, failure);
  });

  test("property: any mix of slow, failing and early branches keeps lockstep and the truth", async () => {
    const branch = fc.record({
      kind: fc.constantFrom("read", "fail", "early"),
      at: fc.nat({ max: 12 }),
      pauses: fc.array(fc.nat({ max: 2 }), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 12 }),
        fc.array(branch, { minLength: 1, maxLength: 4 }),
        async (chunks, plans) => {
          const seen = plans.map(() => 0);
          const isLive = plans.map(() => true);
          const branches = plans.map(({ kind, at, pauses }, index) => async (copy: Bytes) => {
            try {
              let count = 0;
              for await (const chunk of copy) {
                assert.equal(chunk[0], count, "a chunk is missing or doubled");
                count = ++seen[index]!;
                const live = seen.filter((_, other) => isLive[other]);
                assert.ok(Math.max(...live) - Math.min(...live) <= 1, "out of lockstep");
                await pause(pauses[count % Math.max(1, pauses.length)] ?? 0);
                if (count > at && kind === "fail") throw new Error(`branch ${index}`);
                if (count > at && kind === "early") break;
              }
              return count;
            } finally {
              isLive[index] = false;
            }
          });
          const willFail = plans.map(({ kind, at }) => kind === "fail" && at < chunks);
          const result = await tee(numbered(chunks), branches, o).catch((error) => String(error));
          if (willFail.every(Boolean)) {
            assert.match(String(result), /branch \d/);
            return;
          }
          assert.ok(Array.isArray(result), String(result));
          for (const [index, outcome] of result.entries()) {
            const { kind, at } = plans[index]!;
            assert.equal(outcome.status, willFail[index] ? "failed" : "done");
            if (outcome.status !== "done") continue;
            const expected = kind === "early" ? Math.min(chunks, at + 1) : chunks;
            assert.equal(outcome.value, expected);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

async function read(copy: Bytes): Promise<number[]> {
  const seen: number[] = [];
  for await (const chunk of copy) seen.push(chunk[0]!);
  return seen;
}

function failingAt(count: number, error: Error) {
  return async (copy: Bytes): Promise<number[]> => {
    let seen = 0;
    for await (const _ of copy) if (++seen === count) throw error;
    return [];
  };
}

/** Chunks 0, 1, 2, … in one buffer that is used again. */
async function* numbered(count: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(1);
  for (let index = 0; index < count; index++) {
    buffer[0] = index;
    yield buffer;
    buffer[0] = 0xee;
    await Promise.resolve();
  }
}

async function* breaking(count: number, error: Error): AsyncGenerator<Uint8Array> {
  yield* numbered(count);
  throw error;
}

async function* counting(bytes: Bytes, count: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    count();
    yield chunk;
  }
}

async function* onEnd(bytes: Bytes, end: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } finally {
    end();
  }
}

function pause(ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}
