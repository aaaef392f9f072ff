import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { markName, parseMarkName } from "../../src/catalog/mark-names.ts";
import type { DrillAssertion } from "../../src/config/model.ts";
import { compare } from "../../src/jobs/drill/assertions.ts";
import { drillJob } from "../../src/jobs/drill/drill.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";
import { linesKind, linesState } from "../support/numberedLines.ts";
import { tempDir } from "../support/workspace.ts";
import { folderOf, type SqliteChain, sqliteChain } from "./sqlite-chains.ts";
import { flipBit, marksIn, restoreRequest } from "./support.ts";

/** A chain of a full backup and an increment, and a drill with these assertions. */
async function chained(assertions: readonly DrillAssertion[] = []): Promise<SqliteChain> {
  const chain = sqliteChain({ over: { drill: { assert: assertions } } });
  makeSqlite(chain.path);
  await chain.take();
  const database = new DatabaseSync(chain.path);
  database.exec("INSERT INTO orders (customer) VALUES ('the last one')");
  database.close();
  await chain.take();
  return chain;
}

const prefixes = (
  { storage }: SqliteChain,
) => [...new Set([...storage.objects.keys()].map((key) => key.slice(0, key.lastIndexOf("/") + 1)))];

describe("a drill", () => {
  test("restores the newest chain, asks it, removes it, and marks it with its time", async () => {
    const chain = await chained([
      { sql: "SELECT count(*) FROM orders", equals: 251 },
      { sql: "SELECT customer FROM orders ORDER BY id DESC", equals: "the last one" },
      { sql: "SELECT count(*) FROM orders", atLeast: 100 },
      { sql: "SELECT '2026-11-23 11:30:00'", newerThanMs: 3_600_000 },
      { command: 'test -s "$DBBACKUP_DRILL_TARGET"' },
    ]);
    const before = readdirSync(chain.o.runtime.tempDir).sort();
    const result = await drillJob({ job: chain.job }, chain.o);
    assert.equal(result.error, undefined, result.error?.message);
    assert.deepEqual(result.steps.map(({ what }) => what), [
      "choose",
      "restore",
      "assert",
      "remove",
    ]);
    assert.deepEqual(result.checks.map(({ isMet }) => isMet), Array(5).fill(true));
    assert.equal(result.links, 2);
    assert.deepEqual(readdirSync(chain.o.runtime.tempDir).sort(), before);
    const [full, newest] = prefixes(chain);
    assert.deepEqual(marksIn(chain.storage, full!), []);
    assert.deepEqual(marksIn(chain.storage, newest!), ["drilled"]);

    await drillJob({ job: chain.job }, { ...chain.o });
    assert.deepEqual(marksIn(chain.storage, newest!), ["drilled"], "one is enough");
    const request = restoreRequest(chain.job.destinations, {
      ...chain.job.database,
      options: { path: `${tempDir("drill")}/back.db` },
    });
    const prepared = await prepareRestore(request, chain.o);
    await prepared.close();
    assert.equal(prepared.lastDrill?.fetchedBytes, result.fetchedBytes);
    assert.ok(prepared.lastDrill!.restoreMs > 0);
  });

  test("that finds something else fails, tells all that does not hold, and marks nothing", async () => {
    const chain = await chained([
      { sql: "SELECT count(*) FROM orders", equals: 12 },
      { sql: "SELECT count(*) FROM orders", atLeast: 10 },
      { sql: "SELECT max(id) FROM orders WHERE id < 0", atLeast: 0 },
      { command: "echo no such row >&2; exit 3" },
    ]);
    const { error, checks } = await drillJob({ job: chain.job }, chain.o);
    assert.equal(error?.code, "verification/drill");
    assert.equal(
      error?.message,
      "3 assertions of 4 did not hold: SELECT count(*) FROM orders: 251 instead of 12; " +
        "SELECT max(id) FROM orders WHERE id < 0: nothing instead of at least 0; " +
        "echo no such row >&2; exit 3: exited 3: no such row",
    );
    assert.equal(checks.filter(({ isMet }) => isMet).length, 1);
    assert.deepEqual(prefixes(chain).flatMap((prefix) => marksIn(chain.storage, prefix)), []);
  });

  test("of a damaged chain fails and leaves nothing behind", async () => {
    const chain = await chained();
    const [, newest] = prefixes(chain);
    const key = [...chain.storage.objects.keys()].find((key) => key.startsWith(`${newest}log-`))!;
    flipBit(chain.storage, key, 200);
    const before = readdirSync(chain.o.runtime.tempDir).sort();
    const { error } = await drillJob({ job: chain.job }, chain.o);
    assert.match(error!.code, /^verification\//);
    assert.deepEqual(readdirSync(chain.o.runtime.tempDir).sort(), before);
  });

  test("says which query cannot be run", async () => {
    const chain = await chained([{ sql: "SELECT * FROM ordres", equals: 1 }]);
    const { error } = await drillJob({ job: chain.job }, chain.o);
    assert.equal(error?.code, "restore/drill");
    assert.match(error!.message, /"SELECT \* FROM ordres": no such table: ordres/);
  });

  test("of a kind that has none is refused", async () => {
    const chain = await chained();
    const kind = linesKind(linesState());
    const job = { ...chain.job, database: { ...chain.job.database, kind } };
    const { error } = await drillJob({ job }, chain.o);
    assert.equal(error?.code, "usage/no-drill");
  });

  test("takes a differential or full backup alone as well", async () => {
    const chain = sqliteChain();
    makeSqlite(chain.path);
    const full = await chain.take();
    const { error, links } = await drillJob({ job: chain.job }, chain.o);
    assert.deepEqual([error, links], [undefined, 1]);
    assert.deepEqual(marksIn(chain.storage, folderOf(chain.storage, full)), ["drilled"]);
  });
});

test("an assertion compares what databases give as people mean it", () => {
  const now = new Date("2026-11-23T12:00:00Z");
  const holds = (assertion: Exclude<DrillAssertion, { command: string }>, found: unknown) =>
    compare(assertion, found as string, now).isMet;
  const sql = "";
  const hour = { sql, newerThanMs: 3_600_000 };
  const cases: [
    assertion: Exclude<DrillAssertion, { command: string }>,
    found: unknown,
    boolean,
  ][] = [
    [{ sql, equals: 3 }, "3", true],
    [{ sql, equals: 3 }, 3n, true],
    [{ sql, equals: 3 }, null, false],
    [{ sql, equals: 0 }, null, false],
    [{ sql, equals: 0 }, "", false],
    [{ sql, equals: "3" }, 3, true],
    [{ sql, equals: true }, 1, true],
    [{ sql, equals: false }, 0, true],
    [{ sql, equals: true }, false, false],
    [{ sql, atLeast: 5 }, 5n, true],
    [{ sql, atLeast: 5 }, "4.9", false],
    [{ sql, atLeast: 0 }, null, false],
    [{ sql, atLeast: 0 }, "many", false],
    [hour, "2026-11-23 11:30:00", true],
    [hour, "2026-11-23T12:30:00+01:00", true],
    [hour, "2026-11-23 11:30:00.123456+00", true],
    [hour, "2026-11-23 10:30:00", false],
    [hour, new Date("2026-11-23T11:30:00Z"), true],
    [hour, now.getTime() / 1000 - 60, true],
    [hour, now.getTime() - 60_000, true],
    [hour, "yesterday", false],
    [hour, null, false],
    [{ sql, newerThanMs: 2 * 86_400_000 }, "2026-11-22", true],
  ];
  for (const [assertion, found, isMet] of cases) {
    assert.equal(holds(assertion, found), isMet, `${JSON.stringify(assertion)}: ${String(found)}`);
  }
});

test("a drill's mark carries its figures, and one with more is read, too", () => {
  const at = new Date("2026-11-24T04:00:00Z");
  const mark = { type: "drilled", at, restoreMs: 7200, fetchedBytes: 1024 } as const;
  assert.equal(markName(mark), "drilled-20261124T040000Z_t7200_b1024");
  assert.deepEqual(parseMarkName(markName(mark)), mark);
  assert.deepEqual(parseMarkName(`${markName(mark)}_x7`), mark);
  for (const name of ["drilled-20261124T040000Z", "drilled-x_t1_b2", "drilled-_t1_b2"]) {
    assert.equal(parseMarkName(name), undefined, name);
  }
});
