import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ByteRange, type Bytes, collectText } from "../../src/core/bytes.ts";
import { hasCode } from "../../src/core/errors.ts";
import { type OpenRead, readResumably } from "../../src/storage/read.ts";
import { never, testRuntime } from "../support/runtime.ts";

const content = "0123456789abcdef";
const failure = new Error("connection reset");

/** A store of one object whose nth answer goes as the nth entry says. */
function store(answers: readonly { cutAt?: number; error?: Error; hangs?: true; tag?: string }[]) {
  const asked: (ByteRange & { tag?: string })[] = [];
  const signals: AbortSignal[] = [];
  const open = (from: ByteRange & { tag?: string }, signal: AbortSignal) => {
    const answer = answers[asked.length] ?? {};
    asked.push(from);
    signals.push(signal);
    if (answer.error !== undefined && answer.cutAt === undefined) throw answer.error;
    const wanted = content.slice(from.start, from.end === undefined ? undefined : from.end + 1);
    if (wanted === "") return Promise.resolve(undefined);
    const bytes = async function* (): Bytes {
      for (const letter of wanted.slice(0, answer.cutAt)) yield new TextEncoder().encode(letter);
      if (answer.hangs) await new Promise(() => {});
      if (answer.error !== undefined) throw answer.error;
    }();
    return Promise.resolve<OpenRead>({ bytes, length: wanted.length, tag: answer.tag ?? "v1" });
  };
  const read = (range?: ByteRange, signal = never) =>
    readResumably(async (from, whole) => await open(from, whole), {
      signal,
      runtime: testRuntime(),
      policy: { attempts: 3, baseMs: 1, maxMs: 1, totalMs: 10_000 },
      judge: () => "retry",
      name: "s3://bucket/object",
      stallMs: 250,
      ...(range === undefined ? {} : { range }),
    });
  return { asked, signals, read };
}

describe("readResumably", () => {
  test("reads in one answer when nothing goes wrong", async () => {
    const { asked, signals, read } = store([]);
    assert.equal(await collectText(read()), content);
    assert.deepEqual(asked, [{ start: 0 }]);
    assert.ok(signals[0]!.aborted, "the answer was not closed");
  });

  test("takes up a broken read where it stopped, from the same version", async () => {
    const { asked, read } = store([{ cutAt: 5, error: failure }, { cutAt: 0, error: failure }]);
    assert.equal(await collectText(read()), content);
    assert.deepEqual(asked, [{ start: 0 }, { start: 5, tag: "v1" }, { start: 5, tag: "v1" }]);
  });

  test("takes an answer that ends early for a broken one", async () => {
    const { asked, read } = store([{ cutAt: 7 }]);
    assert.equal(await collectText(read({ start: 2, end: 12 })), content.slice(2, 13));
    assert.deepEqual(asked, [{ start: 2, end: 12 }, { start: 9, end: 12, tag: "v1" }]);
  });

  test("asks anew when an answer stalls", async () => {
    const { read } = store([{ cutAt: 3, hangs: true }]);
    assert.equal(await collectText(read()), content);
  });

  test("counts the tries anew after every byte that came", async () => {
    const cut = { cutAt: 1, error: failure };
    const { asked, read } = store(Array.from({ length: 10 }, () => cut));
    assert.equal(await collectText(read()), content);
    assert.equal(asked.length, 11);
  });

  test("gives up when no byte comes any more", async () => {
    const { asked, read } = store([
      { cutAt: 3, error: failure },
      ...Array(9).fill({ error: failure }),
    ]);
    await assert.rejects(collectText(read()), failure);
    assert.equal(asked.length, 3);
  });

  test("does not mix two versions of an object", async () => {
    const { read } = store([{ cutAt: 5, error: failure }, { tag: "v2" }]);
    await assert.rejects(collectText(read()), (error) => hasCode(error, "storage/failed"));
  });

  test("gives nothing of a range beyond the end", async () => {
    const { read } = store([]);
    assert.equal(await collectText(read({ start: 16 })), "");
    assert.equal(await collectText(read({ start: 14, end: 99 })), "ef");
  });

  test("closes the answer when the reader stops early", async () => {
    const { signals, read } = store([]);
    for await (const _ of read()) break;
    assert.ok(signals[0]!.aborted);
  });

  test("throws the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("stop");
    const { read } = store([{ cutAt: 3, hangs: true }]);
    const reading = collectText(read(undefined, controller.signal));
    setTimeout(() => controller.abort(reason), 5);
    await assert.rejects(reading, (error) => error === reason);
  });
});
