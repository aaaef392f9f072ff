/**
 * Measures dbbackup against the plain shell pipeline, on real servers, in turn.
 *
 *   deno task bench [--gb 1] [--runs 3] [--minutes 10] [startup] [postgres] [mariadb] [s3]
 *   deno task bench [--gb 1] changes
 *
 * `s3` sends the PostgreSQL dump to a gateway on this machine, against rclone where it is installed.
 *
 * `changes` puts a full backup, a differential and an increment after a change of 1 % side by side, for
 * the engines that have them.
 *
 * Makes a database of about the given dump size, then prints as Markdown, as medians of several runs:
 * wall time; CPU time of the program and of the tools that it starts, without the server's; both as
 * ratios to the pipeline; the peak resident memory of dbbackup itself; and beside them what has to be
 * reached. Ratios are what counts: machines differ and drift. At the end, the same in short, as the
 * README has it. Once the minutes are over, every row still has one run.
 *
 * The pipeline is the plain one. What dbbackup does beyond it is in its figures, too: it syncs what it
 * stores to the disk, keeps digests and an inventory, and after a restore compares what came with the
 * inventory, table by table; how long counting the rows takes by itself is a row of its own.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { PostgresServer } from "../tests/support/postgres.ts";
import { s3Server } from "../tests/support/s3.ts";
import { tempDir } from "../tests/support/workspace.ts";
import { benchChanges } from "./bench/changes.ts";
import { mariadbData, postgresData } from "./bench/data.ts";
import { measure, median } from "./bench/measure.ts";
import { type Limits, type Row, type RowResult, summary, table } from "./bench/table.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dbbackup = join(root, "dist", "dbbackup");
const gigabytes = numberArgument("--gb", 1);
const rounds = numberArgument("--runs", 3);
const endsAt = Date.now() + numberArgument("--minutes", 10) * 60_000;
const wanted = process.argv.slice(2).filter((word) => /^[a-z][a-z0-9]*$/.test(word));
const folder = tempDir("bench");
// Passwords and URLs with them are in the environment, for this script's own commands are in argv.
const env: Record<string, string | undefined> = {
  ...process.env,
  XDG_STATE_HOME: join(folder, "state"),
};

const memory: Limits = { peakMib: 110 };
const local: Limits = { wall: 1.05, cpu: 1.2, ...memory };
const remote: Limits = { ...local, peakMib: 150 };

// What a restore compares with the inventory.
const counts = ["orders", "files"].map((table) => `SELECT count(*) FROM ${table}`);

const results: RowResult[] = [];
const made: { postgres?: Promise<PostgresServer> } = {};

if (!existsSync(dbbackup)) throw new Error("dist/dbbackup is missing: run deno task build first");
if (isWanted("startup")) await benchStartup();
if (isWanted("postgres")) await benchPostgres();
if (isWanted("mariadb")) await benchMariadb();
if (isWanted("s3")) await benchS3();
if (wanted.includes("changes")) await benchChanges({ dbbackup, folder, gigabytes, env });
else summary(results);
process.exit(0);

async function benchStartup(): Promise<void> {
  const times: number[] = [];
  for (let run = 0; run < 20; run++) {
    times.push((await measure(`${dbbackup} --version`, env)).wallSeconds * 1000);
  }
  console.log(`\n\`dbbackup --version\`: ${median(times).toFixed(0)} ms\n`);
}

/** A PostgreSQL server with the database `bench`; the second call gives the same one. */
function postgres(): Promise<PostgresServer> {
  return made.postgres ??= postgresData(gigabytes).then((server) => {
    env["PGPASSWORD"] = server.password;
    return server;
  });
}

/** The command of one of PostgreSQL's tools. */
function postgresTool(server: PostgresServer, tool: string, more: string): string {
  const { binDir, host, port, user } = server;
  return `${binDir}/${tool} -w -h ${host} -p ${port} -U ${user} ${more}`;
}

async function benchPostgres(): Promise<void> {
  const server = await postgres();
  const dump = postgresTool(server, "pg_dump", "-Fc -Z0 bench");
  await benchBackup("PostgreSQL 15", dump, server.url("bench"));
  await benchVerify("PostgreSQL 15", `${server.binDir}/pg_restore -f /dev/null`);
  const reset = async () => {
    await server.psql("postgres", "DROP DATABASE IF EXISTS back");
    await server.psql("postgres", "DROP DATABASE IF EXISTS ours");
    await server.psql("postgres", "CREATE DATABASE back");
    // What one run leaves to be written is not the next one's.
    await server.psql("postgres", "CHECKPOINT");
  };
  const restore = postgresTool(server, "pg_restore", "-d back");
  const count = postgresTool(
    server,
    "psql",
    `-d ours ${counts.map((sql) => `-c "${sql}"`).join(" ")}`,
  );
  await benchRestore("PostgreSQL 15", { restore, count }, server.url("ours"), reset);
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
    `${dbbackup} backup --from env:BENCH_URL --to ${to} --compression ${codec} --json --log-level error >/dev/null`;
  await print(`PostgreSQL 15 to an S3 gateway, ${gigabytes} GB of dump`, [
    ...hasRclone ? [{ name: shell, command: rclone }] : [],
    {
      name: "dbbackup, zstd",
      command: ours("zstd"),
      ...hasRclone ? { against: shell } : {},
      limits: remote,
    },
    { name: "dbbackup, not compressed", command: ours("none"), limits: remote },
  ]);
}

async function benchMariadb(): Promise<void> {
  const server = await mariadbData(gigabytes);
  const login = `--defaults-file=/dev/null -u root --socket=${server.socket}`;
  const tool =
    `mariadb-dump ${login} --single-transaction --quick --routines --events --triggers ` +
    `--hex-blob --no-tablespaces --databases bench`;
  await benchBackup("MariaDB 10.11", tool, server.url("bench"));
  await benchVerify("MariaDB 10.11");
  const restore = `mariadb ${login}`;
  const reset = async () => {
    await server.sql("", "DROP DATABASE IF EXISTS bench; DROP DATABASE IF EXISTS ours;");
  };
  const count = `mariadb ${login} ours -e "${counts.join("; ")}"`;
  await benchRestore("MariaDB 10.11", { restore, count }, server.url("ours"), reset);
}

/** Leaves the last zstd backups behind: `shell.zst` and the folder `zstd`. */
async function benchBackup(title: string, tool: string, url: string): Promise<void> {
  env["BENCH_URL"] = url;
  const ours = (codec: string, more = "") =>
    `${dbbackup} backup --from env:BENCH_URL --to ${folder}/${codec}${more && "-age"} ` +
    `--compression ${codec} ${more} --json --log-level error >/dev/null`;
  const clean = (name: string) => () => {
    rmSync(join(folder, name), { recursive: true, force: true });
    // A destination is only made where its parent exists, which it does.
  };
  const zstd = "tool \\| zstd -3 -T0";
  const gzip = "tool \\| gzip";
  // What is compared follows each other.
  await print(`${title}: backup, ${gigabytes} GB of dump`, [
    { name: "tool to nowhere", command: `${tool} >/dev/null`, isOnce: true },
    { name: zstd, command: `${tool} | zstd -q -3 -T0 -f -o ${folder}/shell.zst` },
    {
      name: "dbbackup, zstd",
      command: ours("zstd"),
      against: zstd,
      limits: local,
      reset: clean("zstd"),
    },
    {
      name: "dbbackup, zstd, encrypted",
      command: ours("zstd", `--recipient ${recipient()}`),
      against: "dbbackup, zstd",
      limits: memory,
      reset: clean("zstd-age"),
    },
    { name: gzip, command: `${tool} | gzip >${folder}/shell.gz`, isOnce: true },
    {
      name: "dbbackup, gzip",
      command: ours("gzip"),
      against: gzip,
      limits: local,
      isOnce: true,
      reset: clean("gzip"),
    },
  ]);
}

/** A public key to encrypt to; nothing here reads the backup again. */
function recipient(): string {
  const key = execFileSync(dbbackup, ["key", "new"], { encoding: "utf8" });
  return /age1[0-9a-z]+/.exec(key)![0];
}

/**
 * Against what a shell does for the same checks: the digest of the file, the digest of what it holds,
 * and the engine's own tool where there is one.
 */
async function benchVerify(title: string, tool?: string): Promise<void> {
  const [file, digest] = [`${folder}/shell.zst`, "openssl dgst -sha256"];
  const content = tool === undefined
    ? `zstd -qdc ${file}`
    : `{ zstd -qdc ${file} | tee /dev/fd/3 | ${tool} >&2; } 3>&1 2>/dev/null`;
  const shell = `sha256, zstd -d \\| sha256${tool === undefined ? "" : " and tool"}`;
  await print(`${title}: verify`, [
    { name: shell, command: `${digest} ${file} >/dev/null && ${content} | ${digest} >/dev/null` },
    {
      name: "dbbackup verify --deep, zstd",
      command:
        `${dbbackup} verify --from ${folder}/zstd --deep --json --log-level error >/dev/null`,
      against: shell,
      limits: local,
    },
  ]);
}

async function benchRestore(
  title: string,
  { restore, count }: { readonly restore: string; readonly count: string },
  url: string,
  reset: () => Promise<void>,
): Promise<void> {
  env["BENCH_URL"] = url;
  await print(`${title}: restore`, [
    { name: "zstd -d \\| tool", command: `zstd -qdc ${folder}/shell.zst | ${restore}`, reset },
    {
      name: "dbbackup restore, zstd",
      command:
        `${dbbackup} restore --from ${folder}/zstd --to env:BENCH_URL --yes --json --log-level error >/dev/null`,
      against: "zstd -d \\| tool",
      limits: local,
      reset,
    },
    { name: "of which: counting the rows of each table", command: count },
  ]);
}

async function print(title: string, rows: readonly Row[]): Promise<void> {
  results.push(...await table(title, rows, { rounds, endsAt, env }));
}

function isWanted(name: string): boolean {
  return wanted.length === 0 || wanted.includes(name);
}

function numberArgument(name: string, fallback: number): number {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}
