import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { bytesOf, collect, collectText } from "../../../src/core/bytes.ts";
import { createChecksum, createDigest, digested } from "../../../src/core/pipeline/digest.ts";
import { walked } from "../../../src/core/pipeline/walk.ts";

describe("digest", () => {
  test("measures length and sha256 of what passes, and passes it on unchanged", async () => {
    const [one, two] = [createDigest(), createDigest()];
    assert.equal(await collectText(digested(bytesOf("hello"), one, two)), "hello");
    for (const digest of [one, two]) {
      assert.equal(digest.bytes, 5);
      assert.equal(digest.hex(), createHash("sha256").update("hello").digest("hex"));
    }
  });

  test("of a checksum is the CRC-32 of gzip and zip", () => {
    const digest = createChecksum();
    assert.equal(digest.hex(), "00000000");
    for (const piece of ["1234", "56789"]) digest.update(new TextEncoder().encode(piece));
    // The check value of CRC-32/ISO-HDLC.
    assert.deepEqual([digest.hex(), digest.bytes], ["cbf43926", 9]);
  });

  test("may be asked before the end and then goes on", () => {
    const digest = createDigest();
    assert.equal(digest.hex(), createHash("sha256").digest("hex"));
    digest.update(new TextEncoder().encode("a"));
    assert.equal(digest.hex(), createHash("sha256").update("a").digest("hex"));
    digest.update(new TextEncoder().encode("b"));
    assert.equal(digest.hex(), createHash("sha256").update("ab").digest("hex"));
  });
});

describe("walk", () => {
  test("shows the walker every chunk before it passes it on, then the end", async () => {
    const events: string[] = [];
    const walker = {
      push: (chunk: Uint8Array) => void events.push(`push ${chunk.length}`),
      end: () => "counted",
    };
    const bytes = walked(bytesOf("hello"), walker, (seen) => events.push(seen));
    for await (const chunk of bytes) events.push(`out ${chunk.length}`);
    assert.deepEqual(events, ["push 5", "out 5", "counted"]);
  });

  test("holds back a chunk that the walker refuses", async () => {
    const refusal = new Error("no");
    const walker = {
      push: () => {
        throw refusal;
      },
      end: () => undefined,
    };
    await assert.rejects(collect(walked(bytesOf("x"), walker)), (error) => error === refusal);
  });

  test("throws in place of the end when the walker has not seen one", async () => {
    const refusal = new Error("cut");
    const walker = {
      push: () => {},
      end: () => {
        throw refusal;
      },
    };
    let isNoted = false;
    const bytes = walked(bytesOf("x"), walker, () => isNoted = true);
    await assert.rejects(collect(bytes), (error) => error === refusal);
    assert.equal(isNoted, false);
  });
});
