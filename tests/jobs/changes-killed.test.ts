import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir } from "../support/workspace.ts";

const script = join(dirname(dirname(fileURLToPath(import.meta.url))), "support", "killedRun.ts");

interface Told {
  readonly status: string;
  readonly id: string;
  readonly kind: string;
  readonly parent?: string;
}

/** Runs it in a process of its own; undefined when that was killed. */
function run(folder: string, where: "dump" | "acknowledge" | "none"): Promise<Told | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, folder, where]);
    let out = "";
    let errors = "";
    child.stdout.on("data", (chunk) => out += chunk);
    child.stderr.on("data", (chunk) => errors += chunk);
    child.on("close", (code, signal) => {
      if (signal === "SIGKILL") resolve(undefined);
      else if (code === 0) resolve(JSON.parse(out.trim().split("\n").at(-1)!));
      else reject(new Error(errors));
    });
  });
}

function lines(folder: string, count: number): void {
  const path = join(folder, "shop.lines");
  const before = existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
  for (let index = 0; index < count; index++) {
    appendFileSync(path, `${before + index} ${Date.now()} change\n`);
  }
}

function foldersOf(folder: string): string[] {
  const job = join(folder, "backups", "shop");
  return readdirSync(job).filter((name) => existsSync(join(job, name, "manifest.json"))).sort();
}

const toldOf = (folder: string) => readFileSync(join(folder, "told"), "utf8").trim().split("\n");

function world(): string {
  const folder = tempDir("killed");
  mkdirSync(join(folder, "backups"));
  lines(folder, 3);
  return folder;
}

describe("a process that is killed with SIGKILL", () => {
  test("between dump and commit leaves nothing, and the next run builds on the same parent", async () => {
    const folder = world();
    const full = await run(folder, "none");
    assert.deepEqual([full!.status, full!.kind], ["success", "full"]);
    lines(folder, 2);
    assert.equal(await run(folder, "dump"), undefined);
    assert.equal(foldersOf(folder).length, 1);
    lines(folder, 2);
    const next = await run(folder, "none");
    assert.deepEqual([next!.kind, next!.parent], ["incremental", full!.id]);
    const left = readdirSync(join(folder, "backups", "shop")).filter((name) => /_/.test(name));
    assert.equal(left.length, 2, "what the killed one had written is gone");
  });

  test("between commit and acknowledge has its backup, which the next run tells the source of first", async () => {
    const folder = world();
    await run(folder, "none");
    lines(folder, 2);
    assert.equal(await run(folder, "acknowledge"), undefined);
    const folders = foldersOf(folder);
    assert.equal(folders.length, 2);
    const committed = folders.find((name) => name.includes("_incr_"))!.split("_")[2]!;
    assert.ok(!toldOf(folder).includes(committed));
    lines(folder, 2);
    const next = await run(folder, "none");
    assert.deepEqual([next!.kind, next!.parent], ["incremental", committed]);
    assert.deepEqual(toldOf(folder).slice(-2), [committed, next!.id]);
  });
});
