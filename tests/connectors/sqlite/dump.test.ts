import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { BackupError, hasCode } from "../../../src/core/errors.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "./memoryBackup.ts";
import { moving, reading, startProgram, writing } from "./program.ts";
import { connectorOf, contentOf, makeSample, stateOf } from "./sample.ts";

async function roundTrip(source: string, target = join(tempDir("sqlite-target"), "copy.db")) {
  const backup = await backUp(sqlite, await connectorOf(source));
  await restoreInto(await connectorOf(target), chainOf(sqlite, backup));
  return { target, backup };
}

const codeOf = (code: string) => (error: unknown) =>
  error instanceof BackupError && error.code === code && (error.hint ?? "") !== "";

describe("sqlite dump", () => {
  test("tells how far the copy is, before its bytes are emitted", async () => {
    const source = join(tempDir(), "large.db");
    const database = new DatabaseSync(source);
    database.exec("CREATE TABLE t (b BLOB)");
    const insert = database.prepare("INSERT INTO t VALUES (zeroblob(1000000))");
    database.exec("BEGIN");
    for (let row = 0; row < 40; row++) insert.run();
    database.exec("COMMIT");
    database.close();
    const told: number[] = [];
    await backUp(sqlite, await connectorOf(source), {
      onPrepared: (bytes) => told.push(bytes),
    });
    const { size } = statSync(source);
    assert.deepEqual(told, [...told].sort((a, b) => a - b));
    assert.ok(told.every((bytes) => bytes >= 0 && bytes <= size), String(told));
    assert.ok(told.at(-1)! > size / 2, "and at its end, however fast it was");
  });

  for (const mode of ["delete", "wal", "truncate", "persist"]) {
    test(`a database in ${mode} mode comes back with every row and its whole schema`, async () => {
      const folder = tempDir();
      const source = join(folder, "app.db");
      makeSample(source, mode);
      const before = stateOf(folder);
      const { target, backup } = await roundTrip(source);
      assert.deepEqual(stateOf(folder), before);
      assert.deepEqual(readdirSync(join(target, "..")), ["copy.db"]);
      assert.deepEqual(contentOf(target), contentOf(source));
      const [inventory] = backup.result.inventory.databases;
      assert.equal(inventory?.database, "app.db");
      const counts = Object.fromEntries(inventory!.objects.map((o) => [o.name, o.count]));
      assert.deepEqual(
        [counts["plain"], counts["empty"], counts["search"], counts["cheap"], counts["on_insert"]],
        [502, 0, 2, undefined, undefined],
      );
      assert.equal(inventory?.objects.find(({ name }) => name === "plain_name")?.type, "index");
      assert.deepEqual(backup.result.warnings, []);
    });
  }

  test("what a crashed program left in the log alone is in the copy, and the log stays", async () => {
    const folder = tempDir();
    const source = join(folder, "app.db");
    makeSample(source, "wal");
    const program = await startProgram(
      source,
      `database.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO log VALUES ('only in the log')");
       ready(); setInterval(() => {}, 1000);`,
    );
    await program.kill();
    assert.ok(statSync(`${source}-wal`).size > 0);
    const { "app.db-shm": _, ...before } = stateOf(folder);
    const { target } = await roundTrip(source);
    const { "app.db-shm": __, ...after } = stateOf(folder);
    assert.deepEqual(after, before);
    assert.deepEqual(contentOf(target)["log"], [{ what: "a" }, { what: "b" }, {
      what: "only in the log",
    }]);
  });

  test("a journal that a crashed program left is rolled back, as its next start would", async () => {
    const folder = tempDir();
    const [live, source] = [join(folder, "live.db"), join(folder, "crashed.db")];
    makeSample(live);
    const content = contentOf(live);
    const program = await startProgram(
      live,
      `database.exec("PRAGMA cache_size = 5; BEGIN; UPDATE plain SET raw = randomblob(256)");
       ready(); setInterval(() => {}, 1000);`,
    );
    copyFileSync(live, source);
    copyFileSync(`${live}-journal`, `${source}-journal`);
    await program.kill();
    const { target } = await roundTrip(source);
    assert.deepEqual(contentOf(target), content);
  });

  for (const mode of ["wal", "delete"]) {
    test(`a copy under a busy writer in ${mode} mode shows one moment`, async () => {
      const source = join(tempDir(), "bank.db");
      const database = new DatabaseSync(source);
      database.exec(`PRAGMA journal_mode = ${mode};
        CREATE TABLE account (id INTEGER PRIMARY KEY, amount INT);
        INSERT INTO account VALUES (1, 1000000), (2, 0);
        CREATE TABLE move (n INTEGER PRIMARY KEY, noise BLOB);
        INSERT INTO move SELECT value, randomblob(2000) FROM json_each('[0]');
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 8000)
          INSERT INTO move SELECT -i, randomblob(2000) FROM c;`);
      database.close();
      const program = await startProgram(source, moving);
      try {
        for (let round = 0; round < 3; round++) {
          const { target, backup } = await roundTrip(source);
          const content = contentOf(target) as { account: { amount: bigint }[]; move: unknown[] };
          const moved = content.account[1]!.amount;
          assert.equal(content.account[0]!.amount + moved, 1_000_000n);
          assert.equal(BigInt(content.move.length), 8001n + moved);
          const counts = backup.result.inventory.databases[0]!.objects;
          assert.equal(counts.find(({ name }) => name === "move")?.count, content.move.length);
        }
      } finally {
        await program.stop();
      }
      assert.ok((contentOf(source)["account"] as { amount: bigint }[])[1]!.amount > 0n);
    });
  }

  test("readers hold nothing up, an open write transaction does in neither mode", async () => {
    for (const mode of ["wal", "delete"]) {
      for (const script of [reading, writing]) {
        const source = join(tempDir(), "app.db");
        makeSample(source, mode);
        const program = await startProgram(source, script);
        const { target } = await roundTrip(source);
        await program.kill();
        assert.deepEqual((contentOf(target)["log"] as unknown[]).length, 2);
      }
    }
  });

  test("a lock that does not go away fails the dump, and one that goes away is waited for", async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const program = await startProgram(
      source,
      `database.exec("BEGIN EXCLUSIVE"); ready(); setInterval(() => {}, 1000);`,
    );
    const impatient = await connectorOf(source, 200);
    await assert.rejects(backUp(sqlite, impatient), codeOf("dump/busy"));
    setTimeout(() => program.kill(), 500);
    await backUp(sqlite, await connectorOf(source, 20_000));
  });

  test("names with every special character are paths, not URLs", async () => {
    const folder = tempDir();
    for (
      const name of ["a b?c=d#e%41.db", "-rf.db", "ünï 'q\"\\ \n.db", "file:x.db", "no ending"]
    ) {
      const source = join(folder, name);
      makeSample(source, "wal", 3);
      const { target, backup } = await roundTrip(source, join(tempDir(), name));
      assert.deepEqual(contentOf(target), contentOf(source));
      assert.deepEqual(backup.artifacts[0]?.head.databases, [name]);
    }
  });

  test("a symbolic link is the file behind it", async () => {
    const folder = tempDir();
    makeSample(join(folder, "real.db"), "wal", 3);
    symlinkSync("real.db", join(folder, "link.db"));
    const [link, real] = [await connectorOf(join(folder, "link.db")), join(folder, "real.db")];
    assert.equal((await link.inspect({ signal: never })).place, real);
    assert.deepEqual(await link.databases({ signal: never }), ["real.db"]);
  });

  test("a file of 0 bytes is an empty database, and a dump of it is not an empty file", async () => {
    const source = join(tempDir(), "new.db");
    writeFileSync(source, "");
    const { target, backup } = await roundTrip(source);
    assert.equal(statSync(source).size, 0);
    assert.ok(backup.artifacts[0]!.bytes.byteLength > 0);
    assert.deepEqual(contentOf(target), { schema: [] });
  });

  test("a missing file, another kind of file and an encrypted one have their own codes", async () => {
    const folder = tempDir();
    const missing = await connectorOf(join(folder, "none.db"));
    await assert.rejects(missing.inspect({ signal: never }), codeOf("connection/no-database"));
    assert.deepEqual(readdirSync(folder), []);
    const files = {
      "text.db": "hello\n".repeat(400),
      "short.db": "SQLite format 3\0",
      "encrypted.db": Buffer.alloc(8192, 0xa7),
    };
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(folder, name), content);
      const connector = await connectorOf(join(folder, name));
      await assert.rejects(connector.inspect({ signal: never }), (error) => {
        assert.ok(codeOf("connection/not-a-database")(error));
        assert.match(String(error), new RegExp(name));
        return true;
      });
    }
    mkdirSync(join(folder, "folder"));
    const directory = await connectorOf(join(folder, "folder"));
    await assert.rejects(directory.inspect({ signal: never }), codeOf("connection/not-a-database"));
  });

  test("a damaged source fails the dump and emits nothing", async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const bytes = readFileSync(source);
    bytes.fill(0xee, 4096 * 3, 4096 * 5);
    writeFileSync(source, bytes);
    let emitted = 0;
    const connector = await connectorOf(source);
    const plan = { kind: "full", settings: {}, stallMs: 1000 } as const;
    const dumping = connector.dump(plan, () => {
      emitted++;
      return Promise.resolve({ databases: [] });
    }, { signal: never });
    await assert.rejects(dumping, codeOf("dump/damaged-source"));
    assert.equal(emitted, 0);
    truncateSync(source, 4096 * 4);
    await assert.rejects(backUp(sqlite, connector), codeOf("dump/damaged-source"));
  });

  test("an index over a program's own function is backed up, with a warning", async () => {
    const source = join(tempDir(), "app.db");
    const database = new DatabaseSync(source);
    database.function("secret_sauce", { deterministic: true }, (value) => Number(value) * 2);
    database.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)");
    database.exec("CREATE INDEX sauce ON t (secret_sauce(a))");
    database.close();
    const { backup } = await roundTrip(source);
    assert.match(backup.result.warnings.join(), /indexes of "t" were not checked.*secret_sauce/);
    assert.equal(
      backup.result.inventory.databases[0]?.objects.find((o) => o.name === "t")?.count,
      2,
    );
  });

  test("rows without their parent are told and stop nothing", async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const database = new DatabaseSync(source, { enableForeignKeyConstraints: false });
    database.exec("INSERT INTO child VALUES (99999), (99998)");
    database.close();
    const { backup } = await roundTrip(source);
    assert.deepEqual(backup.result.warnings, [
      'Table "child" has 2 rows whose parent row is missing',
    ]);
  });

  test("the position moves with every change and the clock stands in the result", async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const now = new Date("2026-11-24T03:00:00Z");
    const runtime = testRuntime({ now: () => now });
    const connector = await sqlite.open({ path: source }, { runtime, signal: never });
    const first = await backUp(sqlite, connector);
    const database = new DatabaseSync(source);
    database.exec("CREATE TABLE later (x)");
    database.close();
    const second = await backUp(sqlite, connector);
    const [a, b] = [first.result.to, second.result.to] as Record<string, number>[];
    assert.deepEqual(Object.keys(a!), ["type", "changeCounter", "schemaCookie"]);
    assert.equal(b!["changeCounter"], a!["changeCounter"]! + 1);
    assert.equal(b!["schemaCookie"], a!["schemaCookie"]! + 1);
    assert.deepEqual(first.result.consistentAt, now);
  });

  test("an aborted dump ends at once, leaves no lock and no temporary file", async () => {
    const tempFolder = tempDir("temp");
    const source = join(tempDir(), "app.db");
    makeSample(source, "delete", 200_000);
    const runtime = testRuntime({ tempDir: tempFolder });
    const connector = await sqlite.open({ path: source }, { runtime, signal: never });
    const plan = { kind: "full", settings: {}, stallMs: 1000 } as const;
    const aborter = new AbortController();
    const reason = new BackupError("interrupted/signal", "stopped");
    const watch = setInterval(() => {
      if (readdirSync(tempFolder).length > 0) aborter.abort(reason);
    }, 1);
    const emit = () => Promise.reject(new Error("got to the end"));
    await assert.rejects(connector.dump(plan, emit, { signal: aborter.signal }), reason);
    clearInterval(watch);
    assert.deepEqual(readdirSync(tempFolder), []);
    const database = new DatabaseSync(source, { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE; ROLLBACK");
    database.close();
  });

  test("two dumps of one file at the same time both succeed", async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const connectors = await Promise.all([connectorOf(source), connectorOf(source)]);
    const backups = await Promise.all(connectors.map((connector) => backUp(sqlite, connector)));
    assert.deepEqual(backups[0]?.artifacts[0]?.bytes, backups[1]?.artifacts[0]?.bytes);
  });

  test("a temporary folder that is not there is told before anything is read", async () => {
    const source = join(tempDir(), "app.db");
    makeSample(source);
    const runtime = testRuntime({ tempDir: join(tempDir(), "missing") });
    const connector = await sqlite.open({ path: source }, { runtime, signal: never });
    await assert.rejects(backUp(sqlite, connector), (error) => hasCode(error, "storage/temp-dir"));
  });
});
