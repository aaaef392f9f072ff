/**
 * argv → cli → exit code.
 *
 * @module
 */
import process from "node:process";
import { version } from "./src/core/version.ts";

// Scripts ask for the version often, so nothing else is loaded for it.
const [first] = process.argv.slice(2);
if (first === "--version" || first === "-V") {
  process.stdout.write(`${version}\n`);
} else {
  const { runProcess } = await import("./src/cli/process.ts");
  await runProcess();
}
