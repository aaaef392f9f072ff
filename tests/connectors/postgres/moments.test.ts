import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { chooseChain } from "../../../src/catalog/choose-chain.ts";
import { positions } from "../../../src/connectors/postgres/physical/lsn.ts";
import type { RestorableBackup } from "../../../src/contracts/restore.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { restoreChain, takeLink } from "./links.ts";
import { optionsOf } from "./opened.ts";

/** What was there at a moment, or right before a place in the log. */
interface Recorded {
  readonly at: Date;
  /**
   * When it had been seen by others. A commit takes its time first and is in the log a little later: one
   * that another passes in between is after that one, whatever its time says.
   */
  readonly seenAt: Date;
  readonly lsn: string;
  readonly state: string;
}

// As many as there is time for; all of them in `deno task soak`.
const restored = process.env["DBBACKUP_SOAK"] === "1" ? 100 : 10;

const stateQuery = "SELECT count(*), md5(string_agg(l::text, ',' ORDER BY id)), " +
  "(SELECT count(*) FROM pg_tables WHERE tablename LIKE 'extra%') FROM lines l";

/**
 * Makes numbered changes one after the other until it is told to stop: inserts, updates, deletes, DDL,
 * transactions of several statements, and some that are rolled back. Half of the moments are the very
 * milliseconds around a commit.
 */
async function write(
  server: PostgresServer,
  database: string,
  isOver: () => boolean,
): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  const changes = [
    (n: number) => `INSERT INTO lines VALUES (${n}, 'line ${n}', txid_current())`,
    (n: number) =>
      `UPDATE lines SET text = text || '!', tx = txid_current() WHERE id % 7 = ${n % 7}`,
    (n: number) =>
      `CREATE TABLE extra${n} (id int); INSERT INTO extra${n} VALUES (1);
                    INSERT INTO lines VALUES (${n}, 'with ddl', txid_current())`,
    (n: number) =>
      `DELETE FROM lines WHERE id % 11 = ${n % 11};
                    INSERT INTO lines VALUES (${n}, repeat('x', 5000), txid_current())`,
  ];
  for (let n = 1; !isOver(); n++) {
    const change = changes[n % changes.length]!(n);
    // What is rolled back, and what others do, changes nothing here.
    const answer = await server.psql(
      database,
      `BEGIN; DELETE FROM lines; CREATE TABLE gone (id int); ROLLBACK;
       INSERT INTO noise SELECT ${n}, repeat('n', 2000) FROM generate_series(1, 20);
       \\o /dev/null
       SELECT pg_sleep(0.003);
       BEGIN; ${change}; SELECT txid_current() AS tx \\gset
       COMMIT;
       \\o
       SELECT floor(extract(epoch FROM ts) * 1000), ceil(extract(epoch FROM ts) * 1000),
              floor(extract(epoch FROM clock_timestamp()) * 1000), pg_current_wal_insert_lsn()
         FROM pg_xact_commit_timestamp((:tx)::text::xid) ts;
       ${stateQuery};
       SELECT pg_sleep(0.003)`,
    );
    const [numbers = "", state = ""] = answer.split("\n");
    const [before, after, later, lsn = ""] = numbers.split("|");
    const last = recorded.at(-1);
    if (last !== undefined) {
      const at = new Date(Number(before));
      recorded.push({ at, seenAt: at, lsn: last.lsn, state: last.state });
    }
    // In whole milliseconds, a quick server's clock is still before the commit.
    const seenAt = new Date(Math.max(Number(after), Number(later)));
    recorded.push({ at: new Date(Number(after)), seenAt, lsn, state });
    recorded.push({ at: seenAt, seenAt, lsn, state });
  }
  return recorded;
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`moments of PostgreSQL ${version}`, () => {
    test("are restored exactly, out of increments that were taken under load", async () => {
      const server = await startPostgres(version, { settings: { track_commit_timestamp: "on" } });
      const name = await server.createDatabase();
      await server.psql(
        name,
        `CREATE TABLE lines (id int PRIMARY KEY, text text, tx bigint);
         CREATE TABLE noise (id int, text text)`,
      );
      const options = optionsOf(server, name);
      let isOver = false;
      const writing = write(server, name, () => isOver);
      const chain: RestorableBackup[] = [await takeLink(options)];
      for (let taken = 0; taken < 4; taken++) {
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        chain.push(await takeLink(options, chain.at(-1)));
      }
      const end = new Date(chain.at(-1)!.manifest.window!.to);
      isOver = true;
      const all = await writing;
      const from = new Date(chain[0]!.manifest.window!.to);
      const ends = chain.map(({ manifest }) => new Date(manifest.window!.to));
      // A backup commits something of its own right after the moment where it ends, and has all of that
      // millisecond.
      const isPassed = ({ at, seenAt }: Recorded) =>
        ends.some((one) =>
          one.getTime() === at.getTime() ||
          at < seenAt && at.getTime() - 1_000 <= one.getTime() && one <= seenAt
        );
      const inside = all.filter((one) => one.at >= from && one.at <= end && !isPassed(one));
      assert.ok(inside.length > 30, `${inside.length} moments`);
      const reachable = chain.map(({ manifest: { id, parent, position, window } }) => ({
        id,
        parentId: parent?.id,
        consistentAt: new Date(window!.to),
        window: { from: new Date(window!.from), to: new Date(window!.to) },
        position,
      }));
      for (let count = 0; count < restored; count++) {
        const one = inside[Math.floor(count * (inside.length - 1) / (restored - 1))]!;
        // A place instead, now and then.
        const target = count % 5 === 3
          ? { position: positions.parse!(`${one.lsn}@1`), compare: positions.compare }
          : { at: one.at };
        const { chain: links, until } = chooseChain(reachable, target);
        const database = freshName();
        await restoreChain(optionsOf(server, database), chain.slice(0, links.length), until);
        const what = `${count}: ${JSON.stringify(target)}`;
        assert.equal(await server.psql(database, stateQuery), one.state, what);
        await server.psql("postgres", `DROP DATABASE "${database}"`);
      }
      const database = freshName();
      await restoreChain(optionsOf(server, database), chain);
      const last = inside.at(-1)!;
      assert.equal(await server.psql(database, stateQuery), last.state, "the latest");
      await server.stop();
    });
  });
}
