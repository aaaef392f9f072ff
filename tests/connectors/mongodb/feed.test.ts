import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { assertAllRestored, feed } from "../../../src/connectors/mongodb/feed.ts";
import { resolveAddress } from "../../../src/connectors/mongodb/uri.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { code } from "./opened.ts";

/** A mongorestore that does what a script says. */
function fakeRestore(script: string): string {
  const file = path.join(tempDir("fake-mongorestore"), "mongorestore");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

async function fed(script: string, told: string[] = []) {
  const runtime = testRuntime();
  const log = { ...runtime.log, info: noting(told), debug() {} } as unknown as typeof runtime.log;
  const address = await resolveAddress({ host: "db" }, runtime);
  const alive = { label: "db", ask: () => Promise.resolve() };
  return await feed(
    { tool: fakeRestore(script), address, alive, at: () => "shop.photos", silentMs: 100 },
    bytesOf(new Uint8Array(5_000_000)),
    [],
    { runtime: { ...runtime, log }, signal: never },
  );
}

function noting(told: string[]) {
  return (text: string, values: Record<string, unknown> = {}) => {
    told.push(text.replace(/\{(\w+)\}/g, (_, name) => String(values[name])));
  };
}

describe("mongorestore", () => {
  test("that takes nothing for long is explained, with the collection it works on", async () => {
    const told: string[] = [];
    const end = "echo '0 document(s) failed to restore.' >&2";
    await fed(`head -c 3000000 >/dev/null; sleep 1; cat >/dev/null; ${end}`, told);
    assert.ok(told.length >= 1 && told.length <= 5, told.join("\n"));
    assert.match(told[0]!, /has taken nothing for .* s, after .*, in "shop\.photos"/);
  });

  test("that ends well without its summary, or counts failures, has failed", async () => {
    await assert.rejects(fed("cat >/dev/null"), code("restore/failed"));
    const outcome = await fed("cat >/dev/null; echo '2 document(s) failed to restore.' >&2");
    assert.equal(outcome.failedDocuments, 2);
    assert.throws(() => assertAllRestored(outcome), /could not restore 2 documents/);
  });

  test("that is refused applyOps is told as what it is, and what helps", () =>
    assert.rejects(
      fed('cat >/dev/null; echo "Failed: restore error: applyOps: no such command" >&2; exit 1'),
      (error: Error & { hint?: string }) =>
        code("restore/failed")(error) && /--keep-going/.test(error.hint ?? ""),
    ));
});
