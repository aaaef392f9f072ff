import assert from "node:assert/strict";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { digestsFormat, writeDigests } from "../../../src/connectors/sqlite/changes/digests.ts";
import { runsFormat, writeRuns } from "../../../src/connectors/sqlite/changes/runs.ts";
import type { ArtifactFormat } from "../../../src/contracts/format.ts";
import { collect } from "../../../src/core/bytes.ts";
import { tarEnd, tarHeader } from "../../../src/core/tar.ts";
import { run } from "../../support/run.ts";
import { tempDir } from "../../support/workspace.ts";

/** Walks bytes in chunks of this length. */
function walk(format: ArtifactFormat, bytes: Uint8Array, chunkBytes = bytes.byteLength): void {
  const walker = format.walk();
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
    walker.push(bytes.subarray(at, at + chunkBytes));
  }
  walker.end();
}

async function archive(): Promise<Uint8Array> {
  const path = join(tempDir("runs"), "file");
  await writeFile(path, Uint8Array.from({ length: 5 * 4096 + 100 }, (_, at) => at % 251));
  const file = await open(path, "r");
  try {
    const runs = [{ unit: 0, bytes: 4096 }, { unit: 3, bytes: 2 * 4096 + 100 }];
    return await collect(writeRuns(runs, file));
  } finally {
    await file.close();
  }
}

async function list(): Promise<Uint8Array> {
  const path = join(tempDir("digests"), "digests");
  await writeFile(path, new Uint8Array(6 * 16).fill(7));
  const head = { salt: new Uint8Array(16), blockBytes: 4096, fileBytes: 6 * 4096, count: 3 };
  return await collect(writeDigests(head, [{ block: 0, count: 1 }, { block: 3, count: 2 }], path));
}

const both = [
  ["changed blocks", runsFormat, archive],
  ["block digests", digestsFormat, list],
] as const;

for (const [name, format, make] of both) {
  describe(`the walker of ${name}`, () => {
    test("takes the bytes in chunks of any length", async () => {
      const bytes = await make();
      for (const chunk of [1, 3, 511, 512, 513, bytes.byteLength]) walk(format, bytes, chunk);
    });

    test("sees bytes that end early, wherever that is", async () => {
      const bytes = await make();
      for (let length = 0; length < bytes.byteLength; length += 101) {
        assert.throws(() => walk(format, bytes.subarray(0, length)), {
          code: "verification/truncated",
        });
      }
    });

    test("sees bytes behind the end", async () => {
      const bytes = Uint8Array.from([...await make(), 1]);
      assert.throws(() => walk(format, bytes), { code: "verification/structure" });
    });

    test("sees other bytes at the start", async () => {
      const bytes = await make();
      bytes[0]! ^= 1;
      assert.throws(() => walk(format, bytes), { code: "verification/structure" });
    });
  });
}

test("runs that overlap, are out of order or no place are seen", () => {
  const content = new Uint8Array(4096);
  const archiveOf = (...names: string[]) =>
    Uint8Array.from([
      ...names.flatMap((name) => [...tarHeader({ name, bytes: 4096 }), ...content]),
      ...tarEnd,
    ]);
  walk(runsFormat, archiveOf("0", "1", "7"));
  for (const names of [["1", "0"], ["3", "3"], ["01"], ["-1"], ["../x"], ["1e3"]]) {
    assert.throws(() => walk(runsFormat, archiveOf(...names)), { code: "verification/structure" });
  }
});

test("the archive is one that tar reads", async () => {
  const folder = tempDir("tar");
  await writeFile(join(folder, "runs.tar"), await archive());
  const { code, stdout, stderr } = await run("tar", ["-tvf", "runs.tar"], { cwd: folder });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^-rw------- .* 4096 .* 0\n-rw------- .* 8292 .* 3\n$/);
});
