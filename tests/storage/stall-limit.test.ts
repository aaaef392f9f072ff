import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ObjectInfo, Storage } from "../../src/contracts/storage.ts";
import type { Bytes } from "../../src/core/bytes.ts";
import { tee } from "../../src/core/pipeline/tee.ts";
import { withStallLimit } from "../../src/storage/stall-limit.ts";
import { never } from "../support/runtime.ts";

const limitMs = 300;
const graceMs = 100;

/** A storage of which only put works. */
function putting(put: Storage["put"]): Storage {
  const not = () => {
    throw new Error("not here");
  };
  return {
    location: "/there",
    put,
    get: not,
    stat: not,
    list: not,
    delete: not,
    sweep: not,
    close: () => Promise.resolve(),
  };
}

async function readAll(key: string, body: Bytes | Uint8Array): Promise<ObjectInfo> {
  let bytes = 0;
  for await (const chunk of body as Bytes) bytes += chunk.byteLength;
  return { key, bytes, modifiedAt: new Date() };
}

/** Never ends but by the signal. */
function hang(signal: AbortSignal): Promise<never> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  );
}

async function* chunks(count: number, delayMs = 0): Bytes {
  for (let i = 0; i < count; i++) {
    await sleep(delayMs);
    yield new Uint8Array(1_000);
  }
}

const stalled = { code: "storage/stalled" };

describe("a storage with a stall limit", () => {
  test("gives up a put that sits on a chunk, and lets it clean up", async () => {
    let hasCleaned = false;
    const storage = putting(async (_key, body, { signal }) => {
      for await (const _ of body as Bytes) {
        await hang(signal).catch(async (reason) => {
          await sleep(20);
          hasCleaned = true;
          throw reason;
        });
      }
      throw new Error("it was told to stop");
    });
    await assert.rejects(
      withStallLimit(storage, limitMs, graceMs).put("k", chunks(3), { signal: never }),
      stalled,
    );
    assert.ok(hasCleaned);
  });

  test("gives up a put that read all and does not end, even one that hears no signal", async () => {
    const storage = putting(async (key, body) => {
      await readAll(key, body);
      return await new Promise<never>(() => {});
    });
    await assert.rejects(
      withStallLimit(storage, limitMs, graceMs).put("k", new Uint8Array(10), { signal: never }),
      stalled,
    );
  });

  test("does not count the time in which it waits for the source", async () => {
    const storage = putting(readAll);
    const { bytes } = await withStallLimit(storage, limitMs, graceMs)
      .put("k", chunks(3, 2 * limitMs), { signal: never });
    assert.equal(bytes, 3_000);
  });

  test("counts anew with each chunk", async () => {
    const storage = putting(async (key, body) => {
      for await (const _ of body as Bytes) await sleep(limitMs / 3);
      return { key, bytes: 6_000, modifiedAt: new Date() };
    });
    await withStallLimit(storage, limitMs, graceMs).put("k", chunks(6), { signal: never });
  });

  test("is dropped from a tee, and the others get everything", async () => {
    const bad = withStallLimit(
      putting((_key, body, { signal }) => {
        void (body as Bytes)[Symbol.asyncIterator]().next();
        return hang(signal);
      }),
      limitMs,
      graceMs,
    );
    // Held up by the other one for as long as that takes, and not to blame.
    const good = withStallLimit(putting(readAll), limitMs, graceMs);
    const [first, second] = await tee(
      chunks(50),
      [bad, good].map((storage) => (copy: Bytes, signal: AbortSignal) =>
        storage.put("k", copy, { signal })
      ),
      { signal: never },
    );
    assert.equal(first!.status, "failed");
    assert.ok(second!.status === "done");
    assert.equal(second!.value.bytes, 50_000);
  });

  test("passes on how a put fails by itself, or is aborted", async () => {
    const failure = new Error("disk on fire");
    const failing = withStallLimit(putting(() => Promise.reject(failure)), limitMs, graceMs);
    await assert.rejects(
      failing.put("k", chunks(1), { signal: never }),
      (error) => error === failure,
    );
    const reason = new Error("stop");
    const hanging = withStallLimit(putting((_k, _b, { signal }) => hang(signal)), 10_000, graceMs);
    const signal = AbortSignal.timeout(20);
    await assert.rejects(hanging.put("k", chunks(1), { signal }), { name: "TimeoutError" });
    await assert.rejects(
      hanging.put("k", chunks(1), { signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    );
  });
});
