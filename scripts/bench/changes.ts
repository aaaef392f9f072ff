import { execFileSync } from "node:child_process";
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Kind } from "../../src/contracts/manifest.ts";
import { connectorKinds, kindNamed } from "../../src/registry.ts";
import { mariadbData, postgresData } from "./data.ts";
import { measure, type Measured } from "./measure.ts";

/** A database of about the given size, and changes of 1 % of its rows. */
interface Source {
  readonly title: string;
  readonly database: string;
  /** Rows that lie beside one another. */
  clustered(): Promise<void>;
  /** Every hundredth row. */
  scattered(): Promise<void>;
}

/** What is needed of the bench. */
export interface ChangesBench {
  readonly dbbackup: string;
  readonly folder: string;
  readonly gigabytes: number;
  readonly env: Record<string, string | undefined>;
}

/**
 * After a change of 1 % of a database: time and bytes of a full backup, a differential and an
 * increment, side by side. Of the engines that have them.
 */
export async function benchChanges(o: ChangesBench): Promise<void> {
  for (const [kind, make] of Object.entries(sources)) {
    const { kinds = [] } = kindNamed(kind, connectorKinds) ?? {};
    const jobs = (["differential", "incremental"] as const).filter((job) => kinds.includes(job));
    if (jobs.length > 0) await benchOne(kind, await make(o), jobs, o);
  }
}

const sources: Readonly<Record<string, (o: ChangesBench) => Promise<Source>>> = {
  sqlite: sqliteSource,
  async postgres(o) {
    const server = await postgresData(o.gigabytes);
    return serverSource("PostgreSQL 15", "postgres", server.url("bench"), {
      ...o,
      run: (sql) => server.psql("bench", sql),
    });
  },
  async mariadb(o) {
    const server = await mariadbData(o.gigabytes);
    return serverSource("MariaDB 10.11", "mariadb", server.url("bench"), {
      ...o,
      run: (sql) => server.sql("bench", sql),
    });
  },
};

function serverSource(
  title: string,
  type: string,
  url: string,
  { gigabytes, env, run }: ChangesBench & { readonly run: (sql: string) => Promise<unknown> },
): Source {
  env["BENCH_CHANGES_URL"] = url;
  const update = async (where: string) =>
    void await run(`UPDATE orders SET amount = amount + 1 WHERE ${where}`);
  return {
    title,
    database: `{ type: ${type}, url: "\${BENCH_CHANGES_URL}" }`,
    clustered: () => update(`id BETWEEN 1000 AND ${1000 + gigabytes * 29_000}`),
    scattered: () => update("id % 100 = 7"),
  };
}

/** Numbers, text and blobs, as of the other engines. */
function sqliteSource({ folder, gigabytes }: ChangesBench): Promise<Source> {
  const path = join(folder, "bench.db");
  const rows = Math.round(gigabytes * 2_500_000);
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    CREATE TABLE orders (id INTEGER PRIMARY KEY, token TEXT, placed_at TEXT, amount REAL,
      customer TEXT, note TEXT, line TEXT, content BLOB);
    CREATE INDEX orders_customer ON orders (customer);
  `);
  database.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO orders SELECT i, hex(randomblob(16)), datetime(1.7e9 - i * 60, 'unixepoch'),
       (i * 7919 % 100000) / 100.0, 'customer ' || i % 50000,
       'ordered item ' || i % 977 || ', ordered item ' || i % 3571 || ', as they do it every day',
       json_object('sku', i % 3571, 'qty', i % 9, 'ref', i * 3),
       CASE WHEN i % 20 = 0 THEN randomblob(256) END FROM n`,
  ).run(rows);
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
  const update = (where: string) => {
    const database = new DatabaseSync(path);
    database.exec(`UPDATE orders SET amount = amount + 1 WHERE ${where}`);
    database.close();
    return Promise.resolve();
  };
  return Promise.resolve({
    title: `SQLite, ${(statSync(path).size / 1e9).toFixed(2)} GB`,
    database: `{ type: sqlite, path: ${JSON.stringify(path)} }`,
    clustered: () => update(`id BETWEEN 1000 AND ${1000 + rows / 100}`),
    scattered: () => update("id % 100 = 7"),
  });
}

async function benchOne(
  kind: string,
  source: Source,
  jobs: readonly Kind[],
  o: ChangesBench,
): Promise<void> {
  const home = join(o.folder, `changes-${kind}`);
  const config = `${home}.yaml`;
  writeFileSync(
    config,
    `databases: { bench: ${source.database} }
destinations: { disk: { type: local, path: ${JSON.stringify(home)} } }
defaults: { destinations: [disk], compression: zstd }
jobs:
${jobs.map((job) => `  ${job}: { database: bench, strategy: ${job} }\n`).join("")}`,
    { mode: 0o600 },
  );
  const take = async (job: Kind, more = "") => {
    const command = `${o.dbbackup} backup ${job} --config ${config} ${more} --json ` +
      "--log-level error >/dev/null";
    const measured = await measure(command, o.env);
    return { ...measured, bytes: newestBytes(join(home, job)) };
  };
  const first: Taken[] = [];
  for (const job of jobs) first.push(await take(job));
  const full = first[0]!;
  const rows: [name: string, taken: Taken][] = [["full", full]];
  for (const change of ["clustered", "scattered"] as const) {
    if (change === "scattered") {
      for (const job of jobs) await take(job, "--kind full");
    }
    await source[change]();
    for (const job of jobs) {
      rows.push([`${job}, ${change}`, await take(job)]);
    }
  }
  print(source.title, rows, full);
  rmSync(home, { recursive: true });
}

type Taken = Measured & { readonly bytes: number };

function print(title: string, rows: readonly [string, Taken][], full: Taken): void {
  const percent = (part: number, whole: number) => `${(part / whole * 100).toFixed(1)} %`;
  const lines = rows.map(([name, { wallSeconds, bytes, peakMib }]) =>
    `| ${name} | ${wallSeconds.toFixed(2)} s | ${percent(wallSeconds, full.wallSeconds)} ` +
    `| ${(bytes / 1e6).toFixed(2)} MB | ${percent(bytes, full.bytes)} ` +
    `| ${peakMib?.toFixed(0) ?? "?"} MiB |`
  );
  console.log(
    [
      `\n### ${title}: after a change of 1 % of the rows\n`,
      "| backup | time | of the full | bytes | of the full | peak memory |",
      "| --- | --- | --- | --- | --- | --- |",
      ...lines,
    ].join("\n"),
  );
}

/** All that lies in the newest backup's folder. */
function newestBytes(job: string): number {
  const folders = readdirSync(job).map((name) => join(job, name));
  const newest = folders.toSorted((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs).at(-1)!;
  const out = execFileSync("du", ["-sb", "--apparent-size", newest], { encoding: "utf8" });
  return Number(out.split("\t")[0]);
}
