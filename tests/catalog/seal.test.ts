import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSealName, sealOf, sealStatus } from "../../src/catalog/seal.ts";

const digest = "0123456789abcdef".repeat(4);
const name =
  `manifest-${digest}_b1764340470123_e1764340471000_c1764340470500_r53248_m4321_o0.sha256`;

describe("the name of a seal", () => {
  test("tells the digest and what a list shows", () => {
    assert.deepEqual(parseSealName(name), {
      sha256: digest,
      facts: {
        startedAt: new Date(1764340470123),
        finishedAt: new Date(1764340471000),
        consistentAt: new Date(1764340470500),
        rawBytes: 53248,
        manifestBytes: 4321,
        omissions: 0,
      },
    });
  });

  test("may tell more than is known here, and less, where only the digest counts", () => {
    const more = name.replace(".sha256", "_x7.sha256");
    assert.deepEqual(parseSealName(more), parseSealName(name));
    assert.deepEqual(parseSealName(name.replace("_r53248", "")), {
      sha256: digest,
      facts: undefined,
    });
    assert.deepEqual(parseSealName(`manifest-${digest}.sha256`), {
      sha256: digest,
      facts: undefined,
    });
    // Later than any date.
    const late = name.replace("b1764340470123", "b9999999999999999");
    assert.equal(parseSealName(late)!.facts, undefined);
  });

  test("is no other file's", () => {
    for (const other of ["manifest.json", `manifest-${digest}`, name.replace("0123", "012x")]) {
      assert.equal(parseSealName(other), undefined);
    }
  });

  test("proves a manifest among others' seals, and tells facts only where it is alone", () => {
    const other = name.replace("0123", "3210");
    assert.equal(sealStatus(new Map([[name, 1], [other, 1]]), digest), "right");
    assert.equal(sealStatus(new Map([[other, 1]]), digest), "wrong");
    assert.equal(sealStatus(new Map([["manifest.json", 1]]), digest), "missing");
    assert.equal(sealOf([name, other]), undefined);
    assert.equal(sealOf(["manifest.json", name])!.sha256, digest);
  });
});
