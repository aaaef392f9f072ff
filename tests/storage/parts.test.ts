import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bytes } from "../../src/core/bytes.ts";
import { createPartBuffers } from "../../src/storage/part-buffers.ts";
import { type Part, type PartSink, sendParts } from "../../src/storage/parts.ts";
import { never } from "../support/runtime.ts";

/** A sink that keeps what it is given, as text. */
function recorder(changes: { send?: (part: Part, signal: AbortSignal) => Promise<void> } = {}) {
  const log = { whole: "", parts: [] as string[], begun: 0, aborted: 0, completed: 0 };
  const sink: PartSink<string> = {
    whole: (bytes) => Promise.resolve(log.whole = text(bytes)),
    begin: () => {
      log.begun++;
      return Promise.resolve({
        async send(part, signal) {
          await changes.send?.(part, signal);
          log.parts[part.number - 1] = `${part.offset}:${text(part.bytes)}${
            part.isLast ? "." : ""
          }`;
        },
        complete: (total) => {
          log.completed = total;
          return Promise.resolve("completed");
        },
        abort: () => {
          log.aborted++;
          return Promise.reject(new Error("abort failed, too"));
        },
      });
    },
  };
  return { log, sink };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A body that reuses its buffer for every chunk; says whether it was ended. */
function body(chunks: readonly string[], error?: Error) {
  const state = { asked: 0, isEnded: false };
  const bytes = async function* (): Bytes {
    const buffer = new Uint8Array(64);
    try {
      for (const chunk of chunks) {
        state.asked++;
        buffer.set(new TextEncoder().encode(chunk));
        yield buffer.subarray(0, chunk.length);
        buffer.fill(33);
      }
      if (error !== undefined) throw error;
    } finally {
      state.isEnded = true;
    }
  }();
  return { bytes, state };
}

const options = (partBytes = 4, spare = 1, signal = never) => ({
  signal,
  buffers: createPartBuffers(partBytes, spare),
});

describe("sendParts", () => {
  test("sends what fits into one part as a whole", async () => {
    for (const chunks of [[], ["ab"], ["ab", "cd"], ["abcd"], ["a", "", "bcd"]]) {
      const { log, sink } = recorder();
      assert.equal(await sendParts(body(chunks).bytes, sink, options()), chunks.join(""));
      assert.equal(log.begun, 0);
    }
    const { sink } = recorder();
    assert.equal(await sendParts(new TextEncoder().encode("abcd"), sink, options()), "abcd");
  });

  test("cuts longer bodies into equal parts, however the chunks fall", async () => {
    const wanted = ["0:abcd", "4:efgh", "8:ij."];
    for (const chunks of [["abcdefghij"], [..."abcdefghij"], ["abc", "defgh", "", "ij"]]) {
      const { log, sink } = recorder();
      assert.equal(await sendParts(body(chunks).bytes, sink, options()), "completed");
      assert.deepEqual(log.parts, wanted);
      assert.equal(log.completed, 10);
      assert.equal(log.aborted, 0);
    }
    const { log, sink } = recorder();
    await sendParts(new TextEncoder().encode("abcdefgh"), sink, options());
    assert.deepEqual(log.parts, ["0:abcd", "4:efgh."]);
  });

  test("has no more parts on their way than there are buffers", async () => {
    const { bytes, state } = body(Array.from({ length: 40 }, () => "abcd"));
    let underWay = 0;
    let most = 0;
    const asked: number[] = [];
    const { sink } = recorder({
      async send({ number }) {
        most = Math.max(most, ++underWay);
        await sleep(1);
        // Each part is one chunk, and a chunk more is looked at to know whether it is the last.
        asked.push(state.asked - number);
        underWay--;
      },
    });
    await sendParts(bytes, sink, options(4, 2));
    assert.equal(most, 3);
    assert.ok(Math.max(...asked) <= 3, `${Math.max(...asked)} chunks ahead`);
  });

  test("gives every one of several puts a buffer of its own", async () => {
    const buffers = createPartBuffers(4, 0);
    const puts = Array.from({ length: 3 }, async () => {
      const { log, sink } = recorder({ send: () => sleep(1) });
      await sendParts(body(["abcdefgh", "ijklm"]).bytes, sink, { signal: never, buffers });
      return log.parts;
    });
    for (const parts of await Promise.all(puts)) {
      assert.deepEqual(parts, ["0:abcd", "4:efgh", "8:ijkl", "12:m."]);
    }
  });

  test("aborts the upload and ends the body when a part fails", async () => {
    const failure = new Error("part 2");
    const { log, sink } = recorder({
      send: ({ number }) => number === 2 ? Promise.reject(failure) : sleep(5),
    });
    const { bytes, state } = body(Array.from({ length: 20 }, () => "abcd"));
    await assert.rejects(sendParts(bytes, sink, options()), (error) => error === failure);
    assert.equal(log.aborted, 1);
    assert.equal(log.completed, 0);
    assert.ok(state.isEnded);
    assert.ok(state.asked < 10);
  });

  test("waits for the parts that are on their way before it aborts", async () => {
    let underWay = 0;
    let underWayAtAbort: number | undefined;
    const failure = new Error("begun");
    const sink: PartSink<void> = {
      whole: () => Promise.resolve(),
      begin: () =>
        Promise.resolve({
          async send(part) {
            underWay++;
            await sleep(part.number === 1 ? 20 : 1);
            underWay--;
            if (part.number === 2) throw failure;
          },
          complete: () => Promise.resolve(),
          abort: () => {
            underWayAtAbort = underWay;
            return Promise.resolve();
          },
        }),
    };
    const { bytes } = body(Array.from({ length: 20 }, () => "abcd"));
    await assert.rejects(sendParts(bytes, sink, options()), failure);
    assert.equal(underWayAtAbort, 0);
  });

  test("throws the body's error and aborts the upload", async () => {
    const failure = new Error("the dump died");
    const { log, sink } = recorder();
    await assert.rejects(sendParts(body(["abcdefgh"], failure).bytes, sink, options()), failure);
    assert.equal(log.aborted, 1);
    const short = recorder();
    await assert.rejects(sendParts(body(["ab"], failure).bytes, short.sink, options()), failure);
    assert.equal(short.log.whole, "");
  });

  test("throws the signal's reason although the body hangs", async () => {
    const controller = new AbortController();
    const reason = new Error("stop");
    let isReturned = false;
    const hanging: Bytes = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          setTimeout(() => controller.abort(reason));
          return new Promise(() => {});
        },
        return: () => {
          isReturned = true;
          return new Promise(() => {});
        },
      }),
    };
    const { sink } = recorder();
    await assert.rejects(
      sendParts(hanging, sink, options(4, 1, controller.signal)),
      (error) => error === reason,
    );
    assert.ok(isReturned);
  });

  test("gives its buffers back after a failure", async () => {
    const buffers = createPartBuffers(4, 1);
    const o = { signal: never, buffers };
    for (let count = 0; count < 5; count++) {
      const { sink } = recorder({ send: () => Promise.reject(new Error("no")) });
      await assert.rejects(sendParts(body(["abcdefghijkl"]).bytes, sink, o), /no/);
    }
    let underWay = 0;
    let most = 0;
    const { sink } = recorder({
      async send() {
        most = Math.max(most, ++underWay);
        await sleep(1);
        underWay--;
      },
    });
    await sendParts(body(["abcdefghijkl", "mnopqrst"]).bytes, sink, o);
    assert.equal(most, 2);
  });
});
