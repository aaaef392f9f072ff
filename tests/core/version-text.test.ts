import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ChildError } from "../../src/core/child.ts";
import { versionText } from "../../src/core/version-text.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";

const o = { runtime: testRuntime(), signal: never };

/** A program that notes each time it is asked. */
function program(version: string): { path: string; asked: () => number } {
  const folder = tempDir("version-text");
  const [path, note] = [join(folder, "tool"), join(folder, "note")];
  writeFileSync(note, "");
  writeFileSync(path, `#!/bin/sh\necho x >>${note}\necho ${version}\n`, { mode: 0o755 });
  return { path, asked: () => readFileSync(note, "utf8").length / 2 };
}

describe("the version of a program", () => {
  test("is asked once, by several at once and later", async () => {
    const { path, asked } = program("15.1");
    const ask = () => versionText(path, ["--version"], o);
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ["15.1\n", "15.1\n", "15.1\n"]);
    assert.equal(await ask(), "15.1\n");
    assert.equal(asked(), 1);
  });

  test("is asked anew when the program is another", async () => {
    const { path } = program("15.1");
    assert.equal(await versionText(path, ["--version"], o), "15.1\n");
    writeFileSync(path, "#!/bin/sh\necho 15.10\n");
    assert.equal(await versionText(path, ["--version"], o), "15.10\n");
  });

  test("is asked again by who was not interrupted, and after a failure", async () => {
    const { path, asked } = program("15.1");
    const interrupted = new AbortController();
    const first = versionText(path, ["--version"], { ...o, signal: interrupted.signal });
    const second = versionText(path, ["--version"], o);
    interrupted.abort(new Error("stop"));
    await assert.rejects(first, /stop/);
    assert.equal(await second, "15.1\n");
    assert.ok(asked() <= 2);

    const failing = program("1; exit 3");
    const ask = () => versionText(failing.path, ["--version"], o);
    await assert.rejects(ask(), ChildError);
    await assert.rejects(ask(), ChildError);
    assert.equal(failing.asked(), 2);
  });
});
