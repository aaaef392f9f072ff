import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { tryLock } from "../../src/core/lock.ts";
import {
  assertNothingLeft,
  fails,
  filesBelow,
  listed,
  type Place,
  place,
  starts,
  succeeds,
  until,
} from "./support/cli.ts";
import { fakeTool } from "./support/fake-tools.ts";
import { makeSqlite } from "./support/sqlite.ts";
import { needs } from "../support/needs.ts";
import { postgres } from "../support/postgres.ts";

// A dump that starts well, says so by making a file, and then goes on for ever.
const endless = `
touch "$HOME/dumping"
printf 'PGDMP'
while :; do sleep 0.1; done
`;

/** A place where `pg_dump` never ends, and the arguments of a backup with it. */
async function endlessDump(name: string): Promise<{ at: Place; args: string[]; flag: string }> {
  const server = await postgres(15);
  const database = await server.createDatabase();
  const tool = fakeTool("pg_dump", "pg_dump (PostgreSQL) 15.99", endless);
  const at = place(name);
  at.env["PATH"] = `${tool}:${at.env["PATH"]}`;
  at.env["PGURL"] = server.url(database);
  const args = ["backup", "--from", "env:PGURL", "--to", "./backups", "--job", "shop"];
  return { at, args, flag: join(at.env["HOME"]!, "dumping") };
}

/** Process ids of children of `pid` that still run. */
function childrenOf(pid: number): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((id) => {
    try {
      const stat = statusOf(id);
      return stat.parent === pid && stat.state !== "Z";
    } catch {
      return false;
    }
  });
}

function statusOf(id: number): { parent: number; state: string } {
  const text = readFileSync(`/proc/${id}/stat`, "utf8");
  const [state, parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { parent: Number(parent), state: state! };
}

describe("an interrupted backup", () => {
  const pgTest = needs("postgres15");

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    pgTest(`ends on ${signal} with 130, stops its children and leaves nothing`, async () => {
      const { at, args, flag } = await endlessDump(`interrupt-${signal}`);
      const { child, ended } = starts(at, args);
      await until("the dump runs", () => existsSync(flag));
      const children = childrenOf(child.pid!);
      assert.ok(children.length > 0);
      child.kill(signal);
      const { code, stderr } = await ended;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /interrupted\/signal/);
      assertNothingLeft(join(at.folder, "backups"));
      for (const id of children) assert.ok(!existsSync(`/proc/${id}`), `child ${id} still runs`);
      // The lock is free again: the next run gets to its dump.
      for (
        const lock of readdirSync(join(at.stateDir, "locks")).filter((n) => n.endsWith("lock"))
      ) {
        (await tryLock(join(at.stateDir, "locks", lock)))!.release();
      }
    });
  }

  pgTest("killed by SIGKILL leaves no backup, and the next run cleans up after it", async () => {
    const { at, args, flag } = await endlessDump("kill-9");
    const { child, ended } = starts(at, args);
    await until("the dump runs", () => existsSync(flag));
    const children = childrenOf(child.pid!);
    child.kill("SIGKILL");
    await ended;
    for (const id of children) process.kill(id, "SIGKILL");
    assert.deepEqual(await listed(at, "./backups"), []);

    const path = at.env["PATH"]!;
    at.env["PATH"] = path.slice(path.indexOf(":") + 1);
    await succeeds(at, args.slice());
    const folders = new Set(filesBelow(join(at.folder, "backups")).map((f) => f.split("/")[1]));
    assert.equal(folders.size, 1, "what the killed run left is gone");
  });

  pgTest("holds the job's lock against a second run, until it dies", async () => {
    const { at, args, flag } = await endlessDump("lock");
    const { child, ended } = starts(at, args);
    await until("the dump runs", () => existsSync(flag));
    const second = await fails(at, args, "locked/job", 10);
    assert.match(second.stderr, new RegExp(`process ${child.pid}`));
    const children = childrenOf(child.pid!);
    child.kill("SIGKILL");
    await ended;
    for (const id of children) process.kill(id, "SIGKILL");
    // The holder's note with its process id is still there, and means nothing: ids are reused.
    const path = at.env["PATH"]!;
    at.env["PATH"] = path.slice(path.indexOf(":") + 1);
    await succeeds(at, args);
  });
});

describe("temporary folders", () => {
  test("of a killed process are removed by the next run", async () => {
    const at = place("temp-sweep");
    const temp = join(at.folder, "tmp");
    at.env["TMPDIR"] = temp;
    const stale = join(temp, "dbbackup-tmp-0011223344556677");
    mkdirSync(stale, { recursive: true });
    writeFileSync(join(stale, "copy.db"), "left over");
    const longAgo = new Date(Date.now() - 3_600_000);
    utimesSync(stale, longAgo, longAgo);
    makeSqlite(join(at.folder, "shop.db"));
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
    assertNothingLeft(temp);
  });
});
