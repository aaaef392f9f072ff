import assert from "node:assert/strict";
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { Manifest } from "../../src/contracts/manifest.ts";
import { copyBackups } from "../../src/jobs/copy/copy.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { differential } from "../../src/strategies/differential.ts";
import { contentOf } from "../connectors/sqlite/sample.ts";
import { alice, keyring } from "../codecs/keys.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { destinationOf, flipBit } from "./support.ts";
import { chainUnderWriter, folderOf, type SqliteChain, sqliteChain } from "./sqlite-chains.ts";

/** A table of about this many blocks of 64 KiB. */
function fill(path: string, blocks = 20, journalMode = "wal"): void {
  sql(
    path,
    `PRAGMA journal_mode = ${journalMode};
     CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB);
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${blocks * 16})
     INSERT INTO t SELECT i, randomblob(3800) FROM n`,
  );
}

function sql(path: string, text: string): void {
  const database = new DatabaseSync(path);
  database.exec(text);
  database.close();
}

/** A chain whose file is there, with a full backup taken. */
async function begun(
  o: Parameters<typeof sqliteChain>[0] & { blocks?: number; mode?: string } = {},
): Promise<SqliteChain & { readonly full: Manifest }> {
  const chain = sqliteChain(o);
  fill(chain.path, o.blocks, o.mode);
  return Object.assign(chain, { full: await chain.take() });
}

const rawBytes = ({ artifacts }: Manifest, role: string) =>
  artifacts.find((one) => one.role === role)!.rawBytes;

async function assertRestores(chain: SqliteChain): Promise<void> {
  assert.deepEqual(contentOf(await chain.restore()), contentOf(chain.path));
}

for (const mode of ["wal", "delete"] as const) {
  test(`a chain of 12 under a writer in ${mode} mode restores to each of its states`, async () => {
    await chainUnderWriter(12, mode);
  });
}

describe("an increment of SQLite", () => {
  test("of a file that nobody changed holds no blocks, and restores", async () => {
    const chain = await begun();
    const next = await chain.take();
    assert.deepEqual([next.kind, rawBytes(next, "log")], ["incremental", 1024]);
    await assertRestores(chain);
  });

  test("costs what the change is: the blocks that differ, and their digests", async () => {
    const chain = await begun({ blocks: 100 });
    sql(chain.path, "UPDATE t SET content = randomblob(3800) WHERE id BETWEEN 100 AND 110");
    const next = await chain.take();
    assert.equal(next.kind, "incremental");
    assert.ok(rawBytes(next, "log") < 20 * 4_096, String(rawBytes(next, "log")));
    assert.ok(rawBytes(next, "digests") < 400, String(rawBytes(next, "digests")));
    assert.ok(rawBytes(chain.full, "dump") > 100 * 65_536);
    await assertRestores(chain);
  });

  test("holds single pages where rows far from one another change", async () => {
    const chain = await begun({ blocks: 100 });
    sql(chain.path, "UPDATE t SET content = randomblob(3800) WHERE id % 20 = 3");
    const next = await chain.take();
    assert.ok(rawBytes(next, "log") < 90 * 5_000, String(rawBytes(next, "log")));
    await assertRestores(chain);
  });

  for (const pageBytes of [512, 1024, 65_536]) {
    test(`follows pages of ${pageBytes} bytes`, async () => {
      const chain = sqliteChain();
      sql(chain.path, `PRAGMA page_size = ${pageBytes}`);
      fill(chain.path, 5, "delete");
      sql(chain.path, `PRAGMA page_size = ${pageBytes}; VACUUM`);
      await chain.take();
      sql(chain.path, "UPDATE t SET content = randomblob(3800) WHERE id % 20 = 3");
      assert.equal((await chain.take()).kind, "incremental");
      sql(chain.path, "DELETE FROM t WHERE id > 10");
      assert.equal((await chain.take()).kind, "incremental");
      await assertRestores(chain);
    });
  }

  test("follows a file that shrinks and grows again", async () => {
    const chain = await begun({ blocks: 40 });
    sql(chain.path, "PRAGMA auto_vacuum"); // none: pages move by hand alone
    const states: unknown[] = [contentOf(chain.path)];
    const taken = [chain.full];
    const changes = [
      "DELETE FROM t WHERE id > 300",
      "CREATE TABLE more AS SELECT randomblob(3000) AS x FROM t",
      "DROP TABLE more",
      "INSERT INTO t (content) SELECT randomblob(3800) FROM t",
    ];
    for (const change of changes) {
      sql(chain.path, change);
      taken.push(await chain.take());
      states.push(contentOf(chain.path));
    }
    assert.deepEqual(taken.slice(1).map(({ kind }) => kind), Array(4).fill("incremental"));
    for (const [index, { id }] of taken.entries()) {
      assert.deepEqual(contentOf(await chain.restore({ backup: id })), states[index]);
    }
  });

  test("follows a file that auto_vacuum makes shorter", async () => {
    const chain = sqliteChain();
    sql(chain.path, "PRAGMA auto_vacuum = FULL");
    fill(chain.path, 40, "delete");
    const full = await chain.take();
    sql(chain.path, "DELETE FROM t WHERE id % 3 > 0 AND id > 300");
    const next = await chain.take();
    assert.equal(next.kind, "incremental");
    assert.ok(Number(next.position.to?.["bytes"]) < Number(full.position.to?.["bytes"]));
    await assertRestores(chain);
    sql(chain.path, "INSERT INTO t (content) SELECT randomblob(3800) FROM t LIMIT 300");
    assert.equal((await chain.take()).kind, "incremental");
    await assertRestores(chain);
  });

  test("follows an empty file that becomes a database", async () => {
    const chain = sqliteChain();
    sql(chain.path, "VACUUM");
    await chain.take();
    fill(chain.path, 3);
    assert.equal((await chain.take()).kind, "incremental");
    await assertRestores(chain);
  });

  test("goes on when the journal's mode changes", async () => {
    const chain = await begun({ mode: "wal" });
    sql(chain.path, "PRAGMA journal_mode = DELETE; UPDATE t SET content = x'00' WHERE id = 1");
    assert.equal((await chain.take()).kind, "incremental");
    await assertRestores(chain);
  });

  test("goes on when the clock is set back, and restores its newest state", async () => {
    const chain = await begun();
    chain.nowMs -= 300_000;
    sql(chain.path, "UPDATE t SET content = x'00' WHERE id = 1");
    const next = await chain.take();
    assert.equal(next.kind, "incremental");
    assert.deepEqual(contentOf(await chain.restore({ backup: next.id })), contentOf(chain.path));
  });

  test("is taken where there is no key, and restored with it", async () => {
    const chain = await begun({ over: { encryption: { recipients: [alice.recipient] } } });
    sql(chain.path, "UPDATE t SET content = x'00' WHERE id = 1");
    const next = await chain.take();
    assert.equal(next.kind, "incremental", next.strategy?.reason);
    const codecs = Object.fromEntries(
      next.artifacts.map(({ role, codecs }) => [role, codecs.map(({ id }) => id)]),
    );
    assert.deepEqual(codecs, {
      log: ["zstd", "age"],
      digests: ["zstd"],
      inventory: ["zstd", "age"],
    });
    const opened = { keyring: keyring({ identities: [alice.identity] }) };
    assert.deepEqual(contentOf(await chain.restore({}, opened)), contentOf(chain.path));
  });
});

describe("a differential backup of SQLite", () => {
  test("restores with all that was between it and its full one gone", async () => {
    const chain = await begun({ strategy: differential() });
    const between: Manifest[] = [];
    for (let id = 1; id <= 3; id++) {
      sql(chain.path, `UPDATE t SET content = randomblob(3800) WHERE id = ${id * 50}`);
      between.push(await chain.take());
    }
    assert.deepEqual(between.map(({ kind }) => kind), Array(3).fill("differential"));
    for (const one of between.slice(0, -1)) drop(chain, one);
    await assertRestores(chain);
  });
});

function drop(chain: SqliteChain, manifest: Manifest): void {
  const prefix = folderOf(chain.storage, manifest);
  for (const key of [...chain.storage.objects.keys()]) {
    if (key.startsWith(prefix)) chain.storage.objects.delete(key);
  }
}

describe("a full backup is taken instead, and says why,", () => {
  const cases: [what: string, change: (path: string) => void, reason: RegExp][] = [
    [
      "when the file was vacuumed",
      (path) => sql(path, "DELETE FROM t WHERE id % 2 = 0; VACUUM"),
      /^the file was vacuumed, or replaced, since \w{8}: its schema was written anew and \d+ % of/,
    ],
    [
      "when the page size changed",
      (path) => sql(path, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM"),
      /^the page size changed from 4096 to 8192 bytes since \w{8}$/,
    ],
    [
      "when auto_vacuum changed",
      (path) => sql(path, "PRAGMA auto_vacuum = FULL; VACUUM"),
      /^auto_vacuum changed from 0 to 1 since \w{8}$/,
    ],
    [
      "when an older file was put in its place",
      (path) => {
        sql(path, "PRAGMA journal_mode = DELETE");
        rmSync(path);
        fill(path, 2, "delete");
      },
      /^the file was replaced since \w{8}: its (?:schema|change) counter went back from \d+ to \d+$/,
    ],
    [
      "when nearly all of it differs",
      (path) => sql(path, "UPDATE t SET content = randomblob(3800)"),
      /^9\d|100 % of the file differs from \w{8}, so that an increment would save nothing$/,
    ],
  ];
  for (const [what, change, reason] of cases) {
    test(what, async () => {
      const chain = await begun({ blocks: 80 });
      sql(chain.path, "CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO a VALUES (1)");
      assert.equal((await chain.take()).kind, "incremental");
      change(chain.path);
      const { kind, strategy } = await chain.take();
      assert.deepEqual([kind, strategy?.wanted], ["full", "incremental"]);
      assert.match(strategy!.reason, reason);
      await assertRestores(chain);
      sql(chain.path, "INSERT INTO t (content) VALUES (x'01')");
      assert.equal((await chain.take()).kind, "incremental");
      await assertRestores(chain);
    });
  }

  test("when the last one was not taken to be built on", async () => {
    const chain = sqliteChain();
    fill(chain.path);
    const { strategy } = chain.job;
    chain.job = { ...chain.job, strategy: (await import("../../src/strategies/full.ts")).full };
    const full = await chain.take();
    assert.ok(full.artifacts.every(({ role }) => role !== "digests"));
    chain.job = { ...chain.job, strategy };
    const next = await chain.take();
    assert.equal(next.kind, "full");
    assert.equal(
      next.strategy?.reason,
      `${full.id} was taken without what an increment is compared with`,
    );
  });

  test("when the digests of its parent cannot be read", async () => {
    const chain = await begun();
    const prefix = folderOf(chain.storage, chain.full);
    const key = [...chain.storage.objects.keys()].find((key) =>
      key.startsWith(`${prefix}digests-`)
    )!;
    flipBit(chain.storage, key, 100);
    const { kind, strategy } = await chain.take();
    assert.equal(kind, "full");
    assert.match(strategy!.reason, /^the block digests of \w{8} cannot be read: /);
    await assertRestores(chain);
  });
});

test("a kind that is forced and turns out impossible is an error that says why", async () => {
  const chain = await begun({ blocks: 80 });
  sql(chain.path, "UPDATE t SET content = randomblob(3800)");
  const { error } = await chain.run("incremental");
  assert.equal(error?.code, "usage/kind-unsupported");
  assert.match(error!.message, /^Cannot take a backup of kind "incremental": \d+ % of the file/);
});

test("another file with a longer history in its place is never restored wrong", async () => {
  const chain = await begun({ blocks: 10, mode: "delete" });
  const other = `${chain.path}.new`;
  fill(other, 30, "delete");
  sql(other, "CREATE TABLE a (x); CREATE TABLE b (x); DROP TABLE a");
  renameSync(other, chain.path);
  await chain.take();
  await assertRestores(chain);
});

test("a restore in place, and backups that go on after it, restore to each state", async () => {
  const chain = await begun({ mode: "delete" });
  sql(chain.path, "UPDATE t SET content = x'01' WHERE id = 7");
  const second = await chain.take();
  const then = contentOf(chain.path);
  sql(chain.path, "DELETE FROM t WHERE id > 100");
  await chain.take();
  const restored = await chain.restore({ backup: second.id });
  copyFileSync(restored, chain.path);
  assert.deepEqual(contentOf(chain.path), then);
  sql(chain.path, "UPDATE t SET content = x'02' WHERE id = 8");
  await chain.take();
  await assertRestores(chain);
  assert.deepEqual(contentOf(await chain.restore({ backup: second.id })), then);
});

describe("a chain of SQLite that somebody broke", () => {
  async function ofFive() {
    const chain = await begun();
    const taken = [chain.full];
    const states = [contentOf(chain.path)];
    for (let id = 1; id <= 4; id++) {
      sql(chain.path, `UPDATE t SET content = randomblob(3800) WHERE id = ${id * 60}`);
      taken.push(await chain.take());
      states.push(contentOf(chain.path));
    }
    return { chain, taken, states };
  }
  const keyOf = ({ storage }: SqliteChain, manifest: Manifest, role: string) =>
    [...storage.objects.keys()].find((key) =>
      key.startsWith(`${folderOf(storage, manifest)}${role}-`)
    )!;

  test("by deleting a middle increment restores to before it, and goes on from there", async () => {
    const { chain, taken, states } = await ofFive();
    drop(chain, taken[2]!);
    await assert.rejects(chain.restore({ backup: taken[4]!.id }), {
      code: "verification/broken-chain",
    });
    assert.deepEqual(contentOf(await chain.restore()), states[1]);
    await chain.take();
    await assertRestores(chain);
  });

  test("by damaging a middle increment is an error that names it, at restore and verify", async () => {
    const { chain, taken } = await ofFive();
    flipBit(chain.storage, keyOf(chain, taken[2]!, "log"), 300);
    await assert.rejects(chain.restore({ backup: taken[4]!.id }), { code: /^verification\// });
    const { destinations, database } = chain.job;
    const results = await verifyBackups(
      { destinations, backups: [], isDeep: true, kinds: [database.kind] },
      chain.o,
    );
    const bad = results.filter(({ status }) => status !== "good").map(({ id }) => id);
    assert.ok(bad.includes(taken[2]!.id));
    assert.ok(!bad.includes(taken[0]!.id) && !bad.includes(taken[1]!.id));
  });

  test("by swapping in another chain's blocks is never restored", async () => {
    const [one, other] = [await ofFive(), await ofFive()];
    const [to, from] = [one, other].map(({ chain, taken }) => keyOf(chain, taken[2]!, "log"));
    one.chain.storage.objects.set(to!, other.chain.storage.objects.get(from!)!);
    await assert.rejects(one.chain.restore({ backup: one.taken[4]!.id }), {
      code: /^verification\//,
    });
  });
});

test("--at takes the newest backup at or before the moment", async () => {
  const chain = await begun();
  const then = contentOf(chain.path);
  sql(chain.path, "DELETE FROM t");
  const next = await chain.take();
  const at = new Date(new Date(next.consistentAt).getTime() - 1);
  assert.deepEqual(contentOf(await chain.restore({ at })), then);
});

test("copy brings a chain over whole, and it restores from there", async () => {
  const chain = await begun();
  const taken = [chain.full];
  for (let id = 1; id <= 3; id++) {
    sql(chain.path, `UPDATE t SET content = randomblob(3800) WHERE id = ${id * 60}`);
    taken.push(await chain.take());
  }
  const to = destinationOf("c", memoryStorage({ location: "c" }));
  const sources = chain.job.destinations;
  const results = await copyBackups({ sources, to, wanted: [taken[3]!.id] }, chain.o);
  assert.deepEqual(results.map(({ id }) => id), taken.map(({ id }) => id));
  assert.deepEqual(
    contentOf(await chain.restore({ destinations: [to] })),
    contentOf(chain.path),
  );
});
