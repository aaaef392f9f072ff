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
import { shellQuote } from "../src/core/text.ts";
import { s3Server } from "../tests/support/s3.ts";
import { tempDir } from "../tests/support/workspace.ts";
import { measure, type Measured } from "./bench/measure.ts";

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
await makeBackups();

console.log(`${backups} backups\n\n| | wall | CPU | peak memory |\n|---|---|---|---|`);
for (const [name, from] of [["local", place], ["S3", s3]] as const) {
  rmSync(state, { recursive: true, force: true });
  await row(`list, ${name}, cold`, ["list", "--from", from]);
  await row(`list, ${name}, warm`, ["list", "--from", from]);
  rmSync(state, { recursive: true, force: true });
  await row(`list --json, ${name}, cold`, ["list", "--json", "--from", from]);
  await row(`list --json, ${name}, warm`, ["list", "--json", "--from", from]);
  rmSync(state, { recursive: true, force: true });
  await row(`verify, ${name}, cold`, ["verify", "--from", from]);
  await row(`verify, ${name}, warm`, ["verify", "--from", from]);
}
process.exit(0);

/** One real backup, and as many more as were asked for: an hour apart, the last one now. */
async function makeBackups(): Promise<void> {
  const database = new Database(join(folder, "app.db"));
  for (let table = 0; table < 12; table++) {
    database.exec(`CREATE TABLE t${table}(id INTEGER PRIMARY KEY, name TEXT)`);
  }
  database.close();
  await run(["backup", "--from", `sqlite:${join(folder, "app.db")}`, "--to", s3]);
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

async function row(name: string, args: readonly string[]): Promise<void> {
  const { wallSeconds, cpuSeconds, peakMib } = await run(args);
  console.log(
    `| ${name} | ${wallSeconds.toFixed(1)} s | ${cpuSeconds.toFixed(1)} s | ${
      peakMib?.toFixed(0)
    } MiB |`,
  );
}

function run(args: readonly string[]): Promise<Measured> {
  const command = [dbbackup, ...args, "--log-level", "error"].map(shellQuote).join(" ");
  return measure(command, { ...process.env, ...server.env, XDG_STATE_HOME: state });
}

function numberArgument(name: string, otherwise: number): number {
  const index = process.argv.indexOf(name);
  return index < 0 ? otherwise : Number(process.argv[index + 1]);
}
