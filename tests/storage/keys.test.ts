import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createKeys } from "../../src/storage/keys.ts";
import { retentionEnd } from "../../src/storage/retention.ts";
import { readUrl } from "../../src/storage/url.ts";

describe("keys of a destination", () => {
  test("are names below its prefix, however that is written", () => {
    for (const prefix of ["a/b", "/a/b/", "a/b/"]) {
      const keys = createKeys(prefix);
      assert.equal(keys.toName("job/x"), "a/b/job/x");
      assert.equal(keys.toPrefix(""), "a/b/");
      assert.equal(keys.toPrefix("job/"), "a/b/job/");
      assert.equal(keys.toKey("a/b/job/x"), "job/x");
      assert.equal(keys.location("gs://bucket"), "gs://bucket/a/b");
    }
    assert.equal(createKeys("").toName("job/x"), "job/x");
    assert.equal(createKeys().location("gs://bucket"), "gs://bucket");
  });

  test("of others are passed over: another prefix, a console's folder, an odd name", () => {
    const keys = createKeys("a");
    for (const name of ["ab/x", "a/", "a/x/", "a//x", "b", "a/../x"]) {
      assert.equal(keys.toKey(name), undefined, name);
    }
  });

  test("are refused when longer than a store takes, or a prefix has no end", () => {
    const keys = createKeys("a");
    assert.throws(() => keys.toName("x".repeat(1_023)), { code: "storage/bad-key" });
    assert.throws(() => keys.toPrefix("job"), { code: "storage/bad-key" });
  });

  test("come back from their names", () => {
    const part = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" })
      .filter((text) => !/[/\\\p{Cc}\ufffd]/u.test(text) && text !== "." && text !== "..");
    fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), part, (parts, prefix) => {
      const keys = createKeys(prefix);
      const key = parts.join("/");
      assert.equal(keys.toKey(keys.toName(key)), key);
    }));
  });
});

describe("a destination's URL", () => {
  const form = { form: "x://BUCKET/PREFIX", parameters: ["endpoint"] };

  test("is taken apart", () => {
    assert.deepEqual(readUrl("x://Bucket_1/a%20b//?endpoint=https%3A%2F%2Fh%3A1", form), {
      host: "Bucket_1",
      path: "a b",
      parameters: { endpoint: "https://h:1" },
    });
  });

  test("with anything unknown or twice in it is refused", () => {
    for (
      const url of [
        "x://",
        "x:///p",
        "x://b?other=1",
        "x://b?endpoint=",
        "x://b?endpoint=1&endpoint=2",
        "x://user@b/p",
        "x://b/%zz",
      ]
    ) assert.throws(() => readUrl(url, form), { code: "usage/bad-url" }, url);
  });
});

test("retention ends so many days after the put", () => {
  const now = new Date("2026-01-01T00:00:00Z");
  assert.equal(retentionEnd({ days: 30 }, now)?.toISOString(), "2026-01-31T00:00:00.000Z");
  assert.equal(retentionEnd(undefined, now), undefined);
});
