import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import { type BackupError, hasCode } from "../../../src/core/errors.ts";
import { mongo, type MongoServer, startMongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { run } from "../../support/run.ts";
import { never } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { chunked, walk } from "./archives.ts";
import { code, optionsOf, withConnector } from "./opened.ts";
import { contentOf, makeSample, oddDatabase } from "./sample.ts";
import { commandsOf } from "../../support/recipe.ts";

/** A database whose dump is larger than all the pipes on its way. */
async function makeLarge(server: MongoServer): Promise<string> {
  const database = server.freshDatabase();
  const documents = Array.from({ length: 1500 }, (_, n) => ({ n, pad: "x".repeat(1000) }));
  await (await server.client()).db(database).collection("c").insertMany(documents);
  return database;
}

/** A folder with a mongodump of which `REAL` is the real one, and the real mongorestore. */
function fakeDump(server: MongoServer, script: string): string {
  const folder = tempDir("fake-mongodump");
  const real = (tool: string) => path.join(server.toolsDir ?? "", tool);
  const body = script.replaceAll("REAL", `'${real("mongodump")}'`);
  const sources = { mongodump: body, mongorestore: `exec '${real("mongorestore")}' "$@"` };
  for (const [tool, source] of Object.entries(sources)) {
    writeFileSync(path.join(folder, tool), `#!/bin/sh\n${source}\n`);
    chmodSync(path.join(folder, tool), 0o755);
  }
  return folder;
}

needsMongo().describe("mongodb dumps that go wrong", () => {
  const cases: Record<string, [script: string, code: string, message: RegExp]> = {
    "fails halfway": [
      `REAL "$@" | head -c 300000; echo 'Failed: lost the server' >&2; exit 3`,
      "dump/failed",
      /mongodump failed: .*lost the server/,
    ],
    "is killed": [`REAL "$@" | head -c 300000; kill -KILL $$`, "dump/failed", /died of SIGKILL/],
    "stops early and says that all is well": [
      `REAL "$@" 2>&- | head -c 300000; exit 0`,
      "verification/truncated",
      /ends inside a block/,
    ],
    "says nothing and that all is well": ["exit 0", "verification/truncated", /incomplete/],
    "writes something else": ["echo hello", "verification/structure", /no.* mongodump archive/],
    "hangs": [
      `REAL "$@" | head -c 300000; exec sleep 60`,
      "dump/stalled",
      /sent nothing for 0.5 s/,
    ],
  };
  for (const [what, [script, expected, message]] of Object.entries(cases)) {
    test(`a mongodump that ${what} is seen`, async () => {
      const server = await mongo();
      const database = await makeLarge(server);
      const toolsDir = fakeDump(server, script);
      await withConnector(optionsOf(server, { database, toolsDir }), (connector) =>
        assert.rejects(
          backUp(mongodb, connector, { stallMs: 500 }),
          (error: BackupError) => code(expected)(error) && message.test(error.message),
        ));
    });
  }

  test("an aborted dump ends mongodump and throws the signal's reason", async () => {
    const server = await mongo();
    const database = await makeLarge(server);
    const file = path.join(tempDir(), "pid");
    const toolsDir = fakeDump(server, `echo $$ >'${file}'\nexec REAL "$@"`);
    const controller = new AbortController();
    const reason = new Error("stop");
    const plan = { kind: "full", settings: {}, stallMs: 60_000 } as const;
    await withConnector(optionsOf(server, { database, toolsDir }), async (connector) => {
      const dump = connector.dump(plan, async (_, bytes) => {
        for await (const _chunk of bytes) controller.abort(reason);
        throw reason;
      }, { signal: controller.signal });
      await assert.rejects(dump, reason);
    });
    const status = `/proc/${readFileSync(file, "utf8").trim()}/status`;
    assert.ok(!existsSync(status) || /^State:\s+[ZX]/m.test(readFileSync(status, "utf8")));
  });

  test("arguments of the user's own reach mongodump", async () => {
    const server = await mongo();
    const database = await makeLarge(server);
    await withConnector(optionsOf(server, { database }), (connector) =>
      assert.rejects(
        backUp(mongodb, connector, { settings: { dumpArgs: ["--no-such-flag"] } }),
        (error: BackupError) => code("dump/failed")(error) && /no-such-flag/.test(error.message),
      ));
  });

  test("there is no incremental backup here", async () => {
    const server = await mongo();
    const database = await makeLarge(server);
    await withConnector(
      optionsOf(server, { database }),
      (connector) =>
        assert.rejects(
          backUp(mongodb, connector, { kind: "incremental" }),
          code("usage/kind-unsupported"),
        ),
    );
  });
});

needsMongo().describe("a real archive of mongodump", () => {
  test("that is cut or damaged is refused, where mongorestore --dryRun sees nothing", async () => {
    const server = await mongo();
    const database = oddDatabase(server.freshDatabase());
    await makeSample(server, database);
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    const { bytes } = backup.artifacts[0]!;
    const prelude = bytes.findIndex((_, at) =>
      at > 100 && [0, 1, 2, 3].every((more) => bytes[at + more] === 0xff)
    );
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.nat(), fc.array(fc.nat()), async (isCut, where, cuts) => {
        const damaged = bytes.slice(0, isCut ? 1 + where % (bytes.byteLength - 1) : undefined);
        if (!isCut) damaged[prelude + where % (bytes.byteLength - prelude)]! ^= 1 << (where & 7);
        await assert.rejects(
          walk(chunked(damaged, cuts)),
          (error) => hasCode(error, isCut ? "verification/truncated" : "verification/"),
        );
      }),
      { numRuns: 150 },
    );
    const tool = path.join(server.toolsDir ?? "", "mongorestore");
    const dryRun = await run(tool, [`--uri=${server.url()}`, "--archive", "--dryRun"], {
      input: bytes.subarray(0, bytes.byteLength - 1000),
    });
    assert.equal(dryRun.code, 0);
  });
});

needsMongo().describe("mongodb recipe", () => {
  needsMongo("accountsRestore")(
    "the commands, as written, restore all databases and the accounts",
    async () => {
      const source = await startMongo({ can: ["accountsRestore"], auth: true });
      const target = await startMongo({ can: ["accountsRestore"], auth: true });
      const names = ["shop", oddDatabase("other")];
      const [from, to] = await Promise.all([source.client(), target.client()]);
      for (const name of names) await makeSample(source, name);
      await from.db("shop").command({ createUser: "app", pwd: "app", roles: ["read"] });
      const backup = await withConnector(optionsOf(source), (one) => backUp(mongodb, one));
      const [{ manifest, artifacts }] = chainOf(mongodb, backup) as [ReturnType<typeof chainOf>[0]];
      const folder = tempDir("recipe");
      for (const [index, artifact] of artifacts.entries()) {
        const file = `dump ${index}.archive`;
        writeFileSync(path.join(folder, file), backup.artifacts[index]!.bytes);
        const lines = commandsOf(mongodb, manifest, artifact, `cat '${file}'`);
        const example = lines.find((line) => line.includes("uri:"))!;
        const line = example.replace(/^#\s*/, "").replace(/mongodb:[^"]*/, target.url());
        writeFileSync(path.join(folder, "mongodb.yaml"), `${line}\n`, { mode: 0o600 });
        const env = {
          ...process.env,
          HOME: folder,
          PATH: `${target.toolsDir}:${process.env["PATH"]}`,
        };
        const done = await run("sh", ["-e"], { input: lines.join("\n"), cwd: folder, env });
        assert.deepEqual(
          [done.code, /0 document\(s\) failed/.test(done.stderr)],
          [0, true],
          done.stderr,
        );
      }
      for (const name of names) {
        assert.deepEqual(await contentOf(to, name), await contentOf(from, name));
      }
      const { users } = await to.db("shop").command({ usersInfo: "app" });
      assert.equal(users.length, 1);
      await Promise.all([source.stop(), target.stop()]);
    },
  );

  test("a dump that is killed leaves a server that the next dump can read", async () => {
    const server = await mongo();
    const database = await makeLarge(server);
    const toolsDir = fakeDump(server, `REAL "$@" | head -c 300000; kill -KILL $$`);
    await withConnector(
      optionsOf(server, { database, toolsDir }),
      (one) => assert.rejects(backUp(mongodb, one), code("dump/failed")),
    );
    const backup = await withConnector(
      optionsOf(server, { database }),
      (one) => backUp(mongodb, one),
    );
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to }), async (one) => {
      await restoreInto(one, chainOf(mongodb, backup));
      assert.equal((await one.inventory(to, { signal: never })).objects[0]?.count, 1500);
    });
  });
});
