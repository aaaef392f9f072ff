/**
 * Measures dbbackup against the plain shell pipeline, on real servers, in one run each.
 *
 *   deno task bench [--gb 1] [--runs 3] [startup] [postgres] [mariadb] [s3]
 *
 * `s3` sends the PostgreSQL dump to a gateway on this machine, against rclone where it is installed.
 *
 * Makes a database of about the given dump size, then prints wall time, ratio and the peak resident
 * memory of dbbackup itself as Markdown. Ratios are what counts: machines differ and drift, so each
 * row is the median of several runs, taken in turn.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { startMariadb } from "../tests/support/mariadb.ts";
import { type PostgresServer, startPostgres } from "../tests/support/postgres.ts";
import { s3Server } from "../tests/support/s3.ts";
import { tempDir } from "../tests/support/workspace.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dbbackup = join(root, "dist", "dbbackup");
const gigabytes = numberArgument("--gb", 1);
const runs = numberArgument("--runs", 3);
const wanted = process.argv.slice(2).filter((word) => /^[a-z][a-z0-9]*$/.test(word));
const folder = tempDir("bench");
// Passwords and URLs with them are in the environment, for this script's own commands are in argv.
const env: Record<string, string | undefined> = {
  ...process.env,
  XDG_STATE_HOME: join(folder, "state"),
};

const made: { postgres?: Promise<PostgresServer> } = {};

/** One row: what it is, how to run it, and which earlier row it is compared with. */
interface Row {
  readonly name: string;
  readonly command: string;
  readonly against?: string;
  /** Undone before each run. */
  readonly reset?: () => void | Promise<void>;
}

interface Measured {
  readonly seconds: number;
  /** Peak resident memory of the dbbackup process, in MiB; undefined for rows without it. */
  readonly peakMib: number | undefined;
}

if (!existsSync(dbbackup)) throw new Error("dist/dbbackup is missing: run deno task build first");
if (isWanted("startup")) await benchStartup();
if (isWanted("postgres")) await benchPostgres();
if (isWanted("mariadb")) await benchMariadb();
if (isWanted("s3")) await benchS3();
process.exit(0);

async function benchStartup(): Promise<void> {
  const times: number[] = [];
  for (let run = 0; run < 20; run++) {
    times.push((await measure(`${dbbackup} --version`)).seconds * 1000);
  }
  console.log(`\n\`dbbackup --version\`: ${median(times).toFixed(0)} ms (with its shell)\n`);
}

/** A PostgreSQL server with the database `bench`; the second call gives the same one. */
function postgres(): Promise<PostgresServer> {
  return made.postgres ??= makePostgres();
}

async function makePostgres(): Promise<PostgresServer> {
  const server = await startPostgres(15, {
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  await server.psql("postgres", "CREATE DATABASE bench");
  const rows = Math.round(gigabytes * 3_400_000);
  await server.psql(
    "bench",
    `CREATE TABLE orders AS
       SELECT g AS id, md5(g::text) AS token, now() - g * interval '1 minute' AS placed_at,
              (g * 7919 % 100000) / 100.0 AS amount,
              'customer ' || g % 50000 AS customer,
              repeat(md5((g % 1000)::text) || ' ordered item ' || g % 977 || ', ', 3) AS note,
              jsonb_build_object('sku', g % 3571, 'qty', g % 9, 'ref', md5((g * 3)::text)) AS line
       FROM generate_series(1::bigint, ${rows}) g;
     ALTER TABLE orders ADD PRIMARY KEY (id);`,
  );
  env["PGPASSWORD"] = server.password;
  return server;
}

/** The command of one of PostgreSQL's tools. */
function postgresTool(server: PostgresServer, tool: string, more: string): string {
  const { binDir, host, port, user } = server;
  return `${binDir}/${tool} -w -h ${host} -p ${port} -U ${user} ${more}`;
}

async function benchPostgres(): Promise<void> {
  const server = await postgres();
  const dump = postgresTool(server, "pg_dump", "-Fc -Z0 bench");
  await benchBackup("PostgreSQL 15", dump, server.url("bench"), "pg_dump");
  const reset = async () => {
    await server.psql("postgres", "DROP DATABASE IF EXISTS back");
    await server.psql("postgres", "DROP DATABASE IF EXISTS ours");
    await server.psql("postgres", "CREATE DATABASE back");
  };
  const restore = postgresTool(server, "pg_restore", "-d back");
  await benchRestore("PostgreSQL 15", restore, server.url("ours"), reset);
}

async function benchS3(): Promise<void> {
  const server = await postgres();
  const gateway = await s3Server();
  const bucket = await gateway.bucket();
  Object.assign(env, gateway.env, {
    BENCH_URL: server.url("bench"),
    AWS_CA_BUNDLE: undefined, // rclone 1.60 fails over it, and the gateway has no TLS
    RCLONE_CONFIG_GATEWAY_TYPE: "s3",
    RCLONE_CONFIG_GATEWAY_PROVIDER: "Other",
    RCLONE_CONFIG_GATEWAY_ENDPOINT: gateway.endpoint,
    RCLONE_CONFIG_GATEWAY_ACCESS_KEY_ID: gateway.accessKeyId,
    RCLONE_CONFIG_GATEWAY_SECRET_ACCESS_KEY: gateway.secretAccessKey,
  });
  const hasRclone = spawnSync("rclone", ["version"]).status === 0;
  const dump = postgresTool(server, "pg_dump", "-Fc -Z0 bench");
  const shell = "tool \\| zstd -3 -T0 \\| rclone rcat";
  const rclone = `${dump} | zstd -q -3 -T0 | rclone rcat -q gateway:${bucket}/shell.zst`;
  const to = `'s3://${bucket}/ours?endpoint=${gateway.endpoint}'`;
  const ours = (codec: string) =>
    `${dbbackup} backup --from env:BENCH_URL --to ${to} --compression ${codec} --json >/dev/null`;
  await table(`PostgreSQL 15 to an S3 gateway, ${gigabytes} GB of dump`, [
    ...hasRclone ? [{ name: shell, command: rclone }] : [],
    {
      name: "dbbackup, zstd",
      command: ours("zstd"),
      ...hasRclone ? { against: shell } : {},
    },
    { name: "dbbackup, not compressed", command: ours("none") },
  ]);
}

async function benchMariadb(): Promise<void> {
  const server = await startMariadb({ settings: { "innodb-buffer-pool-size": "512M" } });
  const rows = Math.round(gigabytes * 3_400_000);
  await server.sql(
    "",
    `CREATE DATABASE bench; USE bench;
     CREATE TABLE orders (id INT PRIMARY KEY, token CHAR(32), placed_at DATETIME, amount DECIMAL(9,2),
       customer VARCHAR(40), note TEXT, line TEXT) ENGINE=InnoDB;
     INSERT INTO orders SELECT seq, MD5(seq), NOW() - INTERVAL seq MINUTE, (seq * 7919 % 100000) / 100,
       CONCAT('customer ', seq % 50000),
       REPEAT(CONCAT(MD5(seq % 1000), ' ordered item ', seq % 977, ', '), 3),
       JSON_OBJECT('sku', seq % 3571, 'qty', seq % 9, 'ref', MD5(seq * 3))
     FROM seq_1_to_${rows};`,
  );
  const login = `--defaults-file=/dev/null -u root --socket=${server.socket}`;
  const tool =
    `mariadb-dump ${login} --single-transaction --quick --routines --events --triggers ` +
    `--hex-blob --no-tablespaces --databases bench`;
  await benchBackup("MariaDB 10.11", tool, server.url("bench"), "sql");
  const restore = `mariadb ${login}`;
  const reset = async () => {
    await server.sql("", "DROP DATABASE IF EXISTS bench; DROP DATABASE IF EXISTS ours;");
  };
  await benchRestore("MariaDB 10.11", restore, server.url("ours"), reset);
}

/** Leaves the last zstd backups behind for the restore: `shell.zst` and the folder `zstd`. */
async function benchBackup(
  title: string,
  tool: string,
  url: string,
  suffix: string,
): Promise<void> {
  env["BENCH_URL"] = url;
  const ours = (codec: string) =>
    `${dbbackup} backup --from env:BENCH_URL --to ${folder}/${codec} --compression ${codec} ` +
    `--json >/dev/null`;
  const clean = (codec: string) => () => {
    rmSync(join(folder, codec), { recursive: true, force: true });
    // A destination is only made where its parent exists, which it does.
  };
  await table(`${title}: backup, ${gigabytes} GB of dump`, [
    { name: `${suffix} tool to nowhere`, command: `${tool} >/dev/null` },
    { name: "tool \\| zstd -3 -T0", command: `${tool} | zstd -q -3 -T0 -f -o ${folder}/shell.zst` },
    { name: "tool \\| gzip", command: `${tool} | gzip >${folder}/shell.gz` },
    {
      name: "dbbackup, zstd",
      command: ours("zstd"),
      against: "tool \\| zstd -3 -T0",
      reset: clean("zstd"),
    },
    {
      name: "dbbackup, gzip",
      command: ours("gzip"),
      against: "tool \\| gzip",
      reset: clean("gzip"),
    },
    {
      name: "dbbackup, zstd, encrypted",
      command: `${dbbackup} backup --from env:BENCH_URL --to ${folder}/age --compression zstd ` +
        `--recipient ${recipient()} --json >/dev/null`,
      against: "dbbackup, zstd",
      reset: clean("age"),
    },
  ]);
}

/** A public key to encrypt to; nothing here reads the backup again. */
function recipient(): string {
  const key = execFileSync(dbbackup, ["key", "new"], { encoding: "utf8" });
  return /age1[0-9a-z]+/.exec(key)![0];
}

async function benchRestore(
  title: string,
  tool: string,
  url: string,
  reset: () => Promise<void>,
): Promise<void> {
  env["BENCH_URL"] = url;
  await table(`${title}: restore`, [
    { name: "zstd -d \\| tool", command: `zstd -qdc ${folder}/shell.zst | ${tool}`, reset },
    {
      name: "dbbackup restore, zstd",
      command:
        `${dbbackup} restore --from ${folder}/zstd --to env:BENCH_URL --yes --json >/dev/null`,
      against: "zstd -d \\| tool",
      reset,
    },
  ]);
}

async function table(title: string, rows: readonly Row[]): Promise<void> {
  const results = new Map<string, Measured[]>(rows.map(({ name }) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const { name, command, reset } of rows) {
      await reset?.();
      results.get(name)!.push(await measure(command));
    }
  }
  console.log(`\n### ${title}\n\n| what | wall | ratio | peak memory of dbbackup |`);
  console.log("| --- | --- | --- | --- |");
  const seconds = (name: string) => median(results.get(name)!.map((one) => one.seconds));
  for (const { name, against } of rows) {
    const ratio = against === undefined
      ? ""
      : `${(seconds(name) / seconds(against)).toFixed(2)}x of ${against}`;
    const peaks = results.get(name)!.flatMap(({ peakMib }) => peakMib ?? []);
    const peak = peaks.length === 0 ? "" : `${Math.max(...peaks).toFixed(0)} MiB`;
    console.log(`| ${name} | ${seconds(name).toFixed(2)} s | ${ratio} | ${peak} |`);
  }
}

/** Runs a shell command; fails when it fails. */
async function measure(command: string): Promise<Measured> {
  const startedMs = performance.now();
  // `exec` where one program is all there is, so that its memory can be read by this process id.
  const isOurs = command.startsWith(dbbackup);
  const child = spawn("bash", ["-o", "pipefail", "-c", isOurs ? `exec ${command}` : command], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  let peakKib = 0;
  const watch = isOurs
    ? setInterval(() => peakKib = Math.max(peakKib, peakOf(child.pid!)), 20)
    : undefined;
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(watch);
  if (code !== 0) {
    throw new Error(`exit status ${code}: ${command.replaceAll(/:[^:@/]+@/g, ":…@")}`);
  }
  return {
    seconds: (performance.now() - startedMs) / 1000,
    peakMib: isOurs ? peakKib / 1024 : undefined,
  };
}

/** The kernel's own high-water mark of a process, in KiB. */
function peakOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function isWanted(name: string): boolean {
  return wanted.length === 0 || wanted.includes(name);
}

function numberArgument(name: string, fallback: number): number {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}
