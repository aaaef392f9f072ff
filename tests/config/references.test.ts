import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatReferences, parseReferences, withFilesIn } from "../../src/config/references.ts";
import { createSecrets, file, Secret } from "../../src/core/secret.ts";

async function resolved(text: string, env: Record<string, string> = {}): Promise<string> {
  const { value, wrong } = parseReferences(text);
  assert.equal(wrong, undefined);
  return await createSecrets(env).resolve(value);
}

describe("references in YAML texts", () => {
  test("a text without references stays a plain string", () => {
    assert.equal(parseReferences("postgres://a@b/c?x=$1").value, "postgres://a@b/c?x=$1");
  });
  test("a variable is looked up only when it is resolved", async () => {
    assert.ok(parseReferences("${NOT_SET}").value instanceof Secret);
    assert.equal(await resolved("${X}", { X: "1" }), "1");
  });
  test("references mix with text", async () => {
    assert.equal(await resolved("a:${X}@${Y:-host}/d", { X: "p" }), "a:p@host/d");
  });
  test("an empty default is a value", async () => {
    assert.equal(await resolved("<${X:-}>"), "<>");
  });
  test("$${ stands for a plain ${", async () => {
    assert.equal(parseReferences("a$${X}b").value, "a${X}b");
    assert.equal(await resolved("$${X}${X}", { X: "1" }), "${X}1");
  });
  for (const text of ["${}", "${1X}", "${X", "${X-y}", "${file:}"]) {
    test(`"${text}" is told as wrong`, () => assert.equal(parseReferences(text).wrong, text));
  }
  test("any text comes back when its ${ are escaped", () => {
    fc.assert(fc.property(fc.string(), (text) => {
      // A dollar right before would make it $${ itself.
      fc.pre(!text.includes("$${"));
      return parseReferences(text.replaceAll("${", "$${")).value === text;
    }));
  });
  test("what is shown again is what was written, without the default", () => {
    const { value } = parseReferences("a${X}b${Y:-z}c${file:/run/s}");
    assert.ok(value instanceof Secret);
    assert.equal(formatReferences(value), "a${X}b${Y:-…}c${file:/run/s}");
  });
  test("relative secret files lie beside the config", () => {
    const moved = withFilesIn("/etc/dbbackup", { a: [file("./s")], b: file("/abs") }) as {
      a: Secret[];
      b: Secret;
    };
    assert.deepEqual(moved.a[0]!.parts, [{ file: "/etc/dbbackup/s" }]);
    assert.deepEqual(moved.b.parts, [{ file: "/abs" }]);
  });
});
