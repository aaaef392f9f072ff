/**
 * The one gate: format, lint, types, import direction, build, tests. Stops at the first that fails.
 *
 *   bun scripts/test.ts [PATH …]     arguments go to `bun test`
 *
 * Prints last `N passed, N failed, N skipped`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bun = process.execPath;

step("format", "deno", ["fmt", "--check"]);
step("lint", "deno", ["lint"]);
step("types", "deno", ["check", "main.ts", "src", "scripts", "tests", "config"]);
step("imports", bun, ["scripts/check-imports.ts"]);
step("build", bun, ["scripts/build.ts", "--this"]);

const folder = mkdtempSync(join(tmpdir(), "dbbackup-report-"));
const report = join(folder, "junit.xml");
const tests = process.argv.slice(2);
const run = spawnSync(bun, [
  "test",
  "--timeout",
  "120000",
  "--reporter=junit",
  `--reporter-outfile=${report}`,
  ...(tests.length > 0 ? tests : ["./tests"]),
], { cwd: root, stdio: "inherit" });
const counts = readCounts(report);
rmSync(folder, { recursive: true, force: true });
const passed = counts.tests - counts.failures - counts.skipped;
console.log(`${passed} passed, ${counts.failures} failed, ${counts.skipped} skipped`);
process.exit(run.status === 0 && counts.tests > 0 ? 0 : run.status || 1);

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

/** The totals of a JUnit report: those of its root element. */
function readCounts(path: string): { tests: number; failures: number; skipped: number } {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return { tests: 0, failures: 1, skipped: 0 };
  }
  const head = /<testsuites\b[^>]*>/.exec(text)?.[0] ?? "";
  const read = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  return {
    tests: read("tests"),
    failures: read("failures") + read("errors"),
    skipped: read("skipped"),
  };
}
