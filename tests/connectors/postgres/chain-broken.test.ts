import assert from "node:assert/strict";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RestorableBackup } from "../../../src/contracts/restore.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { shared } from "../../support/shared.ts";
import { giveTo, serverUser } from "../../support/user.ts";
import { continuationOf, restoreChain, takeLink } from "./links.ts";
import { code, optionsOf, withConnector } from "./opened.ts";
import { never } from "../../support/runtime.ts";

const slot = "dbbackup_chain";

/** A server of one's own with a database and a full backup. */
async function begun(
  version: 15 | 18,
  settings: Record<string, string> = {},
): Promise<{ server: PostgresServer; name: string; full: RestorableBackup }> {
  const server = await startPostgres(version, { settings });
  const name = await server.createDatabase();
  await server.psql(name, "CREATE TABLE lines AS SELECT generate_series(1, 1000) AS id");
  return { server, name, full: await takeLink(optionsOf(server, name)) };
}

/** Fills segments of the log. */
async function fill(server: PostgresServer, name: string, segments: number) {
  for (let count = 0; count < segments; count++) {
    await server.psql(name, "INSERT INTO lines SELECT 1; SELECT pg_switch_wal(); CHECKPOINT");
  }
}

const plain = (version: 15 | 18) => shared(`a broken chain's ${version}`, () => begun(version));

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(
    `what a chain of PostgreSQL ${version} cannot go on from`,
    () => {
      test("a slot that was dropped, and one that was made anew", async () => {
        const { server, name, full } = await begun(version);
        const options = optionsOf(server, name);
        await server.psql("postgres", `SELECT pg_drop_replication_slot('${slot}')`);
        assert.match((await continuationOf(options, full))!, /slot "dbbackup_chain" is gone$/);
        await fill(server, name, 2);
        await server.psql(
          "postgres",
          `SELECT pg_create_physical_replication_slot('${slot}', true)`,
        );
        assert.match(
          (await continuationOf(options, full))!,
          /keeps the log only from .* made anew/,
        );
        await assert.rejects(takeLink(options, full), code("dump/cannot-continue"));
        // A new full one goes on.
        const again = await takeLink(options);
        assert.equal(await continuationOf(options, again), undefined);
        await server.stop();
      });

      test("a slot that lost its log to max_slot_wal_keep_size", async () => {
        const { server, name, full } = await begun(version, {
          max_slot_wal_keep_size: "64MB",
          max_wal_size: "32MB",
        });
        const options = optionsOf(server, name);
        await fill(server, name, 8);
        assert.match(
          (await continuationOf(options, full))!,
          /lost its log: max_slot_wal_keep_size/,
        );
        const again = await takeLink(options);
        assert.equal(await continuationOf(options, again), undefined);
        await server.stop();
        await server.start({ max_slot_wal_keep_size: "0" });
        await server.psql("postgres", `SELECT pg_drop_replication_slot('${slot}')`);
        await fill(server, name, 4);
        await assert.rejects(
          takeLink(options),
          code("dump/failed", /let go of the log that the backup needs/),
        );
        const slots = await server.psql("postgres", "SELECT slot_name FROM pg_replication_slots");
        assert.equal(slots, "", "none is left that nothing was taken for");
        await server.stop();
      });

      test("another server, by its system identifier", async () => {
        const [one, other] = [await plain(version), await begun(version)];
        const options = optionsOf(other.server, other.name);
        assert.match((await continuationOf(options, one.full))!, /^the server is another one: /);
        await other.server.stop();
      });

      test("a server that was promoted or restored since, by its timeline", async () => {
        const { server, name, full } = await begun(version);
        await server.stop();
        writeFileSync(join(server.dataDir, "recovery.signal"), "");
        await giveTo(serverUser(), join(server.dataDir, "recovery.signal"));
        await server.start({ restore_command: "false" });
        while (await server.psql(name, "SELECT pg_is_in_recovery()") === "t") {
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        const options = optionsOf(server, name);
        const reason = await continuationOf(options, full);
        assert.match(reason!, /^the server is on timeline 2, and .* ended on 1/);
        const again = await takeLink(options);
        await server.psql(name, "INSERT INTO lines VALUES (-5)");
        const chain = [again, await takeLink(options, again)];
        const target = freshName();
        await restoreChain(optionsOf(server, target), chain);
        assert.equal(await server.psql(target, "SELECT min(id) FROM lines"), "-5");
        await server.stop();
      });

      test("older files that were put in the server's place", async () => {
        const { server, name, full } = await begun(version);
        const options = optionsOf(server, name);
        const kept = `${server.dataDir}.kept`;
        await server.stop();
        cpSync(server.dataDir, kept, { recursive: true, preserveTimestamps: true });
        await server.start();
        await fill(server, name, 3);
        const next = await takeLink(options, full);
        await server.stop();
        rmSync(server.dataDir, { recursive: true });
        cpSync(kept, server.dataDir, { recursive: true, preserveTimestamps: true });
        await giveTo(serverUser(), server.dataDir, true);
        await server.start();
        assert.match((await continuationOf(options, next))!, /older files were put in its place$/);
        // Its log has come past the end of the other by now, and looks as if it went on.
        await fill(server, name, 6);
        assert.equal(await continuationOf(options, next), undefined);
        await assert.rejects(
          takeLink(options, next),
          code("dump/cannot-continue", /does not follow what was backed up/),
        );
        await server.stop();
      });

      test("a dump, which no log goes on from", async () => {
        const { server, name } = await plain(version);
        const options = optionsOf(server, name);
        const dump = await takeLink(options, undefined, { isBase: false, isAcknowledged: false });
        assert.match((await continuationOf(options, dump))!, / is a dump, /);
      });

      test("a piece of the log that is not the one that follows is never restored as if it were", async () => {
        const { server, name, full } = await begun(version);
        const options = optionsOf(server, name);
        await fill(server, name, 1);
        const second = await takeLink(options, full);
        await fill(server, name, 1);
        const third = await takeLink(options, second);
        await assert.rejects(
          restoreChain(optionsOf(server, freshName()), [full, third]),
          code("restore/failed", /could be replayed only up to/),
        );
        await server.stop();
      });
    },
  );
}

needs("postgres15").describe("a server that gives no increments", () => {
  test("says so, and why, before anything is taken", async () => {
    const { server, name } = await plain(15);
    await server.psql("postgres", "CREATE ROLE plain LOGIN PASSWORD 'x'");
    const options = {
      ...optionsOf(server, name),
      url: server.url(name, { user: "plain", password: "x" }),
    };
    await withConnector(options, async (connector) => {
      const asked = connector.inspect({ signal: never, job: "chain", isBase: true });
      await assert.rejects(asked, code("usage/kind-unsupported", /does not (let|tell) this user/));
    });
  });

  test("refuses tablespaces and what only a dump can leave out", async () => {
    const { server, name } = await begun(15);
    const options = optionsOf(server, name);
    await assert.rejects(
      takeLink(options, undefined, { settings: { exclude: ["lines"] } }),
      code("usage/kind-unsupported", /^exclude cannot go with increments/),
    );
    const space = `${server.dataDir}.space`;
    cpSync(server.socketDir, space, {
      recursive: true,
      filter: (from) => from === server.socketDir,
    });
    await giveTo(serverUser(), space);
    await server.psql("postgres", `CREATE TABLESPACE far LOCATION '${space}'`);
    await assert.rejects(
      takeLink(options),
      code("usage/kind-unsupported", /in the tablespace far/),
    );
    await server.stop();
  });
});
