import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Bytes, collect } from "../../../src/core/bytes.ts";
import { volumes } from "../../../src/core/pipeline/volumes.ts";

describe("volumes", () => {
  test("property: full volumes, a last one that is not empty, and nothing lost", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        async (chunks, size) => {
          const content = joined(chunks);
          const parts = await cut(reusing(chunks), size);
          assert.deepEqual(joined(parts), content);
          assert.equal(parts.length, Math.max(1, Math.ceil(content.length / size)));
          assert.ok(parts.slice(0, -1).every((part) => part.length === size));
          if (content.length > 0) assert.ok(parts.at(-1)!.length > 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("an empty stream is one empty volume", async () => {
    assert.deepEqual((await cut(reusing([]), 10)).map(({ length }) => length), [0]);
    assert.deepEqual((await cut(reusing([new Uint8Array(0)]), 10)).map((p) => p.length), [0]);
  });

  test("does not ask the source for more before a full volume is closed", async () => {
    const asked: string[] = [];
    const source = (async function* () {
      for (const name of ["a", "b"]) {
        asked.push(name);
        yield new Uint8Array(10);
      }
    })();
    for await (const volume of volumes(source, 10)) {
      for await (const _ of volume);
      asked.push("closed");
    }
    assert.deepEqual(asked, ["a", "closed", "b", "closed"]);
  });

  test("throws what the source throws, in the volume that is being read", async () => {
    const failure = new Error("the dump died");
    const source = (async function* () {
      yield new Uint8Array(15);
      throw failure;
    })();
    const read: number[] = [];
    await assert.rejects(async () => {
      for await (const volume of volumes(source, 10)) read.push((await collect(volume)).length);
    }, (error) => error === failure);
    assert.deepEqual(read, [10]);
  });

  test("refuses to go on from a volume that was left half read, and ends the source", async () => {
    let isEnded = false;
    const source = (async function* () {
      try {
        while (true) yield new Uint8Array(7);
      } finally {
        isEnded = true;
      }
    })();
    await assert.rejects(async () => {
      for await (const volume of volumes(source, 10)) for await (const _ of volume) break;
    }, RangeError);
    assert.ok(isEnded);
  });

  test("ends the source when no more volumes are wanted", async () => {
    let isEnded = false;
    const source = (async function* () {
      try {
        while (true) yield new Uint8Array(7);
      } finally {
        isEnded = true;
      }
    })();
    for await (const volume of volumes(source, 10)) {
      await collect(volume);
      break;
    }
    assert.ok(isEnded);
  });

  test("refuses a volume size below one byte", async () => {
    for (const size of [0, -1, NaN]) await assert.rejects(cut(reusing([]), size), RangeError);
  });
});

async function cut(bytes: Bytes, size: number): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for await (const volume of volumes(bytes, size)) parts.push(await collect(volume));
  return parts;
}

async function* reusing(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(40);
  for (const chunk of chunks) {
    buffer.set(chunk);
    yield buffer.subarray(0, chunk.length);
    buffer.fill(0xee);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}
