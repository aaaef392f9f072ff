import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
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
import { type Engine, engines, freshDatabase, withTools } from "./support/engines.ts";
import { makeSqlite } from "./support/sqlite.ts";
import { needs } from "../support/needs.ts";
import { childrenOf, isRunning } from "../support/processes.ts";

/** A place whose dump starts well, says so by making a file, and then goes on for ever. */
async function endlessDump(
  engine: Engine,
  name: string,
  first = "",
): Promise<{ at: Place; args: string[]; flag: string; mend: () => void; spoil: () => void }> {
  const server = await engine.server();
  const database = freshDatabase();
  await server.fill(database);
  const url = server.url(database);
  // Another way to the same server.
  const again = url.replace("127.0.0.1", "localhost");
  const at = place(`${name}-${engine.type}`, { SHOP_URL: url, AGAIN_URL: again });
  const flag = join(at.env["HOME"]!, "dumping");
  const toolsDir = withTools(server.toolsDir, {
    [engine.dumpTool]:
      `${first}"$REAL" "$@" | head -c 400; touch "$HOME/dumping"; while :; do sleep 0.1; done`,
  });
  const write = (tools: string) =>
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases:
  shop: { type: ${engine.type}, url: "\${SHOP_URL}", toolsDir: ${tools} }
  again: { type: ${engine.type}, url: "\${AGAIN_URL}", toolsDir: ${tools} }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk] } }
`,
      { mode: 0o600 },
    );
  const spoil = () => write(toolsDir);
  spoil();
  return { at, args: ["backup", "shop"], flag, mend: () => write(server.toolsDir), spoil };
}

for (const engine of engines) {
  const test = needs(...engine.needs);
  describe(`an interrupted backup of ${engine.name}`, () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      test(`ends on ${signal} with 130, stops its children and leaves nothing`, async () => {
        const { at, args, flag, mend } = await endlessDump(engine, `interrupt-${signal}`);
        const { child, ended } = starts(at, args);
        await until("the dump runs", () => existsSync(flag));
        const children = childrenOf(child.pid!);
        assert.ok(children.length > 0);
        child.kill(signal);
        const { code, stderr } = await ended;
        assert.equal(code, 130, stderr);
        assert.match(stderr, /interrupted\/signal/);
        assertNothingLeft(join(at.folder, "backups"));
        for (const id of children) assert.ok(!isRunning(id), `child ${id} still runs`);
        mend();
        await succeeds(at, args);
      });
    }

    test("ends at once on a second signal, and kills its children with all that they started", async () => {
      const { at, args, flag } = await endlessDump(
        engine,
        "twice",
        "trap '' TERM INT; sleep 300 & ",
      );
      const { child, ended } = starts(at, args);
      await until("the dump runs", () => existsSync(flag));
      const tools = childrenOf(child.pid!);
      const others = tools.flatMap((id) => childrenOf(id));
      assert.ok(tools.length > 0 && others.length > 0);
      child.kill("SIGINT");
      await pause(300);
      const sentAt = performance.now();
      child.kill("SIGINT");
      const { code } = await ended;
      assert.equal(code, 130);
      assert.ok(performance.now() - sentAt < 4_000, "it waited for its children");
      await until("all are gone", () => [...tools, ...others].every((id) => !isRunning(id)));
    });

    test("keeps a restore out of its database, however its URL spells the server", async () => {
      const { at, args, flag, mend, spoil } = await endlessDump(engine, "in-use");
      mend();
      await succeeds(at, args);
      spoil();
      const { child, ended } = starts(at, args);
      await until("the dump runs", () => existsSync(flag));
      for (const to of ["shop", "again"]) {
        const restore = ["restore", "shop", "--to", to, "--overwrite", "--yes"];
        await fails(at, restore, "locked/database", 10);
      }
      child.kill("SIGTERM");
      await ended;
      mend();
      await succeeds(at, ["restore", "shop", "--to", "again", "--overwrite", "--yes"]);
    });

    test("killed by SIGKILL leaves no backup, and the next run cleans up after it", async () => {
      const { at, args, flag, mend } = await endlessDump(engine, "kill-9");
      const { child, ended } = starts(at, args);
      await until("the dump runs", () => existsSync(flag));
      const second = await fails(at, args, "locked/job", 10);
      assert.match(second.stderr, new RegExp(`process ${child.pid}`));
      const children = childrenOf(child.pid!);
      child.kill("SIGKILL");
      await ended;
      for (const id of children) process.kill(-id, "SIGKILL");
      if (existsSync(join(at.folder, "backups"))) {
        assert.deepEqual(await listed(at, "./backups"), []);
      }

      // The holder's note with its process id is still there, and means nothing: ids are reused.
      mend();
      await succeeds(at, args);
      const folders = new Set(filesBelow(join(at.folder, "backups")).map((f) => f.split("/")[1]));
      assert.equal(folders.size, 1, "what the killed run left is gone");
    });
  });
}

describe("the lock of a job", () => {
  /** A config in TypeScript whose destination waits, as long as a file is there. */
  function holding(name: string): { at: Place; gate: string; reached: string } {
    const at = place(name);
    makeSqlite(join(at.folder, "shop.db"));
    const [gate, reached] = [join(at.folder, "gate"), join(at.folder, "reached")];
    writeFileSync(gate, "");
    writeFileSync(
      join(at.folder, "backup.config.ts"),
      `
import { existsSync, writeFileSync } from "node:fs";
import { defineConfig, defineStorage, local, sqlite, z } from "dbbackup";
const inner = local({ path: "." }).kind;
const held = defineStorage({
  ...inner,
  kind: "held",
  schemes: [],
  async open(options, o) {
    const storage = await inner.open(options, o);
    return {
      ...storage,
      async put(key, body, o) {
        writeFileSync(${JSON.stringify(reached)}, "");
        while (existsSync(${JSON.stringify(gate)})) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          o.signal.throwIfAborted();
        }
        return await storage.put(key, body, o);
      },
    };
  },
});
export default defineConfig({
  databases: { shop: sqlite({ path: "./shop.db" }) },
  destinations: { disk: held({ path: "./backups" }), other: local({ path: "./other" }) },
  jobs: {
    shop: { database: "shop", destinations: ["disk"] },
    other: { database: "shop", destinations: ["other"] },
  },
});
`,
      { mode: 0o600 },
    );
    return { at, gate, reached };
  }

  test("is held through a run: no second run, no restore into its database", async () => {
    const { at, gate, reached } = holding("lock");
    await succeeds(at, ["backup", "other"]);
    const [before] = await listed(at, "./other");
    const { child, ended } = starts(at, ["backup", "shop"]);
    await until("the run writes", () => existsSync(reached));
    await fails(at, ["backup", "shop"], "locked/job", 10);
    // The same file, whatever it is called.
    symlinkSync(at.folder, join(at.folder, "..", "again"));
    for (const to of ["shop", `sqlite:${join(at.folder, "..", "again", "shop.db")}`]) {
      const flags = ["--config", "backup.config.ts", "--to", to, "--overwrite", "--yes"];
      const { stderr } = await fails(at, ["restore", before!.id, ...flags], "locked/database", 10);
      assert.match(stderr, /The database is in use by run \w+ \(backup of job "shop", process \d+/);
    }

    // A backup by another job waits, and says for what.
    const other = starts(at, ["backup", "other"]);
    await until("it waits", () => other.stderr().includes("Waiting for run"));
    assert.match(
      other.stderr(),
      new RegExp(`backup of job "shop", process ${child.pid}, since .*`),
    );
    assert.equal((await listed(at, "./other")).length, 1);
    rmSync(gate);
    for (const { code, stderr } of [await ended, await other.ended]) assert.equal(code, 0, stderr);
    assert.equal((await listed(at, "./other")).length, 2);
    await succeeds(at, ["backup", "shop"]);
  });

  test("is free when its holder was killed, though another process has its id now", async () => {
    const { at, gate, reached } = holding("lock-reused");
    const { child, ended } = starts(at, ["backup", "shop"]);
    await until("the run writes", () => existsSync(reached));
    child.kill("SIGKILL");
    await ended;
    rmSync(gate);
    const locks = join(at.stateDir, "locks");
    const note = readdirSync(locks).find((name) => name.endsWith(".holder"))!;
    const facts = JSON.parse(readFileSync(join(locks, note), "utf8"));
    assert.equal(facts.pid, child.pid);
    writeFileSync(join(locks, note), JSON.stringify({ ...facts, pid: process.pid }));
    await succeeds(at, ["backup", "shop"]);
    assert.equal((await listed(at, "./backups")).length, 1);
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
