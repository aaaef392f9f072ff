import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { output } from "../../support/run.ts";
import { shared } from "../../support/shared.ts";
import { tempDir } from "../../support/workspace.ts";
import { stopServer } from "../../support/stopped.ts";
import { code, contentOf, dumpOf, optionsOf, restoreTo } from "./opened.ts";

/** A primary with a database "shop", and a standby that streams from it. */
const pair = () =>
  shared("postgres with a standby", async () => {
    const primary = await startPostgres(15);
    await primary.createDatabase("shop");
    await primary.psql(
      "shop",
      `CREATE TABLE t AS SELECT i, repeat('x', 900) FROM generate_series(1, 20000) i;
       CREATE SEQUENCE s; SELECT nextval('s'); SELECT lo_from_bytea(0, 'large')`,
    );
    const dataDir = path.join(tempDir("standby"), "data");
    await output(path.join(primary.binDir, "pg_basebackup"), [
      ...["-h", primary.socketDir, "-p", String(primary.port), "-U", "postgres"],
      ...["-D", dataDir, "-R", "-X", "stream", "-c", "fast"],
    ]);
    const settings = { max_standby_streaming_delay: "500ms" };
    const standby = await startPostgres(15, { dataDir, settings });
    return { primary, standby };
  });

needs("postgres15").describe("a standby of PostgreSQL", () => {
  test("is backed up as its primary is", async () => {
    const { primary, standby } = await pair();
    await caughtUp(primary, standby);
    const backup = await dumpOf(optionsOf(standby, "shop"));
    const target = freshName();
    const { result } = await restoreTo(optionsOf(primary, target), backup);
    assert.deepEqual(result.differences, []);
    assert.equal(await contentOf(primary, target), await contentOf(standby, "shop"));
  });

  test("is no target: that is told before anything is done", async () => {
    const { standby } = await pair();
    const backup = await dumpOf(optionsOf(standby, "shop"));
    await assert.rejects(
      restoreTo(optionsOf(standby, freshName()), backup),
      code("restore/failed", / is a standby, which takes no writes$/),
    );
  });

  test("that has to go on tells what to raise", async () => {
    const { primary, standby } = await pair();
    const query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY public.t %'";
    const dumping = dumpOf(optionsOf(standby, "shop"));
    const refused = assert.rejects(dumping, (error) => {
      code("dump/failed", /due to conflict with recovery/)(error);
      assert.match(String((error as { hint?: string }).hint), /raise max_standby_streaming_delay/);
      return true;
    });
    // The backend of the dump stands in the middle of its table while the primary goes on.
    let pid = "";
    while (pid === "") pid = await standby.psql("postgres", query);
    const stopped = stopServer(Number(pid));
    await primary.psql("shop", "ALTER TABLE t ADD COLUMN more int");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    stopped.goOn();
    await refused;
  });
});

async function caughtUp(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const lsn = await primary.psql("postgres", "SELECT pg_current_wal_lsn()");
  const query = `SELECT pg_last_wal_replay_lsn() >= '${lsn}'`;
  while (await standby.psql("postgres", query) !== "t") {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
