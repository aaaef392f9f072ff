import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { failuresOf } from "../../scripts/failures.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/workspace.ts";

/** What the gate prints of a file of tests that bun ran. */
async function printed(name: string, source: string): Promise<string[]> {
  const folder = tempDir(`failures-${name}`);
  const [path, report] = [join(folder, `${name}.test.ts`), join(folder, "junit.xml")];
  writeFileSync(path, `import { describe, test } from "node:test";\n${source}`);
  const args = ["--timeout", "500", "--reporter=junit", `--reporter-outfile=${report}`, path];
  const { code, stdout, stderr } = await run(process.execPath, ["test", ...args]);
  const read = () => readFileSync(report, "utf8");
  return failuresOf({
    title: name,
    status: code ?? undefined,
    isLate: false,
    output: stdout + stderr,
    report: await Promise.resolve().then(read).catch(() => undefined),
  });
}

test("each test that failed is told with its full name, its file and its error", async () => {
  const failures = await printed(
    "several",
    `describe("a <b>", () => describe('& "c"', () => {
  test("ends", () => { throw new Error(["first", ...Array(100).fill("…"), "last"].join("\\n")); });
  test("is well", () => {});
}));
test("is late", async () => { await new Promise((resolve) => setTimeout(resolve, 60_000)); });
`,
  );
  assert.equal(failures.length, 2, failures.join("\n"));
  assert.match(failures[0]!, /^a <b> > & "c" > ends\n {2}\S*several\.test\.ts:3\n/);
  assert.match(failures[0]!, /Error: first\n[^]*… \d+ more lines …[^]*last\n[^]*:3:\d+/);
  assert.ok(failures[0]!.split("\n").length < 45);
  assert.match(failures[1]!, /^is late\n[^]*timed out/);
});

test("a process that ended by itself, or outside of any test, is told with its last lines", async () => {
  const cases = {
    exits: ['test("goes", () => process.exit(3));', /^exits ended with status 3; its last lines:/],
    throws: ['throw new Error("at once");', /^throws ended with status 1; [^]*at once/],
  } as const;
  for (const [name, [source, expected]] of Object.entries(cases)) {
    const failures = await printed(name, source);
    assert.equal(failures.length, 1);
    assert.match(failures[0]!, expected);
  }
  assert.deepEqual(await printed("well", 'test("is well", () => {});'), []);
});
