import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fitted } from "../../src/cli/commands/list.ts";

const row = (job: string, notes: string) => [
  "2026-11-28 15:44:58Z",
  "4w3y2peq",
  job,
  "full",
  "1023.4 GiB → 1001.2 GiB",
  "59m59s",
  "364d",
  notes,
];
const widest = (text: string) => Math.max(...text.split("\n").map((line) => [...line].length));

describe("the table of list", () => {
  test("fits 80 columns, and tells every note", () => {
    const notes = "damaged at offsite, hold, without routines, events, only at disk";
    const table = fitted([row("a-job-of-some-length", notes), row("shop", "")], 80);
    assert.ok(widest(table) <= 80, table);
    assert.equal(table.replaceAll(/\s+/g, " ").includes(notes), true, table);
    assert.match(table, /a-job-of-some-l…/);
  });

  test("is as wide as a wide terminal lets it be, and whole in a pipe", () => {
    const rows = [row("a-job-of-some-length", "verified")];
    for (const width of [120, undefined]) {
      const table = fitted(rows, width);
      assert.match(table, /^TIME .* NOTES$/m);
      assert.match(table, /a-job-of-some-length {2}full {2}1023\.4 GiB → .* verified$/m);
    }
  });
});
