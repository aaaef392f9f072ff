/**
 * A run of a chain that kills itself: `bun killedRun.ts FOLDER dump|acknowledge|none`. The folder holds
 * the file of lines, the state and the destination. Prints the run's result.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { adHocJob, destinationFromUrl } from "../../src/config/adhoc.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { storageKinds } from "../../src/registry.ts";
import { incremental } from "../../src/strategies/incremental.ts";
import { linesKind, linesState } from "./numberedLines.ts";
import { never, testRuntime } from "./runtime.ts";

const [folder, where] = process.argv.slice(2) as [string, string];
const path = join(folder, "shop.lines");
// What the source was told lies beside it, as a server would remember it.
const toldPath = join(folder, "told");
const told = existsSync(toldPath) ? readFileSync(toldPath, "utf8").trim().split("\n") : [];
const kill = () => void process.kill(process.pid, "SIGKILL");
const state = linesState({
  ...where === "dump" ? { beforeEnd: kill } : {},
  onAcknowledge(id) {
    // A parent that is told again at the start is no end of a run.
    if (where === "acknowledge" && !told.includes(id)) kill();
    appendFileSync(toldPath, `${id}\n`);
  },
});
const kind = linesKind(state);
const destination = destinationFromUrl(join(folder, "backups"), storageKinds, folder);
const job = {
  ...adHocJob({ name: "shop", kind, options: { path } }, [destination], {
    name: "shop",
    compression: { codec: "none" },
    accept: [],
  }),
  strategy: incremental(),
};
const stateDir = join(folder, "state");
const result = await runBackup(job, { runtime: testRuntime(), signal: never, stateDir });
const { status, manifest, error } = result;
console.log(JSON.stringify({
  status,
  id: manifest?.id,
  kind: manifest?.kind,
  parent: manifest?.parent?.id,
  error: error?.message,
}));
