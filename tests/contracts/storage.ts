import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";

/** What {@link storageContract} needs of an implementation. */
export interface StorageSetup {
  /** A storage with nothing in it. */
  readonly storage: Storage;
  /** Removes it. */
  teardown(): Promise<void>;
}

/**
 * The tests that every implementation of Storage passes; see src/contracts/storage.ts. Imports
 * nothing but `node:` and the contract's types, so that authors of plugins can use it.
 *
 * @param name of the implementation, for the tests' names.
 * @param setup makes a fresh, empty storage for each test.
 */
export function storageContract(name: string, setup: () => Promise<StorageSetup>): void {
  const check = (title: string, use: (storage: Storage) => Promise<void>) =>
    test(title, async () => {
      const { storage, teardown } = await setup();
      try {
        await use(storage);
        await storage.close();
      } finally {
        await teardown();
      }
    });

  describe(`${name} as a storage`, () => {
    check("gives back what was put, byte for byte", async (storage) => {
      const content = pattern(3_000_001);
      const info = await storage.put("a/b/object.bin", inChunks(content, 65_536), o);
      assert.equal(info.key, "a/b/object.bin");
      assert.equal(info.bytes, content.byteLength);
      assert.ok(Math.abs(info.modifiedAt.getTime() - Date.now()) < 10 * 60_000);
      assert.ok(same(await read(storage, "a/b/object.bin"), content));
    });

    check(
      "copies a chunk before it asks for the next, as producers reuse them",
      async (storage) => {
        const content = pattern(5_000_000);
        await storage.put("reused", inReusedChunks(content, 10_007), o);
        assert.ok(same(await read(storage, "reused"), content));
      },
    );

    check("takes a whole buffer as body", async (storage) => {
      await storage.put("small", text("hello"), o);
      assert.equal(untext(await read(storage, "small")), "hello");
    });

    check("keeps an empty object", async (storage) => {
      await storage.put("empty-buffer", new Uint8Array(0), o);
      await storage.put("empty-stream", inChunks(new Uint8Array(0), 1), o);
      for (const key of ["empty-buffer", "empty-stream"]) {
        assert.equal((await storage.stat(key, o))?.bytes, 0);
        assert.equal((await read(storage, key)).byteLength, 0);
      }
    });

    check("takes the names that backups have", async (storage) => {
      const key =
        "=53hop=20=C3=A9.x-y_z/20261123T030000Z_full_k3v9x2ma_s41f0c2/dump-001.pgdump.zst";
      await storage.put(key, text("x"), o);
      assert.deepEqual(await keys(storage, ""), [key]);
    });

    check("never overwrites", async (storage) => {
      await storage.put("once", text("first"), o);
      await assert.rejects(storage.put("once", text("second"), o), code("storage/exists"));
      await assert.rejects(
        storage.put("once", inChunks(text("third"), 1), o),
        code("storage/exists"),
      );
      assert.equal(untext(await read(storage, "once")), "first");
    });

    check("lets exactly one of several writers of a key win", async (storage) => {
      const contents = ["a", "b", "c", "d", "e"].map((letter) => letter.repeat(100_000));
      const results = await Promise.allSettled(
        contents.map((content) => storage.put("contested", inChunks(text(content), 10_000), o)),
      );
      const winner = results.findIndex(({ status }) => status === "fulfilled");
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      for (const result of results) {
        if (result.status === "rejected") code("storage/exists")(result.reason);
      }
      assert.equal(untext(await read(storage, "contested")), contents[winner]);
      assert.deepEqual(await keys(storage, ""), ["contested"]);
    });

    check("leaves nothing when the body throws", async (storage) => {
      const failure = new Error("the dump died");
      await assert.rejects(
        storage.put("f/half", failing(pattern(2_000_000), failure), o),
        (error) => error === failure,
      );
      await assertAbsent(storage, "f/half");
      await storage.put("f/half", text("whole"), o);
      assert.equal(untext(await read(storage, "f/half")), "whole");
    });

    check("leaves nothing when it is aborted, and throws the signal's reason", async (storage) => {
      const controller = new AbortController();
      const reason = new Error("stop");
      const body = endless(() => controller.abort(reason));
      await assert.rejects(
        storage.put("f/aborted", body, { signal: controller.signal }),
        (error) => error === reason,
      );
      await assertAbsent(storage, "f/aborted");
    });

    check("does not begin when it is aborted already", async (storage) => {
      const reason = new Error("stop");
      const signal = AbortSignal.abort(reason);
      await assert.rejects(storage.put("never", text("x"), { signal }), (e) => e === reason);
      await assertAbsent(storage, "never");
    });

    check("ends the body's iteration when it fails", async (storage) => {
      await storage.put("taken", text("x"), o);
      let isReleased = false;
      const body = {
        [Symbol.asyncIterator]: () => ({
          next: () => Promise.resolve({ done: false as const, value: text("y".repeat(10_000)) }),
          return: () => {
            isReleased = true;
            return Promise.resolve({ done: true as const, value: undefined });
          },
        }),
      };
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error("stop")), 50);
      await assert.rejects(storage.put("unread", body, { signal: controller.signal }));
      assert.ok(isReleased, "the body was left open");
    });

    check("reads ranges, both ends included", async (storage) => {
      const content = pattern(2_500_000);
      await storage.put("ranged", content, o);
      const ranges = [[0, 0], [0, 9], [1_048_575, 1_048_577], [2_499_999, 2_499_999], [
        5,
        2_000_000,
      ]];
      for (const [start, end] of ranges as [number, number][]) {
        const part = await read(storage, "ranged", { start, end });
        assert.ok(same(part, content.subarray(start, end + 1)), `${start}-${end}`);
      }
      assert.ok(same(await read(storage, "ranged", { start: 2_000_000 }), content.subarray(2e6)));
    });

    check("gives what there is of a range beyond the end", async (storage) => {
      await storage.put("short", text("0123456789"), o);
      assert.equal(untext(await read(storage, "short", { start: 8, end: 100 })), "89");
      assert.equal(untext(await read(storage, "short", { start: 10 })), "");
      assert.equal(untext(await read(storage, "short", { start: 50, end: 60 })), "");
    });

    check("lets a reader stop early", async (storage) => {
      await storage.put("long", pattern(3_000_000), o);
      for await (const chunk of storage.get("long", o)) {
        assert.ok(chunk.byteLength > 0);
        break;
      }
      assert.equal((await read(storage, "long")).byteLength, 3_000_000);
    });

    check("says not-found on reading what is not there", async (storage) => {
      await storage.put("there", text("x"), o);
      for (const key of ["missing", "no/such/folder", "there/below"]) {
        await assert.rejects(read(storage, key), code("storage/not-found"));
        assert.equal(await storage.stat(key, o), undefined);
      }
    });

    check("describes an object", async (storage) => {
      await storage.put("d/object", pattern(1234), o);
      const info = await storage.stat("d/object", o);
      assert.equal(info?.key, "d/object");
      assert.equal(info?.bytes, 1234);
      assert.equal(await storage.stat("d", o), undefined);
    });

    check("lists everything below a prefix, and only that", async (storage) => {
      const all = ["job/b1/manifest.json", "job/b1/dump", "job/b2/dump", "job2/b1/dump", "top"];
      for (const key of all) await storage.put(key, text(key), o);
      assert.deepEqual(await keys(storage, ""), [...all].sort());
      assert.deepEqual(await keys(storage, "job/"), all.slice(0, 3).sort());
      assert.deepEqual(await keys(storage, "job/b1/"), all.slice(0, 2).sort());
      assert.deepEqual(await keys(storage, "absent/"), []);
      assert.deepEqual(await keys(storage, "top/"), []);
      for await (const { key, bytes } of storage.list("", o)) assert.equal(bytes, key.length);
    });

    check("lists many objects, each once", async (storage) => {
      const wanted = Array.from({ length: 1_100 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
      for (let at = 0; at < wanted.length; at += 50) {
        await Promise.all(wanted.slice(at, at + 50).map((key) => storage.put(key, text("x"), o)));
      }
      assert.deepEqual(await keys(storage, "many/"), wanted);
    });

    check("lists nothing that is being written", async (storage) => {
      let seen: string[] | undefined;
      await storage.put("w/early", text("x"), o);
      await storage.put("w/slow", {
        async *[Symbol.asyncIterator]() {
          yield pattern(2_000_000);
          seen = await keys(storage, "");
          yield pattern(10);
        },
      }, o);
      assert.deepEqual(seen, ["w/early"]);
      assert.deepEqual(await keys(storage, ""), ["w/early", "w/slow"]);
    });

    check("deletes, and forgives what is gone already", async (storage) => {
      await storage.put("x/one", text("1"), o);
      await storage.put("x/two", text("2"), o);
      await storage.delete("x/one", o);
      assert.deepEqual(await keys(storage, ""), ["x/two"]);
      await storage.delete("x/one", o);
      await storage.delete("never/was", o);
      await storage.delete("x/two", o);
      assert.deepEqual(await keys(storage, ""), []);
      await storage.put("x/one", text("again"), o);
      assert.equal(untext(await read(storage, "x/one")), "again");
    });

    check("refuses keys that are no keys", async (storage) => {
      for (
        const key of ["", "/abs", "../out", "a/../../out", "a//b", "a/.", "a/", "a\0b", "a\\b"]
      ) {
        await assert.rejects(storage.put(key, text("x"), o), code("storage/bad-key"), key);
        await assert.rejects(read(storage, key), code("storage/bad-key"), key);
      }
      assert.deepEqual(await keys(storage, ""), []);
    });

    check("sweeps where nothing is left over without harm", async (storage) => {
      await storage.put("s/kept", text("x"), o);
      assert.equal(await storage.sweep("s/", o), 0);
      assert.equal(await storage.sweep("absent/", o), 0);
      assert.deepEqual(await keys(storage, ""), ["s/kept"]);
    });

    check("says where it is", (storage) => {
      assert.ok(storage.location.length > 0);
      return Promise.resolve();
    });
  });
}

const o = { signal: new AbortController().signal };

async function read(
  storage: Storage,
  key: string,
  range?: { start: number; end?: number },
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of storage.get(key, { ...o, range })) chunks.push(new Uint8Array(chunk));
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

async function keys(storage: Storage, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of storage.list(prefix, o)) found.push(key);
  return found.sort();
}

async function assertAbsent(storage: Storage, key: string): Promise<void> {
  assert.equal(await storage.stat(key, o), undefined);
  assert.ok(!(await keys(storage, "")).includes(key));
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => {
    assert.equal((error as { code?: unknown }).code, expected, String(error));
    return true;
  };
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function untext(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

/** Bytes of which no two stretches are the same. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let index = 0; index < length; index++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}

async function* inChunks(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.byteLength; at += size) yield content.subarray(at, at + size);
}

async function* inReusedChunks(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < content.byteLength; at += size) {
    const piece = content.subarray(at, at + size);
    buffer.set(piece);
    yield buffer.subarray(0, piece.byteLength);
    buffer.fill(0xee);
  }
}

async function* failing(content: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield* inChunks(content, 65_536);
  throw error;
}

async function* endless(after: () => void): AsyncGenerator<Uint8Array> {
  for (let count = 0;; count++) {
    if (count === 40) after();
    yield new Uint8Array(65_536);
  }
}
