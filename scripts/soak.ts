/**
 * Real and large schemas through the compiled binary: what takes too long for `scripts/test.ts`.
 *
 *   bun scripts/soak.ts [ENGINE …]     all of tests/soak/*.soak.ts, or those of these engines
 *
 * Needs what scripts/servers installs, and a Debian mirror for source packages.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const ending = ".soak.ts";
const engines = readdirSync(join(root, "tests", "soak"))
  .filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length));
const wanted = process.argv.length > 2 ? process.argv.slice(2) : engines;
const unknown = wanted.find((name) => !engines.includes(name));
if (unknown !== undefined) {
  console.error(`soak: no "${unknown}"; there are ${engines.join(", ")}`);
  process.exit(2);
}
const bun = process.execPath;
const steps = [
  ["scripts/build.ts", "--this"],
  ["test", "--timeout", "3600000", ...wanted.map((name) => `./tests/soak/${name}${ending}`)],
];
for (const args of steps) {
  const { status } = spawnSync(bun, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
