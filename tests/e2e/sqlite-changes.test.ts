import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alice } from "../codecs/keys.ts";
import { contentOf } from "../connectors/sqlite/sample.ts";
import { needs } from "../support/needs.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/workspace.ts";
import { fails, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite } from "./support/sqlite.ts";

interface Chained extends Place {
  readonly path: string;
  /** Ids with what the database held, oldest first. */
  readonly taken: { readonly id: string; readonly content: unknown; readonly stdout: string }[];
  take(change?: string): Promise<string>;
}

/** A job with increments, in a folder of its own. */
function chained(name: string, job = "", strategy = "incremental"): Chained {
  const at = place(name);
  const path = join(at.folder, "shop.db");
  makeSqlite(path);
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: sqlite, path: shop.db } }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], strategy: ${strategy}${job} } }
`,
    { mode: 0o600 },
  );
  const taken: Chained["taken"] = [];
  return {
    ...at,
    path,
    taken,
    async take(change) {
      if (change !== undefined) {
        const database = new DatabaseSync(path);
        database.exec(change);
        database.close();
      }
      const { stdout } = await succeeds(at, ["backup", "shop"]);
      taken.push({ id: / as (\w{8}),/.exec(stdout)![1]!, content: contentOf(path), stdout });
      return stdout;
    },
  };
}

const update = "UPDATE orders SET noise = randomblob(4000) WHERE id BETWEEN 20 AND 40";
const shrink = "DELETE FROM orders WHERE id > 50";
const grow = "INSERT INTO orders (customer, noise) SELECT 'new', randomblob(900) FROM orders";

describe("increments of SQLite in the compiled binary", () => {
  test("are taken, listed, shown, verified and restored, each state of them", async () => {
    const at = chained("sqlite-changes");
    assert.match(await at.take(), /full: there is no full backup to build on yet/);
    for (const change of [update, shrink, grow]) {
      await sleep(1_000); // a list shows seconds
      assert.match(await at.take(change), /incremental: the changes since the last backup, \w{8}/);
    }
    await succeeds(at, ["verify", "--deep"]);
    const { stdout } = await succeeds(at, ["list"]);
    assert.equal(stdout.match(/ incr /g)?.length, 3);
    assert.match(stdout, /\n\w{8} +shop +4 moments from \S+ \S+Z to \S+ \S+Z\n/);
    for (const { id, content } of at.taken) {
      const to = join(at.folder, `${id}.db`);
      await succeeds(at, ["restore", id, "--to", `sqlite:${to}`, "--yes"]);
      assert.deepEqual(contentOf(to), content);
    }
    const listed = stdout.split("\n").find((line) => line.includes(at.taken[2]!.id))!.slice(0, 20);
    const then = ["restore", "shop", "--to", "sqlite:then.db", "--yes", "--at", listed];
    const plan = await succeeds(at, then);
    assert.match(plan.stdout, / moment {4}no log is kept: this is the backup that is listed at /);
    assert.match(plan.stdout, / reads {5}3 backups, [\d.]+ [KM]iB to fetch\n {4}full: \w{8}\n/);
    const ids = at.taken.slice(1, 3).map(({ id }) => id).join(", ");
    assert.ok(plan.stdout.includes(`\n    incremental: ${ids}\n`), plan.stdout);
    assert.deepEqual(contentOf(join(at.folder, "then.db")), at.taken[2]!.content);
    const dry = (
      ...more: string[]
    ) => ["restore", "shop", "--to", "sqlite:x.db", ...more, "--dry-run"];
    const future = await succeeds(at, dry("--at", "2100-01-01 00:00:00"), {
      env: { TZ: "Europe/Berlin" },
    });
    assert.match(
      future.stdout,
      / moment {4}2100-01-01 00:00:00\+01:00 by this machine's time zone\n.* moment {4}no log is kept: this is the newest backup at or before 2099-12-31 23:00:00Z/,
    );
    const latest = await succeeds(at, dry("--at", "latest"));
    assert.ok(latest.stdout.includes(`Restore backup ${at.taken.at(-1)!.id}`));
    await fails(at, dry("--at-position", "1"), "usage/no-positions", 2);
    await fails(at, dry("--at", "2001-01-01T00:00:00Z"), "usage/too-early", 2);
    const shown = await succeeds(at, ["show", at.taken[1]!.id]);
    assert.match(shown.stdout, /^databases +shop\.db$/m);
    const swapped = ["restore", at.taken[1]!.id, "--overwrite", "--yes"];
    await succeeds(at, swapped);
    assert.deepEqual(contentOf(at.path), at.taken[1]!.content);
    await at.take(update);
    await succeeds(at, ["restore", "shop", "--to", "sqlite:after.db", "--yes"]);
    assert.deepEqual(contentOf(join(at.folder, "after.db")), contentOf(at.path));
  });

  test("with a key are taken without it", async () => {
    const at = chained("sqlite-changes-key", `, encryption: { recipients: [${alice.recipient}] }`);
    await at.take();
    assert.match(await at.take(update), /incremental: /);
    const identity = join(at.folder, "key.txt");
    writeFileSync(identity, `${alice.identity}\n`, { mode: 0o600 });
    await succeeds(at, ["restore", "shop", "--to", "sqlite:a.db", "--yes", "--identity", identity]);
    assert.deepEqual(contentOf(join(at.folder, "a.db")), contentOf(at.path));
  });
});

describe("verify --drill in the compiled binary", () => {
  const drill = (sql: string) => `, drill: { assert: [{ sql: "${sql}", atLeast: 200 }] }`;

  test("restores and asks; list, show and the plan of a restore tell of it", async () => {
    const at = chained("drill", drill("SELECT count(*) FROM orders"));
    await at.take();
    await at.take(update);
    const { stdout } = await succeeds(at, ["verify", "--drill", "shop"]);
    assert.match(stdout, /^restored {3}shop {2}\w{8}, 2 backups, [\d.]+ [KM]iB fetched$/m);
    assert.match(stdout, /^ {2}into scratch file .*drill\.db, removed$/m);
    for (const step of ["choose", "restore", "assert", "remove"]) {
      assert.match(stdout, new RegExp(`^ {2}${step} +[\\d.]+m?s$`, "m"));
    }
    assert.match(stdout, /^ {2}holds {2}SELECT count\(\*\) FROM orders: 250$/m);
    const id = at.taken.at(-1)!.id;
    const listed = await succeeds(at, ["list"]);
    assert.match(listed.stdout, new RegExp(`^Last drill of shop: ${id}, .*Z, restored in `, "m"));
    const shown = await succeeds(at, ["show", id]);
    assert.match(shown.stdout, /^marks .*drilled .*Z \(restored in [\d.]+m?s\)$/m);
    const plan = ["restore", "shop", "--to", "sqlite:x.db", "--dry-run"];
    assert.match((await succeeds(at, plan)).stdout, / takes {5}about .*, by the drill of .*Z: /);
    assert.deepEqual(readdirSync(at.env["TMPDIR"]!), []);
    const json = (await succeeds(at, ["verify", "--drill", "--json"])).json() as {
      drills: { backup: string; error: unknown }[];
    };
    assert.deepEqual(json.drills.map(({ backup, error }) => [backup, error]), [[id, null]]);
  });

  test("ends with status 7 where an assertion does not hold, and 2 for flags of another check", async () => {
    const at = chained("drill-fails", drill("SELECT count(*) FROM orders WHERE id < 10"));
    await at.take();
    const { stdout, stderr } = await fails(at, ["verify", "--drill"], "verification/drill", 7);
    assert.match(stdout, /^ {2}DOES NOT HOLD {2}SELECT .*: 9 instead of at least 200$/m);
    assert.match(stderr, /The drill of job "shop" failed: 1 assertion of 1 did not hold/);
    assert.doesNotMatch((await succeeds(at, ["list"])).stdout, /drill/i);
    await fails(at, ["verify", "--drill", "--deep"], "usage/drill", 2);
    await fails(at, ["verify", "--drill", "shpo"], "usage/unknown-job", 2);
  });
});

/** Runs the newest backup's RESTORE.txt as it is, in a copy of all folders, without dbbackup. */
async function follow(at: Chained, env: Record<string, string> = {}): Promise<string> {
  const copy = join(tempDir("restore-chain"), "shop");
  cpSync(join(at.folder, "backups", "shop"), copy, { recursive: true });
  const folder = join(copy, readdirSync(copy).find((name) => name.includes(at.taken.at(-1)!.id))!);
  const { code, stdout, stderr } = await run("sh", ["RESTORE.txt"], {
    cwd: folder,
    env: { ...at.env, ...env },
  });
  const text = readFileSync(join(folder, "RESTORE.txt"), "utf8");
  assert.equal(code, 0, `${text}\n${stdout}\n${stderr}`);
  assert.match(stdout, /^restored\.db: OK\n(?:.*\n)*?ok$/m);
  assert.ok(!existsSync(join(folder, "changes")), "nothing is left of the way there");
  return join(folder, "restored.db");
}

describe("RESTORE.txt of a chain of SQLite, run by sh as it is written,", () => {
  for (const codec of ["none", "gzip", "zstd"]) {
    needs("sqlite3", "zstd", "gzip")(`restores it from ${codec}, in several volumes`, async () => {
      const at = chained(`sqlite-chain-${codec}`, `, compression: ${codec}, volumeSize: 40KiB`);
      await at.take();
      for (const change of [update, shrink, grow]) await at.take(change);
      assert.deepEqual(contentOf(await follow(at)), contentOf(at.path));
    });
  }

  needs("sqlite3", "zstd", "age")("restores an encrypted one", async () => {
    const at = chained("sqlite-chain-age", `, encryption: { recipients: [${alice.recipient}] }`);
    await at.take();
    for (const change of [update, shrink]) await at.take(change);
    const identity = join(at.folder, "key.txt");
    writeFileSync(identity, `${alice.identity}\n`, { mode: 0o600 });
    const restored = await follow(at, { AGE_IDENTITY: identity });
    assert.deepEqual(contentOf(restored), contentOf(at.path));
  });

  needs("sqlite3", "gzip")("restores a differential with all others gone", async () => {
    const at = chained("sqlite-chain-diff", "", "differential");
    await at.take();
    for (const change of [update, grow, shrink]) await at.take(change);
    const job = join(at.folder, "backups", "shop");
    for (const { id } of at.taken.slice(1, -1)) {
      rmSync(join(job, readdirSync(job).find((name) => name.includes(`_diff_${id}_`))!), {
        recursive: true,
      });
    }
    await succeeds(at, ["restore", "shop", "--to", "sqlite:a.db", "--yes"]);
    assert.deepEqual(contentOf(join(at.folder, "a.db")), contentOf(at.path));
    assert.deepEqual(contentOf(await follow(at)), contentOf(at.path));
  });
});
