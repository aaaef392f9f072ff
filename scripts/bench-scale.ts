/**
 * Measures the commands that look at many backups, on a folder and on S3, cold and warm.
 *
 *   deno task bench:scale [--backups 10000]
 *
 * Makes one backup with `dist/dbbackup`, then the others from it, as an hourly job would have left
 * them. Prints wall time, CPU time and the peak resident memory of dbbackup as Markdown.
 */
import { Database } from "bun:sqlite";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { folderOf, manifestText, sha256Of } from "../src/catalog/manifest.ts";
import { newBackupId } from "../src/catalog/names.ts";
import { parseSealName, sealName, sealText } from "../src/catalog/seal.ts";
import type { Manifest } from "../src/contracts/manifest.ts";
import { s3Server } from "../tests/support/s3.ts";
import { tempDir } from "../tests/support/workspace.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dbbackup = join(root, "dist", "dbbackup");
const backups = numberArgument("--backups", 10_000);
const folder = tempDir("bench-scale");
const state = join(folder, "state");

if (!existsSync(dbbackup)) throw new Error("dist/dbbackup is missing: run deno task build first");
const server = await s3Server();
const bucket = await server.bucket();
const place = join(server.dataFolder, bucket);
const s3 = `s3://${bucket}?endpoint=${server.endpoint}`;
makeBackups();

console.log(`${backups} backups\n\n| | wall | CPU | peak memory |\n|---|---|---|---|`);
for (const [name, from] of [["local", place], ["S3", s3]] as const) {
  rmSync(state, { recursive: true, force: true });
  row(`list, ${name}, cold`, ["list", "--from", from]);
  row(`list, ${name}, warm`, ["list", "--from", from]);
  rmSync(state, { recursive: true, force: true });
  row(`list --json, ${name}, cold`, ["list", "--json", "--from", from]);
  row(`list --json, ${name}, warm`, ["list", "--json", "--from", from]);
  rmSync(state, { recursive: true, force: true });
  row(`verify, ${name}, cold`, ["verify", "--from", from]);
  row(`verify, ${name}, warm`, ["verify", "--from", from]);
}
process.exit(0);

/** One real backup, and as many more as were asked for: an hour apart, the last one now. */
function makeBackups(): void {
  const database = new Database(join(folder, "app.db"));
  for (let table = 0; table < 12; table++) {
    database.exec(`CREATE TABLE t${table}(id INTEGER PRIMARY KEY, name TEXT)`);
  }
  database.close();
  run(["backup", "--from", `sqlite:${join(folder, "app.db")}`, "--to", s3]);
  const job = "app";
  const first = readdirSync(join(place, job))[0]!;
  const names = readdirSync(join(place, job, first));
  const seal = names.find((name) => parseSealName(name) !== undefined)!;
  const original: Manifest = JSON.parse(
    readFileSync(join(place, job, first, "manifest.json"), "utf8"),
  );
  const took = Date.parse(original.finishedAt) - Date.parse(original.startedAt);
  for (let number = 1; number < backups; number++) {
    const startedMs = Date.parse(original.startedAt) - number * 3_600_000;
    const manifest: Manifest = {
      ...original,
      id: newBackupId((count) => crypto.getRandomValues(new Uint8Array(count))),
      startedAt: new Date(startedMs).toISOString(),
      finishedAt: new Date(startedMs + took).toISOString(),
      consistentAt: new Date(startedMs).toISOString(),
    };
    const bytes = new TextEncoder().encode(manifestText(manifest));
    const sha256 = sha256Of(bytes);
    const ownSeal = sealName({ manifest, bytes, sha256 });
    const target = join(place, folderOf(manifest));
    // With the attributes in which the gateway keeps what it knows of an object.
    spawnSync("cp", ["-r", "--preserve=all", join(place, job, first), target]);
    renameSync(join(target, seal), join(target, ownSeal));
    writeFileSync(join(target, ownSeal), sealText(sha256));
    writeFileSync(join(target, "manifest.json"), bytes);
  }
}

function row(name: string, args: readonly string[]): void {
  const { seconds, cpuSeconds, peakMib } = run(args);
  console.log(
    `| ${name} | ${seconds.toFixed(1)} s | ${cpuSeconds.toFixed(1)} s | ${peakMib} MiB |`,
  );
}

function run(args: readonly string[]) {
  const report = join(folder, "time");
  const startedMs = performance.now();
  const { status, stderr } = spawnSync("/usr/bin/time", [
    "-f",
    "%e %U %S %M",
    "-o",
    report,
    dbbackup,
    ...args,
  ], {
    cwd: folder,
    env: { ...process.env, ...server.env, XDG_STATE_HOME: state },
    stdio: ["ignore", "ignore", "pipe"],
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`${args[0]} ended with ${status}: ${stderr}`);
  const [, user, system, kib] = readFileSync(report, "utf8").trim().split(" ").map(Number);
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: user! + system!,
    peakMib: Math.round(kib! / 1024),
  };
}

function numberArgument(name: string, otherwise: number): number {
  const index = process.argv.indexOf(name);
  return index < 0 ? otherwise : Number(process.argv[index + 1]);
}
