/**
 * The one gate: format, lint, types, import direction, build, tests. Stops at the first that fails.
 *
 *   bun scripts/test.ts [PATH …]     arguments go to `bun test`
 *
 * Prints last each test that failed, with its error, and `N passed, N failed, N skipped`.
 */
import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { failuresOf } from "./failures.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bun = process.execPath;
// Ten times what the longest takes on a machine with two cores.
const groupLimitMs = 60 * 60_000;

step("format", "deno", ["fmt", "--check"]);
step("lint", "deno", ["lint"]);
step("types", "deno", ["check", "main.ts", "src", "scripts", "tests", "config"]);
step("imports", bun, ["scripts/check-imports.ts"]);
step("build", bun, ["scripts/build.ts", "--this"]);

const folder = mkdtempSync(join(tmpdir(), "dbbackup-report-"));
const given = process.argv.slice(2);
const groups = given.length > 0 ? [given] : testGroups();
const totals = { tests: 0, failures: 0, skipped: 0 };
const failures: string[] = [];
let isGood = true;
// Three at a time, also on two cores: most tests wait for a server or a disk half of the time.
await Promise.all([work(), work(), work()]);
rmSync(folder, { recursive: true, force: true });
// The end of a log is what is kept, and looked at.
if (failures.length > 0) console.log(`\n== what failed\n\n${failures.join("\n\n")}\n`);
const passed = totals.tests - totals.failures - totals.skipped;
console.log(`${passed} passed, ${totals.failures} failed, ${totals.skipped} skipped`);
process.exit(isGood && totals.failures === 0 && totals.tests > 0 ? 0 : 1);

async function work(): Promise<void> {
  for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
    const { status, output, counts, failed } = await runTests(group);
    process.stdout.write(output);
    failures.push(...failed);
    totals.tests += counts.tests;
    totals.failures += counts.failures;
    totals.skipped += counts.skipped;
    isGood &&= status === 0;
  }
}

/**
 * What is run in a process of its own: a folder, so that its tests share servers; of those that take
 * longest, a file.
 */
function testGroups(): string[][] {
  const files = readdirSync(join(root, "tests"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts")).sort();
  const groups = new Map<string, string[]>();
  for (const file of files) {
    const key = ["e2e", "jobs"].includes(dirname(file)) ? file : dirname(file);
    groups.set(key, [...groups.get(key) ?? [], `./tests/${file}`]);
  }
  // The longest first, so that none of them is what the end waits for.
  const order = ["connectors", "jobs", "e2e/engines", "e2e"];
  const rank = (key: string) => {
    const index = order.findIndex((start) => key.startsWith(start));
    return index < 0 ? order.length : index;
  };
  return [...groups].sort(([a], [b]) => rank(a) - rank(b)).map(([, paths]) => paths);
}

async function runTests(paths: readonly string[]) {
  const startedMs = performance.now();
  const report = join(mkdtempSync(join(folder, "group-")), "junit.xml");
  const child = spawn(bun, [
    "test",
    "--timeout",
    "120000",
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...paths,
  ], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  let isLate = false;
  const status = await new Promise<number | undefined>((resolve) => {
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
      // What it started may hold its output open.
      resolve(undefined);
    }, groupLimitMs);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve(code ?? undefined);
    });
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const title = paths.length === 1 ? paths[0]! : dirname(paths[0]!);
  const output = Buffer.concat(chunks).toString();
  const text = readReport(report);
  return {
    status,
    output: `\n== ${title} (${seconds} s)\n${output}`,
    counts: readCounts(text),
    failed: failuresOf({ title, status, isLate, output, report: text }),
  };
}

function step(name: string, command: string, args: readonly string[]): void {
  const startedMs = performance.now();
  const result = spawnSync(command, [...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  if (result.status === 0) {
    console.log(`${name}: ok (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
    return;
  }
  process.stdout.write(result.stdout ?? "");
  process.stderr.write(result.stderr ?? String(result.error));
  console.log(`${name}: failed`);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

/** Undefined where a process ended before it wrote one. */
function readReport(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** The totals of a JUnit report: those of its root element. */
function readCounts(report: string | undefined) {
  if (report === undefined) return { tests: 0, failures: 1, skipped: 0 };
  const head = /<testsuites\b[^>]*>/.exec(report)?.[0] ?? "";
  const read = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  return {
    tests: read("tests"),
    failures: read("failures") + read("errors"),
    skipped: read("skipped"),
  };
}
