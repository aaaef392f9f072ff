import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import type { Bytes } from "../../src/core/bytes.ts";
import { type LimitClock, withUploadLimit } from "../../src/storage/upload-limit.ts";
import { withStallLimit } from "../../src/storage/stall-limit.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { never } from "../support/runtime.ts";

/** A clock that stands still but for those who sleep, each of whom wakes `lateMs` too late. */
function clock(lateMs = 0): LimitClock & { nowMs: () => number } {
  let nowMs = 5_000;
  return {
    nowMs: () => nowMs,
    sleep: async (ms, signal) => {
      const endMs = nowMs + ms + lateMs;
      await Promise.resolve();
      signal.throwIfAborted();
      nowMs = Math.max(nowMs, endMs);
    },
  };
}

/** A clock for several sleepers: once nobody does anything, the one that is due first wakes. */
function orderedClock(): LimitClock {
  let nowMs = 0;
  const sleepers: { readonly endMs: number; readonly wake: () => void }[] = [];
  return {
    nowMs: () => nowMs,
    sleep: (ms) =>
      new Promise((wake) => {
        sleepers.push({ endMs: nowMs + ms, wake });
        setImmediate(() => {
          sleepers.sort((a, b) => a.endMs - b.endMs);
          const first = sleepers.shift()!;
          nowMs = Math.max(nowMs, first.endMs);
          first.wake();
        });
      }),
  };
}

async function* chunks(count: number, bytes: number): Bytes {
  for (let i = 0; i < count; i++) {
    await Promise.resolve();
    yield new Uint8Array(bytes);
  }
}

const rate = 1024 * 1024;

describe("a storage with an upload limit", () => {
  for (const lateMs of [0, 1, 15]) {
    for (const bytes of [100, 70_000, 4 * rate]) {
      test(`sends 60 MiB in a minute, in chunks of ${bytes} and with timers ${lateMs} ms late`, async () => {
        const time = clock(lateMs);
        const store = memoryStorage();
        const storage = withUploadLimit(store, rate, time);
        const startMs = time.nowMs();
        const count = Math.ceil(60 * rate / bytes);
        await storage.put("a", chunks(count, bytes), { signal: never });
        const tookMs = time.nowMs() - startMs;
        assert.equal(store.objects.get("a")!.body.byteLength, count * bytes);
        const exactMs = count * bytes / rate * 1_000;
        assert.ok(Math.abs(tookMs - exactMs) < exactMs * 0.05, `${tookMs} of ${exactMs} ms`);
      });
    }
  }

  test("shares the limit fairly among the puts of one time", async () => {
    const time = orderedClock();
    const sent = new Map<string, number>();
    const counting: Storage = {
      ...memoryStorage(),
      async put(key, body) {
        for await (const chunk of body as Bytes) {
          sent.set(key, (sent.get(key) ?? 0) + chunk.byteLength);
          const [least, most] = [Math.min(...sent.values()), Math.max(...sent.values())];
          if (sent.size === 3) assert.ok(most - least <= 2 * 64 * 1024, `${least} to ${most}`);
        }
        return { key, bytes: 0, modifiedAt: new Date(0) };
      },
    };
    const storage = withUploadLimit(counting, rate, time);
    const startMs = time.nowMs();
    await Promise.all(
      ["a", "b", "c"].map((key, index) =>
        storage.put(key, chunks(10 * 2 ** index, rate / 2 ** index), { signal: never })
      ),
    );
    assert.ok(Math.abs(time.nowMs() - startMs - 30_000) < 1_500);
  });

  test("gives no more credit for idle time than a quarter of a second", async () => {
    const time = clock();
    const storage = withUploadLimit(memoryStorage(), rate, time);
    await time.sleep(60_000, never);
    const startMs = time.nowMs();
    await storage.put("a", chunks(10, rate), { signal: never });
    assert.ok(time.nowMs() - startMs >= 9_700);
  });

  test("counts short bodies, which stay whole", async () => {
    const time = clock();
    const storage = withUploadLimit(memoryStorage(), 1_000, time);
    const startMs = time.nowMs();
    for (let i = 0; i < 10; i++) {
      await storage.put(`m${i}`, new Uint8Array(1_000), { signal: never });
    }
    assert.ok(Math.abs(time.nowMs() - startMs - 10_000) <= 300);
  });

  test("ends as soon as the signal aborts", async () => {
    const aborting = new AbortController();
    const storage = withUploadLimit(memoryStorage(), 10);
    const putting = storage.put("a", chunks(10, 1_000), { signal: aborting.signal });
    setTimeout(() => aborting.abort(new Error("enough")), 30);
    await assert.rejects(putting, /enough/);
  });

  test("is no stall, however long it makes the storage wait", async () => {
    const inner = withStallLimit(memoryStorage(), 60);
    const storage = withUploadLimit(inner, 2_000);
    const info = await storage.put("a", chunks(8, 100), { signal: never });
    assert.equal(info.bytes, 800);
  });
});
