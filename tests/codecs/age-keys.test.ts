import assert from "node:assert/strict";
import { test } from "node:test";
import { bech32 } from "@scure/base";
import { isIdentity, isRecipient } from "../../src/codecs/age-keys.ts";

const key = new Uint8Array(32).map((_, index) => index * 7);
const recipient = bech32.encodeFromBytes("age", key);
const identity = bech32.encodeFromBytes("age-secret-key-", key).toUpperCase();

test("the public half is a recipient, the secret half an identity, and neither the other", () => {
  assert.deepEqual([isRecipient(recipient), isIdentity(identity)], [true, true]);
  assert.deepEqual([isRecipient(identity), isIdentity(recipient)], [false, false]);
  assert.deepEqual([isRecipient(recipient.toUpperCase()), isIdentity(identity.toLowerCase())], [
    false,
    false,
  ]);
});

test("a key with a letter changed, missing, doubled or swapped is none", () => {
  for (let index = 4; index < recipient.length; index++) {
    const other = recipient[index] === "q" ? "p" : "q";
    const changed = recipient.slice(0, index) + other + recipient.slice(index + 1);
    const missing = recipient.slice(0, index) + recipient.slice(index + 1);
    const doubled = recipient.slice(0, index) + recipient[index] + recipient.slice(index);
    for (const text of [changed, missing, doubled]) assert.equal(isRecipient(text), false, text);
    const [a, b] = [recipient[index]!, recipient[index + 1] ?? recipient[index]!];
    const swapped = recipient.slice(0, index) + b + a + recipient.slice(index + 2);
    if (a !== b) assert.equal(isRecipient(swapped), false, swapped);
  }
});

test("a right checksum does not help what is not of 32 bytes, or has bits over that are set", () => {
  assert.equal(isRecipient(bech32.encodeFromBytes("age", key.subarray(1))), false);
  assert.equal(isRecipient(bech32.encodeFromBytes("agf", key)), false);
  const words = bech32.toWords(key);
  assert.equal(isRecipient(bech32.encode("age", words.with(-1, words.at(-1)! | 1))), false);
});
