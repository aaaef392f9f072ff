import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { deadPort } from "../support/daemon.ts";
import { passwordCanary } from "../support/hardPassword.ts";
import { needs } from "../support/needs.ts";
import { watchArguments } from "../support/processes.ts";
import { tempDir } from "../support/workspace.ts";
import {
  assertNothingLeft,
  type CliResult,
  dbbackup,
  fails,
  filesBelow,
  listed,
  type Place,
  place,
  starts,
  succeeds,
} from "./support/cli.ts";
import { type Engine, engines, freshDatabase, withOldTool, withTools } from "./support/engines.ts";
import { editManifest } from "./support/manifest.ts";

/** What a config says of its one database. */
interface Settings {
  readonly url: string;
  readonly toolsDir: string;
  /** More of the job, as lines of YAML. */
  readonly job?: string;
}

/** A place with a config of one job, `shop`, that goes to ./backups. */
function withJob(name: string, engine: Engine, { url, toolsDir, job = "" }: Settings): Place {
  const at = place(`${engine.type}-${name}`, { SHOP_URL: url });
  writeConfig(at, engine, toolsDir, job);
  return at;
}

function writeConfig(at: Place, engine: Engine, toolsDir: string, job = ""): void {
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases:
  shop:
    type: ${engine.type}
    url: \${SHOP_URL}
    toolsDir: ${JSON.stringify(toolsDir)}
    connectTimeoutMs: 6000
  target: { type: ${engine.type}, url: "\${TARGET_URL}", toolsDir: ${JSON.stringify(toolsDir)} }
destinations: { disk: { type: local, path: ./backups } }
jobs:
  shop: { database: shop, destinations: [disk]${job} }
`,
    { mode: 0o600 },
  );
}

async function failsWithNothingLeft(at: Place, code: string, status: number): Promise<CliResult> {
  const result = await fails(at, ["backup", "shop"], code, status);
  assertNothingLeft(join(at.folder, "backups"));
  assert.match(result.stderr, /\nhint: /, "it says what to do");
  return result;
}

function assertNoCanary(what: string, text: string): void {
  assert.ok(!text.includes(passwordCanary), `${what} shows the password: ${text}`);
}

for (const engine of engines) {
  const group = needs(...engine.needs);
  group.describe(engine.name, () => {
    const { dumpTool, restoreTool } = engine;
    const test = needs(...engine.needs);

    /** A database with rows, its server and its URL. */
    async function filled(rows?: number) {
      const server = await engine.server();
      const database = freshDatabase();
      await server.fill(database, rows);
      return { server, database, url: server.url(database) };
    }

    /** A place with one backup of a filled database. */
    async function backedUp(name: string) {
      const source = await filled();
      const at = withJob(name, engine, { url: source.url, toolsDir: source.server.toolsDir });
      await succeeds(at, ["backup", "shop"]);
      const folder = join(at.folder, "backups");
      const dump = join(folder, filesBelow(folder).find((file) => /\/dump-\d+-/.test(file))!);
      return { ...source, at, dump, folder: join(dump, "..") };
    }

    describe("a round", () => {
      test("by a URL alone gives every row back", async () => {
        const { server, database, url } = await filled();
        const at = place(`${engine.type}-round`, {
          SOURCE: url,
          TARGET: server.url(`${database}_back`),
        });
        at.env["PATH"] = `${server.toolsDir}:${at.env["PATH"]}`;
        await succeeds(at, ["backup", "--from", "env:SOURCE", "--to", "./backups"]);
        const [backup] = await listed(at, "./backups");
        assert.equal(backup!.job, database, "the job is named after the database");
        await succeeds(at, ["verify", "--deep", "--from", "./backups"]);
        await succeeds(at, ["restore", "--from", "./backups", "--to", "env:TARGET", "--yes"]);
        assert.equal(await server.rows(`${database}_back`), await server.rows(database));
      });

      test("with a password from a file needs none in the URL", async () => {
        const { server, database, url } = await filled();
        const at = place(`${engine.type}-password-file`);
        at.env["PATH"] = `${server.toolsDir}:${at.env["PATH"]}`;
        writeFileSync(join(at.folder, "password"), `${server.password}\n`, { mode: 0o600 });
        const bare = new URL(url);
        bare.password = "";
        const from = ["--from", bare.href, "--password-file", "password", "--to", "./backups"];
        const { stderr } = await succeeds(at, ["backup", ...from, "--job", database]);
        assert.doesNotMatch(stderr, /command line/, "nothing was shown to other users");
        const typed = await succeeds(at, ["backup", "--from", url, "--to", "./backups"]);
        assert.match(typed.stderr, /a password visible to other users/);
        assertNoCanary("the warning", typed.stdout + typed.stderr);
      });

      test("shows the password in no argument, log line, error or file", async () => {
        const { server, database, url } = await filled();
        // Each tool is on view for a moment before it starts.
        const slow = `sleep 0.3; exec "$REAL" "$@"`;
        const toolsDir = withTools(server.toolsDir, { [dumpTool]: slow, [restoreTool]: slow });
        const at = withJob("canary", engine, { url, toolsDir });
        at.env["TARGET_URL"] = server.url(`${database}_canary`);
        const flags = ["--log-level", "debug", "--log-format", "json"];
        const seen: string[] = [];
        for (
          const args of [
            ["backup", "shop", ...flags],
            ["restore", "shop", "--to", "target", "--yes", ...flags],
          ]
        ) {
          const { child, ended } = starts(at, args);
          let isOver = false;
          void ended.then(() => isOver = true);
          const look = watchArguments(child.pid!);
          while (!isOver) {
            look();
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          seen.push(...look());
          const { code, stderr } = await ended;
          assert.equal(code, 0, `${child.spawnargs.join(" ")}\n${stderr}`);
          assertNoCanary("the log", stderr);
        }
        for (const tool of [dumpTool, restoreTool]) {
          assert.ok(seen.some((line) => line.includes(`/${tool} `)), `${tool} was seen`);
        }
        for (const line of seen) assertNoCanary("an argument", line);
        for (const file of filesBelow(at.folder).filter((name) => name.startsWith("backups/"))) {
          assertNoCanary(file, readFileSync(join(at.folder, file), "utf8"));
        }
        for (const file of filesBelow(at.stateDir)) {
          assertNoCanary(file, readFileSync(join(at.stateDir, file), "latin1"));
        }
      });

      test("keeps databases with hard names apart, and their names as they are", async () => {
        const server = await engine.server();
        const tail = freshDatabase();
        // No engine takes every character: MongoDB has no spaces, dots, slashes or quotes.
        const names = engine.type === "mongodb"
          ? [`-dash-${tail}`, `ünï-日本-${tail}`, `a'b-${tail}`, `a%b-${tail}`]
          : [
            `-dash ${tail}`,
            `a/b\\c ${tail}`,
            `it's "q" ${tail}`,
            `Ünï 日本 ${tail}`,
            `a%2Fb ${tail}`,
          ];
        const twins = engine.type === "postgres" ? [`Twin${tail}`, `twin${tail}`] : [];
        for (const name of [...names, ...twins]) {
          await server.fill(name, 2);
          const at = withJob("hard-name", engine, {
            url: server.url(name),
            toolsDir: server.toolsDir,
          });
          await succeeds(at, ["backup", "shop"]);
          const before = await server.rows(name);
          at.env["TARGET_URL"] = server.url(`${name}x`);
          await succeeds(at, ["restore", "shop", "--to", "target", "--yes"]);
          assert.equal(await server.rows(`${name}x`), before, name);
        }
      });

      test("is looked at by doctor: tools, versions, privileges, databases", async () => {
        const { server, database, url } = await filled();
        const at = withJob("doctor", engine, { url, toolsDir: server.toolsDir });
        at.env["TARGET_URL"] = url;
        const { stdout } = await succeeds(at, ["doctor"]);
        assert.match(stdout, new RegExp(`ok +${dumpTool} \\S+ at `));
        assert.match(stdout, new RegExp(`databases: .*${database}`));
        assert.match(stdout, /privilege/);
        await succeeds(at, ["config", "check", "--connect"]);
        writeConfig(at, engine, tempDir("no-tools"));
        await fails(at, ["doctor"], "is not installed", 5);
      });
    });

    describe("a backup fails and leaves nothing", () => {
      test("without its client tool", async () => {
        const { url } = await filled(2);
        const at = withJob("no-tool", engine, { url, toolsDir: tempDir("no-tools") });
        const { stderr } = await failsWithNothingLeft(at, "dump/tool-missing", 5);
        assert.ok(stderr.includes(dumpTool), stderr);
      });

      test("with a client older than the server", async () => {
        if (engine.oldVersion === undefined) return;
        const { server, url } = await filled(2);
        const toolsDir = withOldTool(server.toolsDir, dumpTool, engine.oldVersion);
        await failsWithNothingLeft(
          withJob("old-tool", engine, { url, toolsDir }),
          "dump/tool-too-old",
          5,
        );
      });

      test("with a wrong password", async () => {
        const { server, database } = await filled(2);
        const url = server.url(database, { password: "wrong-canary-1" });
        const at = withJob("wrong-password", engine, { url, toolsDir: server.toolsDir });
        const { stdout, stderr } = await failsWithNothingLeft(at, "connection/authentication", 4);
        assert.doesNotMatch(stdout + stderr, /wrong-canary/);
      });

      test("when nobody listens", async () => {
        const server = await engine.server();
        const url = new URL(server.url("shop"));
        url.port = String(deadPort);
        const at = withJob("unreachable", engine, { url: url.href, toolsDir: server.toolsDir });
        const { stderr } = await failsWithNothingLeft(at, "connection/unreachable", 4);
        assert.ok(stderr.includes(url.port), "it names the address");
      });

      test("when there is no such database", async () => {
        const server = await engine.server();
        const url = server.url("there_is_none");
        const at = withJob("no-database", engine, { url, toolsDir: server.toolsDir });
        const { stderr } = await failsWithNothingLeft(at, "connection/no-database", 4);
        assert.match(stderr, /there_is_none/);
      });

      // Half of a real dump, and then: an error, a signal, an end that looks good.
      const half = `"$REAL" "$@" | head -c 400`;
      const broken: readonly [how: string, script: string, code: string, status: number][] = [
        ["when the tool exits non-zero halfway", `${half}; exit 3`, "dump/failed", 5],
        ["when the tool is killed", `${half}; kill -KILL $$`, "dump/failed", 5],
        ["when the tool says nothing and exits 0", "exit 0", "verification/", 7],
        ["when the tool exits 0 after half a dump", `${half}; exit 0`, "verification/", 7],
        [
          "when the tool exits 0 and only the end is missing",
          `"$REAL" "$@" | head -c -9; exit 0`,
          "verification/",
          7,
        ],
      ];
      for (const [how, script, code, status] of broken) {
        test(how, async () => {
          const { server, url } = await filled();
          const toolsDir = withTools(server.toolsDir, { [dumpTool]: script });
          await failsWithNothingLeft(withJob("broken", engine, { url, toolsDir }), code, status);
        });
      }

      test("when the tool hangs longer than the stall limit", async () => {
        const { server, url } = await filled();
        const toolsDir = withTools(server.toolsDir, { [dumpTool]: `${half}; exec sleep 600` });
        const job = ", stallTimeout: 1s";
        await failsWithNothingLeft(
          withJob("hangs", engine, { url, toolsDir, job }),
          "dump/stalled",
          5,
        );
      });

      test("when the run takes longer than its timeout", async () => {
        const { server, url } = await filled();
        const toolsDir = withTools(server.toolsDir, { [dumpTool]: `${half}; exec sleep 600` });
        const job = ", timeout: 2s";
        await failsWithNothingLeft(
          withJob("timeout", engine, { url, toolsDir, job }),
          "dump/timeout",
          5,
        );
      });
    });

    describe("a restore", () => {
      test("refuses a target that is not empty", async () => {
        const { server, database, at } = await backedUp("not-empty");
        const target = `${database}_full`;
        await server.fillPrecious(target);
        const before = await server.rows(target);
        at.env["TARGET_URL"] = server.url(target);
        await fails(at, ["restore", "shop", "--to", "target", "--yes"], "restore/not-empty", 8);
        assert.equal(await server.rows(target), before);
        await fails(at, ["restore", "shop", "--yes"], "restore/not-empty", 8);
      });

      test("that is only looked at tells its plan, and all that it would be refused for", async () => {
        const { server, database, at } = await backedUp("dry");
        const target = `${database}_dry`;
        await server.fillPrecious(target);
        at.env["TARGET_URL"] = server.url(target);
        const args = ["restore", "shop", "--to", "target", "--dry-run"];
        const full = await fails(at, args, "restore/not-empty", 8);
        assert.match(
          full.stdout,
          /^The restore would be refused\. With --overwrite it would do this:\n/,
        );
        writeConfig(at, engine, tempDir("no-tools"));
        const { stdout, stderr } = await fails(at, args, "restore/not-empty", 8);
        assert.match(
          stdout,
          /^The restore would be refused\. Else it would do this:\nRestore backup /,
        );
        assert.match(stdout, new RegExp(`→ ${target}: `));
        assert.match(stderr, /^error: .*\(restore\/not-empty\)$/m);
        assert.match(stderr, /^error: .*\(dump\/tool-missing\)$/m);
        const { json } = await fails(at, [...args, "--json"], "restore/not-empty", 8);
        const { errors } = json() as { errors: { code: string }[] };
        assert.deepEqual(errors.map(({ code }) => code).sort(), [
          "dump/tool-missing",
          "restore/not-empty",
        ]);
      });

      test("with --overwrite replaces what is there, and says what happens to it", async () => {
        const { server, database, at } = await backedUp("overwrite");
        const target = `${database}_over`;
        await server.fillPrecious(target);
        at.env["TARGET_URL"] = server.url(target);
        const args = ["restore", "shop", "--to", "target", "--overwrite", "--yes"];
        const { stdout } = await succeeds(at, args);
        assert.match(stdout, engine.swaps ? /kept as .*_before_/ : /REPLACED/);
        assert.equal(await server.rows(target), await server.rows(database));
      });

      test("of a damaged backup under --overwrite leaves the old data there", async () => {
        const { server, database, at, dump } = await backedUp("damaged");
        const target = `${database}_kept`;
        await server.fillPrecious(target);
        const before = await server.rows(target);
        flipBit(dump, Math.floor(statSync(dump).size / 2));
        at.env["TARGET_URL"] = server.url(target);
        const args = ["restore", "shop", "--to", "target", "--overwrite", "--yes"];
        await fails(at, args, "verification/", 7);
        assert.equal(await server.rows(target), before);
      });

      test("whose tool fails halfway is a failure", async () => {
        const { server, database, at } = await backedUp("tool-fails");
        const target = `${database}_half`;
        if (engine.swaps) await server.fillPrecious(target);
        const before = engine.swaps ? await server.rows(target) : undefined;
        const toolsDir = withTools(server.toolsDir, {
          [restoreTool]: `head -c 400 >/dev/null; exit 3`,
        });
        writeConfig(at, engine, toolsDir);
        at.env["TARGET_URL"] = server.url(target);
        const flags = engine.swaps ? ["--overwrite"] : [];
        await fails(
          at,
          ["restore", "shop", "--to", "target", "--yes", ...flags],
          "restore/failed",
          8,
        );
        if (before !== undefined) assert.equal(await server.rows(target), before);
      });

      test("into a server older than the dump is refused", async () => {
        if (engine.type === "postgres" && engine.older === undefined) return;
        const { server: own, database, at, folder } = await backedUp("too-old");
        const server = await engine.older?.() ?? own;
        if (engine.older === undefined) {
          editManifest(folder, (manifest) => {
            manifest["source"] = { ...Object(manifest["source"]), version: "99.1" };
          });
        }
        at.env["TARGET_URL"] = server.url(`${database}_old`);
        const args = ["restore", "shop", "--to", "target", "--yes"];
        await fails(at, args, "restore/target-too-old", 8);
        await assert.rejects(server.rows(`${database}_old`), "nothing was created");
      });

      test("into another kind of database is refused", async () => {
        const { at } = await backedUp("wrong-kind");
        const to = ["--from", "./backups", "--to", "sqlite:wrong.db", "--yes"];
        await fails(at, ["restore", ...to], "restore/wrong-kind", 8);
        assert.ok(!existsSync(join(at.folder, "wrong.db")));
      });

      test("is not stopped by silence: a stall limit is for dumps", async () => {
        const { server, database, at } = await backedUp("slow-restore");
        const toolsDir = withTools(server.toolsDir, {
          [restoreTool]: `sleep 2; exec "$REAL" "$@"`,
        });
        writeConfig(at, engine, toolsDir, ", stallTimeout: 1s");
        at.env["TARGET_URL"] = server.url(`${database}_slow`);
        await succeeds(at, ["restore", "shop", "--to", "target", "--yes"]);
        assert.equal(await server.rows(`${database}_slow`), await server.rows(database));
      });
    });

    test("a destination that holds the dump back is not a stall", async () => {
      const { server, database, url } = await filled(2_000);
      const at = place(`${engine.type}-held-back`, { SHOP_URL: url });
      writeFileSync(
        join(at.folder, "backup.config.ts"),
        slowDestination(engine, server.toolsDir),
        { mode: 0o600 },
      );
      await succeeds(at, ["backup", "shop"]);
      assert.ok(database.length > 0);
      const result = await dbbackup(at, ["verify", "--deep"]);
      assert.equal(result.code, 0, result.stdout + result.stderr);
    });
  });
}

/** A config whose destination takes a rest, once, that is longer than the stall limit. */
function slowDestination({ type }: Engine, toolsDir: string): string {
  return `
import { defineConfig, defineStorage, env, local, ${type}, z } from "dbbackup";
const inner = local({ path: "." }).kind;
const slow = defineStorage({
  kind: "slow",
  schemes: [],
  options: z.strictObject({ path: z.string() }),
  paths: ["path"],
  fromUrl: () => { throw new Error("no URL"); },
  async open(options, o) {
    const storage = await inner.open(options, o);
    return {
      ...storage,
      put(key, body, o) {
        if (body instanceof Uint8Array) return storage.put(key, body, o);
        return storage.put(key, held(body, key.includes("dump-") ? 4500 : 0), o);
      },
    };
  },
});
async function* held(body, ms) {
  for await (const chunk of body) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    ms = 0;
    yield chunk;
  }
}
export default defineConfig({
  databases: { shop: ${type}({ url: env("SHOP_URL"), toolsDir: ${JSON.stringify(toolsDir)} }) },
  destinations: { disk: slow({ path: "./backups" }) },
  jobs: { shop: { database: "shop", destinations: ["disk"], compression: "none", stallTimeout: "3s" } },
});
`;
}

function flipBit(path: string, offset: number): void {
  const handle = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(handle, byte, 0, 1, offset);
  byte[0]! ^= 1;
  writeSync(handle, byte, 0, 1, offset);
  closeSync(handle);
}
