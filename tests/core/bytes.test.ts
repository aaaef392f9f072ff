import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { collectText } from "../../src/core/bytes.ts";

test("collecting copies chunks, also those of a Buffer that is used again", async () => {
  async function* reusing() {
    const buffer = Buffer.alloc(1);
    for (const letter of "abc") {
      buffer.write(letter);
      yield buffer;
    }
  }
  assert.equal(await collectText(reusing()), "abc");
});
