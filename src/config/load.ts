import { dirname, extname, join } from "node:path";
import process from "node:process";
import { BackupError } from "../core/errors.ts";
import type { Environment } from "../core/runtime.ts";
import { connectorKinds, storageKinds } from "../registry.ts";
import { buildConfig } from "./build.ts";
import { findConfig, type Surroundings } from "./find.ts";
import { loadTypeScript, type ModuleExports } from "./load-typescript.ts";
import { loadYaml } from "./load-yaml.ts";
import type { Config } from "./model.ts";
import { type ConfigPath, invalidConfig } from "./problems.ts";

/** What loading a config needs. */
export interface LoadOptions extends Surroundings {
  /** `--config`; without it the usual places are searched. */
  readonly named: string | undefined;
  /** What the config can import from "dbbackup". */
  readonly moduleExports: ModuleExports;
}

/**
 * Finds, reads and checks the config. References to secrets are not resolved.
 *
 * @throws BackupError `config/not-found`, `config/ambiguous`, `config/unsafe`, `config/unreadable`,
 * `config/unknown-format`, `config/syntax`, `config/import`, `config/threw`, `config/no-default-export`, `config/invalid`
 */
export async function loadConfig(o: LoadOptions): Promise<Config> {
  const path = await findConfig(o.named, o);
  const kinds = { connectors: connectorKinds, storages: storageKinds };
  assertKnownEnding(path);
  const raw = /\.ya?ml$/.test(path)
    ? await loadYaml(path, kinds)
    : await loadTypeScript(path, o.moduleExports);
  const { config, problems } = buildConfig(raw.value, {
    path,
    base: dirname(path),
    stateDir: defaultStateDir(o),
    tempDir: o.tempDir,
  });
  // What the file's own way already explained needs no second word from the schema.
  const rest = problems.filter(({ path }) => !raw.problems.some((one) => isWithin(one.path, path)));
  const all = [...raw.problems, ...rest];
  if (config === undefined || all.length > 0) throw invalidConfig(path, all, raw.locate);
  return config;
}

// A pipe, --config <(…), has no ending: it is TypeScript.
const endings = ["", ".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".yaml", ".yml"];

function assertKnownEnding(path: string): void {
  const ending = extname(path).toLowerCase();
  if (endings.includes(ending)) return;
  throw new BackupError(
    "config/unknown-format",
    `Cannot tell what "${path}" is: a config is TypeScript or YAML`,
    { hint: `Name it with .ts, .js, .yaml or .yml at its end, instead of ${ending}.` },
  );
}

function isWithin(path: ConfigPath, outer: ConfigPath): boolean {
  return outer.length > 0 && outer.every((part, index) => path[index] === part);
}

/** Where locks and the record of runs are kept when nobody says. */
export function defaultStateDir(
  o: { readonly env: Environment; readonly home: string; readonly uid: number | undefined },
): string {
  if (o.env["XDG_STATE_HOME"]) return join(o.env["XDG_STATE_HOME"], "dbbackup");
  if (o.uid === 0) return "/var/lib/dbbackup";
  if (process.platform === "win32" && o.env["LOCALAPPDATA"]) {
    return join(o.env["LOCALAPPDATA"], "dbbackup");
  }
  return join(o.home, ".local", "state", "dbbackup");
}
