import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { openDialog } from "../../src/core/dialog.ts";
import { never } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";

describe("a dialog with a program", () => {
  test("ends though what the program has started still holds its output", async () => {
    const over = join(tempDir("dialog"), "over");
    // As the agent of a smart card does, which a plugin starts and leaves behind.
    const script = `(sleep 30; echo > "${over}") & read answer; echo "$answer"`;
    const dialog = openDialog({ command: "sh", args: ["-c", script], env: process.env }, {
      signal: never,
    });
    dialog.write("thanks\n");
    assert.equal(await dialog.readLine({ limitMs: 60_000 }), "thanks");
    await dialog.close();
    assert.equal(existsSync(over), false, "it was waited for");
  });
});
