import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Codec } from "../../src/contracts/codec.ts";

/**
 * The tests that every Codec passes; see src/contracts/codec.ts. Imports nothing but `node:` and the
 * contract's types, so that authors of plugins can use it.
 *
 * @param name of the implementation, for the tests' names.
 * @param make gives the codec; one that encrypts takes its keys from there, not from options.
 * @param options `isSealed` of a codec that cannot tell a changed end from a missing one, because
 * nothing of its last piece can be read unless all of it is right.
 */
export function codecContract(
  name: string,
  make: () => Codec,
  { isSealed = false }: { readonly isSealed?: boolean } = {},
): void {
  describe(`${name} as a codec`, () => {
    test("has an id, a suffix and a command", () => {
      const codec = make();
      assert.match(codec.id, /^[a-z0-9-]+$/);
      assert.match(codec.suffix, /^[a-z0-9]+$/);
      assert.ok(codec.decodeCommand(codec.open({}).parameters).length > 0);
    });

    test("decodes what it encoded, whatever the sizes", async () => {
      for (const size of [0, 1, 100, 65_536, 1_048_575, 1_048_576, 1_048_577, 9_000_000]) {
        const content = sample(size);
        const encoded = await collect(make().open({}).encode(inReusedChunks(content, 65_536)));
        assert.ok(encoded.byteLength > 0, "nothing at all is no valid file");
        const decoded = await collect(make().open({}).decode(inReusedChunks(encoded, 50_021)));
        assert.ok(same(decoded, content), `${size} bytes`);
      }
    });

    test("does not care how the input is cut", async () => {
      const content = sample(300_000);
      const whole = await collect(make().open({}).encode(inReusedChunks(content, 300_000)));
      for (const size of [1, 7, 4096]) {
        const decoded = await collect(make().open({}).decode(inReusedChunks(whole, size)));
        assert.ok(same(decoded, content), `in pieces of ${size}`);
      }
    });

    test("gives parameters that are plain data", () => {
      const { parameters } = make().open({});
      assert.deepEqual(JSON.parse(JSON.stringify(parameters)), parameters);
    });

    test("passes on the error of its source, encoding and decoding", async () => {
      const failure = new Error("the source died");
      const encoded = await collect(make().open({}).encode(inReusedChunks(sample(3e6), 65_536)));
      await assert.rejects(
        collect(make().open({}).encode(failing(sample(5_000_000), failure))),
        (error) => error === failure,
      );
      await assert.rejects(
        collect(make().open({}).decode(failing(encoded.subarray(0, 1000), failure))),
        (error) => error === failure,
      );
    });

    test("ends its source when the reader stops early", async () => {
      const encoded = await collect(make().open({}).encode(inReusedChunks(sample(9e6), 65_536)));
      for (const direction of ["encode", "decode"] as const) {
        let isReleased = false;
        const content = direction === "encode" ? sample(9_000_000) : encoded;
        const source = (async function* () {
          try {
            yield* inReusedChunks(content, 10_000);
          } finally {
            isReleased = true;
          }
        })();
        for await (const _ of make().open({})[direction](source)) break;
        assert.ok(isReleased, `${direction} left its source open`);
      }
    });

    test("says truncated of anything that is cut, never that it is whole", async () => {
      const content = sample(2_500_000);
      const encoded = await collect(make().open({}).encode(inReusedChunks(content, 65_536)));
      const cuts = [0, 1, 5, 20, 1000, Math.floor(encoded.byteLength / 2), encoded.byteLength - 9];
      for (const length of [...cuts, encoded.byteLength - 1]) {
        const cut = inReusedChunks(encoded.subarray(0, length), 4096);
        await assert.rejects(
          collect(make().open({}).decode(cut)),
          (error) => code(error) === "verification/truncated",
          `${length} of ${encoded.byteLength} bytes`,
        );
      }
    });

    test("says corrupt of what it did not write", async () => {
      const foreign = [
        sample(10_000),
        new Uint8Array(10_000),
        new TextEncoder().encode("-- SQL\n"),
      ];
      for (const content of foreign) {
        await assert.rejects(
          collect(make().open({}).decode(inReusedChunks(content, 4096))),
          (error) => code(error) === "verification/corrupt",
        );
      }
    });

    test("says corrupt of bytes behind the end", async () => {
      const encoded = await collect(
        make().open({}).encode(inReusedChunks(sample(100_000), 65_536)),
      );
      for (const extra of [sample(5), sample(100), new Uint8Array(100)]) {
        const longer = new Uint8Array(encoded.byteLength + extra.byteLength);
        longer.set(encoded);
        longer.set(extra, encoded.byteLength);
        await assert.rejects(
          collect(make().open({}).decode(inReusedChunks(longer, 4096))),
          (error) =>
            code(error) === "verification/corrupt" ||
            (isSealed && code(error) === "verification/truncated"),
        );
      }
    });

    test("sees a single flipped bit, wherever it is in the content", async () => {
      const content = sample(1_500_000);
      const encoded = await collect(make().open({}).encode(inReusedChunks(content, 65_536)));
      for (let count = 0; count < 60; count++) {
        const offset = Math.floor(encoded.byteLength * (count + 0.5) / 60);
        const flipped = encoded.slice();
        flipped[offset]! ^= 1 << (count % 8);
        // A flip in a header's free text changes nothing: then the content must be the same.
        const decoded = await collect(make().open({}).decode(inReusedChunks(flipped, 65_536)))
          .catch((error) => {
            assert.match(String(code(error)), /^verification\/(corrupt|truncated)$/);
            return content;
          });
        assert.ok(same(decoded, content), `byte ${offset}`);
      }
    });
  });
}

function code(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(new Uint8Array(chunk));
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** Half text-like, half noise, so that both kinds of compressed block occur; never a magic number. */
function sample(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 7;
  for (let index = 0; index < length; index++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
    const isText = (index >>> 14) % 2 === 0;
    bytes[index] = isText ? 97 + (state >>> 29) : state >>> 24;
  }
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
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
  yield* inReusedChunks(content, 65_536);
  throw error;
}
