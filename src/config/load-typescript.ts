import { dirname, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { BackupError } from "../core/errors.ts";
import type { RawConfig } from "./load-yaml.ts";
import { locateInSource } from "./locate.ts";
import { readConfigFile } from "./read-file.ts";

/** What `import … from "dbbackup"` gives to a config; called when the first one is loaded. */
export type ModuleExports = () => Promise<Readonly<Record<string, unknown>>>;

/**
 * Runs `backup.config.ts` and takes its default export. Imports from "dbbackup" are served from
 * inside this program, relative imports from beside the file.
 *
 * @throws BackupError `config/unreadable`, `config/syntax`, `config/import`, `config/threw`,
 * `config/no-default-export`
 */
export async function loadTypeScript(path: string, exports: ModuleExports): Promise<RawConfig> {
  const source = await readConfigFile(path);
  serveModule(exports);
  const loaded: Record<string, unknown> = await import(pathToFileURL(path).href)
    .catch((cause) => {
      throw loadError(path, cause);
    });
  if (loaded["default"] === undefined) {
    throw new BackupError("config/no-default-export", `The config "${path}" exports nothing`, {
      hint: "Write `export default defineConfig({ … })`.",
    });
  }
  return { value: loaded["default"], problems: [], locate: (key) => locateInSource(source, key) };
}

/** The part of Bun that nothing portable does: a module that exists only in this program. */
interface BunPlugins {
  plugin(plugin: {
    name: string;
    setup(build: {
      module(
        name: string,
        load: () => Promise<{ exports: Readonly<Record<string, unknown>>; loader: "object" }>,
      ): void;
    }): void;
  }): void;
}

let isServed = false;

function serveModule(exports: ModuleExports): void {
  const bun: BunPlugins | undefined = Reflect.get(globalThis, "Bun");
  // Other runtimes resolve "dbbackup" by their import map, as in the project's own checks.
  if (isServed || bun === undefined) return;
  isServed = true;
  bun.plugin({
    name: "dbbackup",
    setup(build) {
      build.module("dbbackup", async () => ({ exports: { ...await exports() }, loader: "object" }));
    },
  });
}

/** One message of Bun's parser. */
interface BuildMessage {
  readonly message: string;
  readonly position?: { readonly file?: string; readonly line: number; readonly column: number };
}

function loadError(path: string, cause: unknown): BackupError {
  if (cause instanceof BackupError) return cause;
  const messages = buildMessages(cause);
  if (messages.length > 0) {
    const lines = messages.map(({ message, position }) =>
      position === undefined
        ? `  ${message}`
        : `  ${position.file ?? path}, line ${position.line}, column ${position.column}: ${message}`
    );
    return new BackupError(
      "config/syntax",
      `Cannot read the config "${path}":\n${lines.join("\n")}`,
      {
        cause,
        hint: "Correct the file; an editor shows the place when dbbackup.d.ts lies beside it.",
      },
    );
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  if (isNamed(cause, "ResolveMessage") || cause instanceof SyntaxError) {
    return new BackupError("config/import", `Cannot load the config "${path}": ${message}`, {
      cause,
      hint:
        'Imports are relative files with their ending ("./jobs.ts"), "node:" modules, packages ' +
        'in a node_modules folder beside the config, or "dbbackup".',
    });
  }
  const place = placeOf(cause, dirname(path));
  return new BackupError(
    "config/threw",
    `The config "${path}" failed${place === undefined ? "" : ` at ${place}`}: ${message}`,
    { cause, hint: "The config is a program: correct what it does at that place." },
  );
}

function buildMessages(cause: unknown): BuildMessage[] {
  if (isNamed(cause, "BuildMessage")) return [toBuildMessage(cause)];
  if (cause instanceof AggregateError) {
    const messages = cause.errors.filter((error) => isNamed(error, "BuildMessage"));
    return messages.map(toBuildMessage);
  }
  return [];
}

function isNamed(value: unknown, name: string): value is object {
  return typeof value === "object" && value !== null && Reflect.get(value, "name") === name;
}

function toBuildMessage(value: object): BuildMessage {
  const position: BuildMessage["position"] | null = Reflect.get(value, "position");
  return { message: String(Reflect.get(value, "message")), position: position ?? undefined };
}

/** The first frame of a stack that lies in the config's folder: `FILE, line N`. */
function placeOf(cause: unknown, folder: string): string | undefined {
  const stack = cause instanceof Error ? cause.stack ?? "" : "";
  for (
    const match of stack.matchAll(/\(?((?:file:\/\/)?\/[^\s()]*|[A-Z]:\\[^\s()]*):(\d+):\d+\)?/g)
  ) {
    const file = match[1]!.replace(/^file:\/\//, "");
    if (file.startsWith(folder + sep)) return `${file}, line ${match[2]}`;
  }
  return undefined;
}
