import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import fc from "fast-check";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { run } from "../../support/run.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf } from "./memoryBackup.ts";
import { connectorOf, contentOf, makeSample } from "./sample.ts";
import { commandsOf } from "../../support/recipe.ts";

const [format] = sqlite.formats;

async function sampleBytes(pageBytes: number): Promise<Uint8Array> {
  const path = join(tempDir(), "app.db");
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${pageBytes}; CREATE TABLE t (x); INSERT INTO t VALUES (1)`);
  database.close();
  return (await backUp(sqlite, await connectorOf(path))).artifacts[0]!.bytes;
}

/** Walks the bytes in pieces that end at the given cuts. */
function walk(bytes: Uint8Array, cuts: readonly number[]): void {
  const walker = format!.walk();
  const ends = [...cuts.filter((cut) => cut < bytes.byteLength), bytes.byteLength];
  let start = 0;
  for (const end of ends.sort((a, b) => a - b)) {
    walker.push(bytes.subarray(start, end));
    start = end;
  }
  walker.end();
}

const code = (expected: string) => (error: unknown) =>
  error instanceof BackupError && error.code === expected;

describe("sqlite walker", () => {
  for (const pageBytes of [512, 4096, 65_536]) {
    test(`a database with pages of ${pageBytes} passes however it is cut into chunks`, async () => {
      const bytes = await sampleBytes(pageBytes);
      fc.assert(fc.property(fc.array(fc.nat(bytes.byteLength - 1)), (cuts) => walk(bytes, cuts)));
    });

    test(`one with pages of ${pageBytes} that is cut short anywhere is truncated`, async () => {
      const bytes = await sampleBytes(pageBytes);
      fc.assert(fc.property(fc.nat(bytes.byteLength - 1), fc.array(fc.nat(200)), (length, cuts) => {
        assert.throws(() => walk(bytes.subarray(0, length), cuts), code("verification/truncated"));
      }));
    });

    test(`one with pages of ${pageBytes} that goes on is not a database`, async () => {
      const bytes = await sampleBytes(pageBytes);
      const longer = new Uint8Array(bytes.byteLength + 1);
      longer.set(bytes);
      assert.throws(() => walk(longer, [50]), code("verification/structure"));
    });
  }

  test("other bytes are no database", () => {
    const text = new TextEncoder().encode("-- PostgreSQL database dump\n".repeat(10));
    assert.throws(() => walk(text, []), code("verification/structure"));
  });

  test("the native check passes a sound database and finds one damaged page", async () => {
    const path = join(tempDir(), "app.db");
    makeSample(path);
    const bytes = (await backUp(sqlite, await connectorOf(path))).artifacts[0]!.bytes;
    const o = { runtime: testRuntime(), signal: never };
    await format!.nativeCheck!(bytesOf(bytes), o);
    const damaged = bytes.slice();
    damaged.fill(0xee, 4096 * 2, 4096 * 3);
    walk(damaged, []);
    await assert.rejects(
      format!.nativeCheck!(bytesOf(damaged), o),
      code("verification/native-check"),
    );
  });
});

describe("sqlite recipe", () => {
  test("the commands, run as written, make the database again", async () => {
    const path = join(tempDir(), "we'ird $name.db");
    makeSample(path, "wal");
    const backup = await backUp(sqlite, await connectorOf(path));
    const folder = tempDir();
    const [{ manifest }] = chainOf(sqlite, backup) as [ReturnType<typeof chainOf>[0]];
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(folder, "dump-001.sqlite"), backup.artifacts[0]!.bytes);
    const rawBytesCommand = "cat dump-001.sqlite";
    const lines = commandsOf(sqlite, manifest, manifest.artifacts[0]!, rawBytesCommand);
    const { code, stdout } = await run("sh", ["-e"], { input: lines.join("\n"), cwd: folder });
    assert.deepEqual([code, stdout], [0, "ok\n"]);
    assert.deepEqual(contentOf(join(folder, "restored.db")), contentOf(path));
  });
});

describe("sqlite URLs", () => {
  test("every form of a path is understood, and nothing in it is decoded", () => {
    const cases = {
      "sqlite:app.db": "app.db",
      "sqlite:./data/a b?c#d%41.db": "./data/a b?c#d%41.db",
      "sqlite:/abs/app.db": "/abs/app.db",
      "sqlite:///abs/app.db": "/abs/app.db",
    };
    for (const [url, path] of Object.entries(cases)) {
      assert.deepEqual(sqlite.fromUrl(url), { path });
    }
    for (const url of ["sqlite:", "sqlite://host/app.db", "sqlite::memory:", "postgres:x"]) {
      assert.throws(() => sqlite.fromUrl(url), code("usage/bad-url"), url);
    }
    assert.equal(sqlite.jobName({ path: "/var/lib/shop.sqlite3" }), "shop");
  });

  test("unknown options are errors", () => {
    assert.equal(sqlite.options.safeParse({ path: "a.db", pth: 1 }).success, false);
    assert.equal(sqlite.options.safeParse({}).success, false);
  });
});
