import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { commands } from "../../src/cli/cli.ts";
import { jobSchema } from "../../src/config/schema.ts";
import { exitStatuses } from "../../src/core/errors.ts";

const readme = readFileSync(fileURLToPath(import.meta.resolve("../../README.md")), "utf8");

/** The first column of the table that begins with this header, without the lines that frame it. */
function firstColumn(header: string): string[] {
  const lines = readme.split("\n");
  const at = lines.findIndex((line) => line.startsWith(`| ${header} `));
  assert.ok(at >= 0, `a table "${header}"`);
  const length = lines.slice(at).findIndex((line) => !line.startsWith("|"));
  // A "|" inside of code is written "\|".
  return lines.slice(at + 2, at + length).map((line) =>
    line.replaceAll("\\|", "¦").split("|")[1]!.trim()
  );
}

describe("the README", () => {
  test("names each key of a job, and no other", () => {
    const named = firstColumn("key of a job").join(", ").matchAll(/`(\w+)`/g);
    assert.deepEqual(
      [...named].map(([, key]) => key).sort(),
      Object.keys(jobSchema.shape).sort(),
    );
  });

  test("names each command", () => {
    const named = firstColumn("command").flatMap((cell) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
    );
    for (const { path } of commands) {
      const [first, second] = path;
      const isNamed = named.some((code) => {
        const [word, ...rest] = code.split(" ");
        return word === first && (second === undefined || rest[0]?.split("¦").includes(second));
      });
      assert.ok(isNamed, path.join(" "));
    }
  });

  test("names each exit status in the order of what is worst", () => {
    const statuses = firstColumn("status").map(Number);
    assert.deepEqual(statuses, [...Object.values(exitStatuses), 0]);
  });
});
