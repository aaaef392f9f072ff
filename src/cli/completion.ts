import type { Suggestion } from "@optique/core/parser";
import { loadConfig } from "../config/load.ts";
import type { Host } from "./host.ts";

/** The names of a config that a shell completes. */
interface Names {
  readonly jobs: readonly string[];
  readonly databases: readonly string[];
  readonly destinations: readonly string[];
}

// Who presses the tab key waits for it.
const longestMs = 2_000;

// The parsers are made once, and the config is known later.
let names: Names = { jobs: [], databases: [], destinations: [] };

/** Looks for the names of the config, for a command line that is being typed; without one there are none. */
export async function learnNames(argv: readonly string[], host: Host): Promise<void> {
  const flag = argv.findIndex((word) => word === "--config" || word.startsWith("--config="));
  const written = argv[flag]?.startsWith("--config=")
    ? argv[flag].slice("--config=".length)
    : argv[flag + 1];
  const named = (flag < 0 ? host.env["DBBACKUP_CONFIG"] : written) || undefined;
  const moduleExports = async () => await import("../mod.ts");
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, longestMs).unref());
  const loading = loadConfig({ ...host, named, moduleExports }).catch(() => undefined);
  const config = await Promise.race([loading, late]);
  if (config === undefined) return;
  names = {
    jobs: [...config.jobs.keys()],
    databases: [...config.databases.keys()],
    destinations: [...config.destinations.keys()],
  };
}

/**
 * What a shell offers for a value, by its name in the help: files, folders, names of the config. Ids
 * of backups are not looked up: a store may be far away.
 */
export function* offersFor(metavar: string, pattern: string): Generator<Suggestion> {
  if (metavar === "PATH") yield { kind: "file", type: "any", pattern };
  if (metavar === "DIR" || metavar === "DEST") yield { kind: "file", type: "directory", pattern };
  const words = metavar === "DEST"
    ? names.destinations
    : metavar === "URL"
    ? names.databases
    : metavar.split("|").includes("JOB")
    ? names.jobs
    : [];
  for (const text of words) if (text.startsWith(pattern)) yield { kind: "literal", text };
}
