import assert from "node:assert/strict";
import { describe } from "node:test";
import { adHocJob, databaseFromUrl } from "../../src/config/adhoc.ts";
import type { DrillAssertion, JobDefinition } from "../../src/config/model.ts";
import { drillJob } from "../../src/jobs/drill/drill.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { connectorKinds } from "../../src/registry.ts";
import type { Strategy } from "../../src/contracts/strategy.ts";
import { full } from "../../src/strategies/full.ts";
import { incremental } from "../../src/strategies/incremental.ts";
import { startMariadb } from "../support/mariadb.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { needs } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { contextOf, destinationOf } from "./support.ts";

/** A job of a database, backed up once. */
async function backedUp(
  url: string,
  toolsDir: string,
  drill: readonly DrillAssertion[],
  strategy: Strategy = full,
) {
  const database = databaseFromUrl(url, connectorKinds);
  const options = { ...database.options as object, toolsDir };
  const job: JobDefinition = {
    ...adHocJob({ ...database, options }, [destinationOf("a", memoryStorage())], {
      name: "shop",
      accept: [],
    }),
    drill: { assert: drill },
    strategy,
  };
  const o = contextOf();
  const result = await runBackup(job, o);
  assert.equal(result.status, "success", result.error?.message);
  return { job, o };
}

const assertions: readonly DrillAssertion[] = [
  { sql: "SELECT count(*) FROM orders", equals: 3 },
  { sql: "SELECT max(placed_at) FROM orders", newerThanMs: 3_600_000 },
  { command: 'test -n "$DBBACKUP_DRILL_TARGET"' },
];

describe("a drill on a server", () => {
  needs("postgres15")("restores PostgreSQL into a database of its own, and drops it", async () => {
    const server = await startPostgres(15);
    await server.psql("postgres", "CREATE DATABASE shop");
    await server.psql(
      "shop",
      "CREATE TABLE orders (id int, placed_at timestamptz DEFAULT now()); " +
        "INSERT INTO orders VALUES (1), (2), (3)",
    );
    const psql = `"${server.binDir}/psql" -w -Atc "SELECT count(*) FROM orders" | grep -qx 3`;
    const { job, o } = await backedUp(server.url("shop"), server.binDir, [
      ...assertions,
      { command: psql },
    ]);
    await server.psql("shop", "DELETE FROM orders");
    const names = () => server.psql("postgres", "SELECT datname FROM pg_database ORDER BY 1");
    const before = await names();
    const result = await drillJob({ job }, o);
    assert.equal(result.error, undefined, result.error?.message);
    assert.match(result.location!, /^database shop_drill_\w{8} at 127\.0\.0\.1:\d+$/);
    assert.equal(await names(), before);

    const wrong = { ...job, drill: { assert: [{ sql: "SELECT 1 FROM ordres", equals: 1 }] } };
    const { error } = await drillJob({ job: wrong }, o);
    assert.equal(error?.code, "restore/drill");
    assert.match(error!.message, /relation "ordres" does not exist/);
    assert.equal(await names(), before);
  });

  needs("postgres15")("restores a chain of PostgreSQL, changes and all, and drops it", async () => {
    const server = await startPostgres(15, { settings: { max_slot_wal_keep_size: "1GB" } });
    await server.psql("postgres", "CREATE DATABASE shop");
    await server.psql("shop", "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)");
    const { job, o } = await backedUp(
      server.url("shop"),
      server.binDir,
      [{ sql: "SELECT count(*) FROM orders", equals: 2 }],
      incremental(),
    );
    await server.psql("shop", "INSERT INTO orders VALUES (2)");
    assert.equal((await runBackup(job, o)).manifest?.kind, "incremental");
    const { error, links } = await drillJob({ job }, o);
    assert.equal(error, undefined, error?.message);
    assert.equal(links, 2);
    const names = await server.psql("postgres", "SELECT datname FROM pg_database ORDER BY 1");
    assert.doesNotMatch(names, /drill/);
  });

  needs("mariadb")("restores MariaDB into a database of its own, and drops it", async () => {
    const server = await startMariadb();
    await server.sql(
      "",
      "CREATE DATABASE shop; USE shop; " +
        "CREATE TABLE orders (id int, placed_at timestamp DEFAULT now()); " +
        "INSERT INTO orders (id) VALUES (1), (2), (3)",
    );
    const { job, o } = await backedUp(server.url("shop"), server.binDir, assertions);
    const names = () => server.sql("", "SHOW DATABASES");
    const before = await names();
    const result = await drillJob({ job }, o);
    assert.equal(result.error, undefined, result.error?.message);
    assert.match(result.location!, /^database shop_drill_\w{8} at /);
    assert.deepEqual(await names(), before);

    await server.sql("shop", "CREATE EVENT tick ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders");
    assert.equal((await runBackup(job, o)).status, "success");
    const { error } = await drillJob({ job }, o);
    assert.equal(error?.code, "restore/drill");
    assert.match(
      error!.message,
      /has the event "tick", which would run in the database of a drill/,
    );
    assert.deepEqual(await names(), before);
  });
});
