import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { never } from "../../support/runtime.ts";
import { tempDir, tmpfs } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto, restoreOptions } from "./memoryBackup.ts";
import { idle, reading, startProgram, writing } from "./program.ts";
import { connectorOf, contentOf, makeSample, stateOf } from "./sample.ts";

const kept = "_before_k3v9x2ma";
const beside = "_restore_k3v9x2ma";

/** A backup of a sample and what is in it. */
async function sampleBackup(mode = "delete", rows = 300) {
  const source = join(tempDir("source"), "app.db");
  makeSample(source, mode, rows);
  const backup = await backUp(sqlite, await connectorOf(source));
  return { backup, chain: chainOf(sqlite, backup), content: contentOf(source) };
}

/** A backup whose inventory has a table that the dump has not, and an old database in its place. */
async function differing() {
  const { backup, content } = await sampleBackup();
  const folder = tempDir();
  const target = join(folder, "app.db");
  const old = makeOld(target);
  const objects = [{ type: "table", name: "lost", count: 1, isExact: true }] as const;
  const inventory = { databases: [{ database: "app.db", objects: [...objects] }] };
  return { folder, target, backup, chain: chainOf(sqlite, backup, { inventory }), content, old };
}

/** A database of other content, of which every page differs. */
function makeOld(path: string, mode = "delete", pageBytes = 4096) {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = ${mode};
    CREATE TABLE old (x BLOB); CREATE TABLE log (what TEXT);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000)
      INSERT INTO old SELECT randomblob(600) FROM c;`);
  database.close();
  return contentOf(path);
}

const codeOf = (code: string, text = /./) => (error: unknown) => {
  assert.ok(error instanceof BackupError, String(error));
  assert.equal(error.code, code, String(error));
  assert.match(`${error.message} ${error.hint ?? ""}`, text);
  return true;
};

describe("sqlite restore", () => {
  test("a new path is created, with nothing else in its folder", async () => {
    const { chain, content } = await sampleBackup("wal");
    const folder = tempDir();
    const target = join(folder, "new.db");
    const { plan, result } = await restoreInto(await connectorOf(target), chain);
    assert.deepEqual(plan.steps, [{ from: "app.db", to: target, mode: "create" }]);
    assert.deepEqual([result.differences, result.followUps], [[], []]);
    assert.deepEqual(readdirSync(folder), ["new.db"]);
    assert.equal(statSync(target).mode & 0o777, 0o600);
    assert.deepEqual(contentOf(target), content);
  });

  test("an empty file and a database without tables are filled and keep their mode", async () => {
    const { chain, content } = await sampleBackup();
    const folder = tempDir();
    const [empty, bare] = [join(folder, "empty.db"), join(folder, "bare.db")];
    writeFileSync(empty, "", { mode: 0o640 });
    const database = new DatabaseSync(bare);
    database.exec("CREATE TABLE x (y); DROP TABLE x");
    database.close();
    for (const target of [empty, bare]) {
      const before = statSync(target);
      const { plan } = await restoreInto(await connectorOf(target), chain);
      assert.equal(plan.steps[0]?.mode, "fill");
      const after = statSync(target);
      assert.deepEqual([after.mode, after.ino], [before.mode, before.ino]);
      assert.deepEqual(contentOf(target), content);
    }
    assert.deepEqual(readdirSync(folder).sort(), ["bare.db", "empty.db"]);
  });

  test("a database with tables is refused without --overwrite and stays as it was", async () => {
    const { chain } = await sampleBackup();
    const folder = tempDir();
    makeOld(join(folder, "app.db"), "wal");
    rmSync(join(folder, "app.db-shm"), { force: true });
    rmSync(join(folder, "app.db-wal"), { force: true });
    const before = stateOf(folder);
    const connector = await connectorOf(join(folder, "app.db"));
    await assert.rejects(restoreInto(connector, chain), codeOf("restore/not-empty", /--overwrite/));
    assert.deepEqual(stateOf(folder), before);
  });

  for (const oldMode of ["delete", "wal"]) {
    for (const newMode of ["delete", "wal"]) {
      for (const pageBytes of [1024, 4096, 65_536]) {
        test(`${newMode} over ${oldMode} with pages of ${pageBytes} keeps the old one`, async () => {
          const { chain, content } = await sampleBackup(newMode);
          const folder = tempDir();
          const target = join(folder, "app.db");
          const old = makeOld(target, oldMode, pageBytes);
          chmodSync(target, 0o664);
          if (process.getuid?.() === 0) chownSync(target, 1234, 5678);
          const before = statSync(target);
          const { plan, result } = await restoreInto(await connectorOf(target), chain, {
            isOverwrite: true,
          });
          assert.deepEqual(plan.steps, [
            { from: "app.db", to: target, mode: "swap", keptAs: target + kept },
          ]);
          assert.deepEqual(result.followUps, [`rm -- ${target}${kept}`]);
          assert.deepEqual(readdirSync(folder).sort(), ["app.db", `app.db${kept}`]);
          for (const path of [target, target + kept]) {
            const { mode, uid, gid } = statSync(path);
            assert.deepEqual([mode, uid, gid], [before.mode, before.uid, before.gid]);
          }
          assert.equal(statSync(target).ino, before.ino);
          assert.deepEqual(contentOf(target + kept), old);
          assert.deepEqual(contentOf(target), content);
        });
      }
    }
  }

  test("a log that a crash left goes into the kept file and not into the restored one", async () => {
    const { chain, content } = await sampleBackup();
    const target = join(tempDir(), "app.db");
    makeOld(target, "wal");
    const program = await startProgram(
      target,
      `database.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO log VALUES ('only in the log')");
       ready(); setInterval(() => {}, 1000);`,
    );
    await program.kill();
    assert.ok(statSync(`${target}-wal`).size > 0);
    await restoreInto(await connectorOf(target), chain, { isOverwrite: true });
    assert.deepEqual(contentOf(target + kept)["log"], [{ what: "only in the log" }]);
    assert.deepEqual(contentOf(target), content);
  });

  test("a log without its database does not get into the restored one", async () => {
    // The same file with other content: without care, SQLite replays its log into the restored one.
    const { chain, content } = await sampleBackup("wal");
    const target = join(tempDir(), "app.db");
    await restoreInto(await connectorOf(target), chain);
    const program = await startProgram(
      target,
      `database.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = 0; DELETE FROM plain"); ready();
       setInterval(() => {}, 1000);`,
    );
    await program.kill();
    rmSync(target);
    const naive = join(tempDir(), "app.db");
    writeFileSync(naive, await sampleBackupBytes(chain));
    copyFileSync(`${target}-wal`, `${naive}-wal`);
    assert.deepEqual(contentOf(naive)["plain"], [], "what this test is about: it was resurrected");

    await restoreInto(await connectorOf(target), chain);
    assert.deepEqual(contentOf(target), content);
    assert.ok(existsSync(`${target}${kept}-wal`));
  });

  test("a file that is damaged beyond reading is renamed, with its log, and replaced", async () => {
    const { chain, content } = await sampleBackup("wal");
    const folder = tempDir();
    const target = join(folder, "app.db");
    const garbage = Buffer.alloc(20_000, 0x5a);
    writeFileSync(target, garbage, { mode: 0o644 });
    for (const ending of ["-wal", "-journal"]) writeFileSync(target + ending, `stale${ending}`);
    const before = statSync(target);
    await restoreInto(await connectorOf(target), chain, { isOverwrite: true });
    assert.deepEqual(readFileSync(target + kept), garbage);
    assert.equal(readFileSync(`${target}${kept}-wal`, "utf8"), "stale-wal");
    assert.equal(readFileSync(`${target}${kept}-journal`, "utf8"), "stale-journal");
    assert.equal(statSync(target).mode, before.mode);
    assert.deepEqual(readdirSync(folder).length, 4);
    assert.deepEqual(contentOf(target), content);
  });

  test("a renamed-away file that some process still has open is refused", async () => {
    const { chain } = await sampleBackup();
    const target = join(tempDir(), "app.db");
    makeOld(target);
    const program = await startProgram(target, idle);
    writeFileSync(target, Buffer.alloc(20_000, 0x5a));
    const before = readFileSync(target);
    const connector = await connectorOf(target, 100);
    await assert.rejects(
      restoreInto(connector, chain, { isOverwrite: true }),
      codeOf("restore/in-use"),
    );
    await program.kill();
    assert.deepEqual(readFileSync(target), before);
  });

  test("a damaged page inside is kept as it is, and the rest restored over", async () => {
    const { chain, content } = await sampleBackup();
    const target = join(tempDir(), "app.db");
    makeOld(target);
    const bytes = readFileSync(target);
    bytes.fill(0xee, 4096 * 4, 4096 * 6);
    writeFileSync(target, bytes);
    await restoreInto(await connectorOf(target), chain, { isOverwrite: true });
    assert.deepEqual(contentOf(target), content);
    const page = readFileSync(target + kept).subarray(4096 * 4, 4096 * 6);
    assert.ok(page.every((byte) => byte === 0xee));
  });

  for (
    const [mode, name, script] of [
      ["wal", "an idle connection", idle],
      ["wal", "a reader", reading],
      ["wal", "a writer", writing],
      ["delete", "a reader", reading],
      ["delete", "a writer", writing],
    ] as const
  ) {
    test(`${name} of a database in ${mode} mode is refused and loses nothing`, async () => {
      const { chain } = await sampleBackup();
      const folder = tempDir();
      const target = join(folder, "app.db");
      const old = makeOld(target, mode);
      const program = await startProgram(target, script);
      const connector = await connectorOf(target, 100);
      await assert.rejects(
        restoreInto(connector, chain, { isOverwrite: true }),
        codeOf("restore/in-use", /fuser/),
      );
      await program.kill();
      assert.deepEqual(contentOf(target), old);
      const left = readdirSync(folder).filter((file) => /restore|before/.test(file));
      assert.deepEqual(left, []);
    });
  }

  test("an idle program with a rollback journal sees the new data and harms nothing", async () => {
    // It holds no lock, so nobody can see it; after a rename it would write into the old file, and
    // its journal would lie beside the new one.
    const { chain, content } = await sampleBackup();
    const target = join(tempDir(), "app.db");
    makeOld(target);
    const program = await startProgram(
      target,
      `database.prepare("SELECT count(*) FROM log").get();
       ready();
       process.stdin.removeAllListeners("data");
       process.stdin.on("data", () => {
         database.exec("INSERT INTO log VALUES ('written by the idle one')");
         process.exit(0);
       });`,
    );
    await restoreInto(await connectorOf(target), chain, { isOverwrite: true });
    assert.deepEqual(contentOf(target), content);
    await program.stop();
    const log = [{ what: "a" }, { what: "b" }, { what: "written by the idle one" }];
    assert.deepEqual(contentOf(target), { ...content, log });
  });

  test("a backup that breaks halfway, or is damaged, leaves the old data and no other file", async () => {
    const { backup } = await sampleBackup();
    const folder = tempDir();
    const target = join(folder, "app.db");
    makeOld(target);
    const before = stateOf(folder);
    const reason = new BackupError("verification/digest", "the bytes differ");
    const breaking = async function* (bytes: Uint8Array) {
      yield bytes.subarray(0, bytes.byteLength / 2);
      throw reason;
    };
    const flipped = (bytes: Uint8Array) => {
      const copy = bytes.slice();
      copy.fill(0xee, 4096 * 2, 4096 * 4);
      return bytesOf(copy);
    };
    const connector = await connectorOf(target);
    const broken = restoreInto(connector, chainOf(sqlite, backup, { open: breaking }), {
      isOverwrite: true,
    });
    await assert.rejects(broken, reason);
    assert.deepEqual(stateOf(folder), before);
    const damaged = restoreInto(connector, chainOf(sqlite, backup, { open: flipped }), {
      isOverwrite: true,
    });
    await assert.rejects(damaged, codeOf("restore/failed", /damaged/));
    assert.deepEqual(stateOf(folder), before);
  });

  test("what differs from the inventory stays beside, whole, and nothing is swapped in", async () => {
    const { folder, target, chain, content, old } = await differing();
    const connector = await connectorOf(target);
    await assert.rejects(restoreInto(connector, chain, { isOverwrite: true }), (error: unknown) => {
      codeOf("restore/incomplete", /"lost" is missing.*_restore_k3v9x2ma".*--accept-differences/s)(
        error,
      );
      const { details } = error as BackupError;
      assert.deepEqual(details?.["left"], [{ from: "app.db", to: target, name: target + beside }]);
      return true;
    });
    assert.deepEqual(readdirSync(folder).sort(), ["app.db", `app.db${beside}`]);
    assert.deepEqual(contentOf(target), old);
    assert.deepEqual(contentOf(target + beside), content);
  });

  test("what a restore left is taken as it is, and not restored again", async () => {
    const { folder, target, backup, chain, content, old } = await differing();
    const connector = await connectorOf(target);
    await assert.rejects(restoreInto(connector, chain, { isOverwrite: true }));
    const unread = chainOf(sqlite, backup, {
      inventory: chain[0]!.inventory,
      open: () => assert.fail("it was read again"),
    });
    const accepted = { isOverwrite: true, isDifferenceAccepted: true };
    const { plan, result } = await restoreInto(connector, unread, accepted);
    assert.equal(plan.steps[0]?.adopts, target + beside);
    assert.deepEqual(result.differences.map(({ name, isFailure }) => [name, isFailure]), [
      ["lost", true],
      ...result.differences.slice(1).map(({ name, isFailure }) => [name, isFailure]),
    ]);
    assert.deepEqual(readdirSync(folder).sort(), ["app.db", `app.db${kept}`]);
    assert.deepEqual(contentOf(target), content);
    assert.deepEqual(contentOf(target + kept), old);
  });

  test("what was left and is another by one bit is not taken: it is restored again", async () => {
    const { target, chain, content } = await differing();
    const connector = await connectorOf(target);
    await assert.rejects(restoreInto(connector, chain, { isOverwrite: true }));
    const bytes = readFileSync(target + beside);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(target + beside, bytes);
    const accepted = { isOverwrite: true, isDifferenceAccepted: true };
    const { plan } = await restoreInto(connector, chain, accepted);
    assert.equal(plan.steps[0]?.adopts, undefined);
    assert.match(plan.warnings.join(), /cut short, and is removed/);
    assert.deepEqual(contentOf(target), content);
  });

  test("what was left stays when the target is in use, and is said the next time", async () => {
    const { target, chain, content } = await differing();
    const connector = await connectorOf(target, 100);
    await assert.rejects(restoreInto(connector, chain, { isOverwrite: true }));
    const program = await startProgram(target, writing);
    const accepted = { isOverwrite: true, isDifferenceAccepted: true };
    await assert.rejects(restoreInto(connector, chain, accepted), codeOf("restore/in-use"));
    await program.kill();
    assert.deepEqual(contentOf(target + beside), content);
    const options = restoreOptions({ isOverwrite: true });
    const { warnings } = await connector.planRestore(chain, options, { signal: never });
    assert.match(warnings.join(), /is written anew; --accept-differences takes it as it is/);
    writeFileSync(`${target}_restore_zzzzzzzz`, "");
    writeFileSync(`${target}_restore_of_mine`, "");
    const again = await connector.planRestore(chain, options, { signal: never });
    assert.match(again.warnings.join(), /rm -- .*_restore_zzzzzzzz/);
    assert.doesNotMatch(again.warnings.join(), /of_mine/);
  });

  test("--keep-going leaves a damaged database beside, which is then taken as it is", async () => {
    const { backup } = await sampleBackup("delete", 3000);
    const target = join(tempDir(), "app.db");
    const old = makeOld(target);
    const bytes = backup.artifacts[0]!.bytes.slice();
    // One leaf of the biggest table.
    bytes.fill(0, 4096 * 60, 4096 * 61);
    const broken = { ...backup, artifacts: [{ ...backup.artifacts[0]!, bytes }] };
    const [chain, connector] = [chainOf(sqlite, broken), await connectorOf(target)];
    await assert.rejects(
      restoreInto(connector, chain, { isOverwrite: true }),
      codeOf("restore/failed", /damaged.*--keep-going/s),
    );
    assert.ok(!existsSync(target + beside));
    const { result } = await restoreInto(connector, chain, {
      isOverwrite: true,
      isKeepGoing: true,
    });
    assert.ok(result.failures.length > 0);
    assert.deepEqual(result.left, [{ from: "app.db", to: target, name: target + beside }]);
    assert.deepEqual(contentOf(target), old);
    // In the place of nothing, what can be read is better than nothing.
    const elsewhere = join(tempDir(), "new.db");
    const made = await restoreInto(await connectorOf(elsewhere), chain, { isKeepGoing: true });
    assert.deepEqual([made.result.failures.length > 0, made.result.left], [true, []]);
    const found = new DatabaseSync(elsewhere, { readOnly: true });
    assert.equal(found.prepare("SELECT count(*) AS n FROM rowless").get()?.["n"], 2);
    found.close();
    const taken = await restoreInto(connector, chain, {
      isOverwrite: true,
      isDifferenceAccepted: true,
    });
    assert.match(taken.result.warnings.join(), /finds it damaged/);
    const database = new DatabaseSync(target, { readOnly: true });
    assert.equal(database.prepare("SELECT count(*) AS n FROM rowless").get()?.["n"], 2);
    database.close();
    assert.deepEqual(contentOf(target + kept), old);
  });

  test("a kill -9 in the middle of the swap leaves the old data or the new, whole", async () => {
    const { backup, content } = await sampleBackup("delete", 30_000);
    const module = new URL("../../../src/connectors/sqlite/install.ts", import.meta.url).pathname;
    const seen = new Set<string>();
    for (let delay = 0; delay < 160; delay += 8) {
      const target = join(tempDir("kill"), "app.db");
      const old = makeOld(target);
      writeFileSync(`${target}_restore_x`, backup.artifacts[0]!.bytes);
      const program = await startProgram(
        target,
        // The first kills come before the swap begins, however slowly they come.
        `database.close();
         setTimeout(() => require(${
          JSON.stringify(module)
        }).install(process.env.TEST_DATABASE + "_restore_x",
           { from: "a", to: process.env.TEST_DATABASE, mode: "swap",
             keptAs: process.env.TEST_DATABASE + "_before_x" },
           { signal: new AbortController().signal, busyTimeoutMs: 1000, backupId: "x" })
           .then(() => setTimeout(() => process.exit(0), 1000)), 40);
         setTimeout(ready, ${delay});`,
      );
      await program.kill();
      recover(target);
      const found = contentOf(target);
      const isOld = "old" in found;
      assert.deepEqual(found, isOld ? old : content);
      seen.add(isOld ? "old" : "new");
      // What looks like the kept database is it.
      if (!isOld || existsSync(`${target}_before_x`)) {
        assert.deepEqual(contentOf(`${target}_before_x`), old);
      }
      rmSync(`${target}_before_x`, { force: true });
      const chain = chainOf(sqlite, backup);
      const connector = await connectorOf(target);
      await restoreInto(connector, chain, { isOverwrite: true, backupId: "x" });
      assert.deepEqual(readdirSync(dirname(target)).sort(), ["app.db", "app.db_before_x"]);
      assert.deepEqual(contentOf(target), content);
    }
    assert.ok(seen.has("old"), "the first kill came too late to prove anything");
  });

  test("a symbolic link stays one, and the file behind it is replaced", async () => {
    const { chain, content } = await sampleBackup();
    const folder = tempDir();
    const [real, link] = [join(folder, "real.db"), join(folder, "link.db")];
    makeOld(real);
    symlinkSync("real.db", link);
    const { plan } = await restoreInto(await connectorOf(link), chain, { isOverwrite: true });
    assert.equal(plan.steps[0]?.to, real);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.deepEqual(contentOf(real), content);
    const dangling = join(folder, "dangling.db");
    symlinkSync("later.db", dangling);
    await restoreInto(await connectorOf(dangling), chain);
    assert.deepEqual(contentOf(join(folder, "later.db")), content);
  });

  test("a second restore of the same backup keeps each old file under a name of its own", async () => {
    const { chain } = await sampleBackup();
    const folder = tempDir();
    const target = join(folder, "app.db");
    makeOld(target);
    for (let round = 0; round < 2; round++) {
      await restoreInto(await connectorOf(target), chain, { isOverwrite: true });
    }
    const names = ["app.db", `app.db${kept}`, `app.db${kept}_2`];
    assert.deepEqual(readdirSync(folder).sort(), names);
  });

  test("--only, an unknown database, a missing folder and a folder as target are refused", async () => {
    const { chain } = await sampleBackup();
    const folder = tempDir();
    const connector = await connectorOf(join(folder, "app.db"));
    const plan = (changed: Parameters<typeof restoreOptions>[0]) =>
      connector.planRestore(chain, restoreOptions(changed), { signal: never });
    await assert.rejects(plan({ only: ["plain"] }), codeOf("restore/only-unsupported"));
    await assert.rejects(plan({ databases: ["b"] }), codeOf("restore/no-such-object", /app\.db/));
    const missing = await connectorOf(join(folder, "none", "app.db"));
    await assert.rejects(restoreInto(missing, chain), codeOf("restore/no-folder", /mkdir -p/));
    const directory = await connectorOf(folder);
    await assert.rejects(restoreInto(directory, chain), codeOf("connection/not-a-database"));
    assert.deepEqual(readdirSync(folder), []);
  });

  const small = tmpfs(3 * 1024 * 1024);
  test("a disk too small for both copies is told before anything is written", {
    skip: small === undefined ? "this user may not mount" : false,
  }, async () => {
    const { chain } = await sampleBackup("delete", 3000);
    const target = join(small!, "app.db");
    makeOld(target);
    const before = stateOf(small!);
    await assert.rejects(
      restoreInto(await connectorOf(target), chain, { isOverwrite: true }),
      codeOf("restore/no-space", /MiB/),
    );
    assert.deepEqual(stateOf(small!), before);
  });
});

/** Opens a database as its own program does after a crash. */
function recover(path: string): void {
  const database = new DatabaseSync(path);
  database.prepare("SELECT count(*) FROM sqlite_schema").get();
  database.close();
}

async function sampleBackupBytes(chain: ReturnType<typeof chainOf>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chain[0]!.artifacts[0]!.open({ signal: never })) {
    chunks.push(new Uint8Array(chunk));
  }
  return Buffer.concat(chunks);
}
