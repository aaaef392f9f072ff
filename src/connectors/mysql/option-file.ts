import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Environment } from "../../core/runtime.ts";

/** What the option files of the MySQL tools say of the connection. */
export interface FileOptions {
  readonly user?: string;
  readonly password?: string;
  readonly host?: string;
  readonly port?: number;
  readonly socket?: string;
}

// The groups that the dump tools of either flavour read; a later line wins, whatever its group.
const groups = ["client", "client-server", "client-mariadb", "mysqldump", "mariadb-dump"];
const names = ["user", "password", "host", "port", "socket"];
// An include that includes itself ends here.
const deepestInclude = 8;

/**
 * Reads the option files of the MySQL tools, in their order: /etc/my.cnf, /etc/mysql/my.cnf,
 * ~/.my.cnf, with `!include` and `!includedir`. Files that cannot be read, or that everybody may
 * write to, are passed over, as the tools do.
 *
 * Driver and tools are then told the same: the tools get one file of our own and read no other,
 * since ~/.my.cnf would win over it.
 */
export async function readOptionFiles(env: Environment): Promise<FileOptions> {
  const found = new Map<string, string>();
  const files = ["/etc/my.cnf", "/etc/mysql/my.cnf"];
  if (env["HOME"] !== undefined) files.push(join(env["HOME"], ".my.cnf"));
  for (const file of files) await readInto(found, file, 0);
  const port = Number(found.get("port"));
  return {
    ...pick(found, "user"),
    ...pick(found, "password"),
    ...pick(found, "host"),
    ...pick(found, "socket"),
    ...Number.isInteger(port) && port > 0 ? { port } : {},
  };
}

/** Quotes a value for an option file: `#` would end it, and a backslash begins an escape. */
export function optionValue(value: string): string {
  const escaped = value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  // The quotes themselves are only the first and the last character.
  return `"${escaped}"`;
}

/** Takes a value as the tools do: quotes off, escapes resolved, a comment cut. */
export function parseOptionValue(text: string): string {
  const quoted = /^(["'])(.*)\1\s*(?:#.*)?$/.exec(text.trim());
  const plain = quoted === null ? text.replace(/(?:^|\s)#.*$/, "").trim() : quoted[2]!;
  return plain.replace(/\\([btnrs\\"'])/g, (_, letter: string) => escapes[letter] ?? letter);
}

const escapes: Readonly<Record<string, string>> = {
  b: "\b",
  t: "\t",
  n: "\n",
  r: "\r",
  s: " ",
};

function pick(found: ReadonlyMap<string, string>, name: "user" | "password" | "host" | "socket") {
  const value = found.get(name);
  return value === undefined ? {} : { [name]: value };
}

async function readInto(found: Map<string, string>, file: string, depth: number): Promise<void> {
  const text = await readSafely(file);
  if (text === undefined || depth > deepestInclude) return;
  let isOurs = false;
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    const [, directive, path] = /^!(include|includedir)\s+(.+)$/.exec(line) ?? [];
    if (path !== undefined) {
      await include(found, directive!, resolve(dirname(file), path), depth);
      continue;
    }
    const group = /^\[(.+)\]/.exec(line)?.[1];
    if (group !== undefined) isOurs = groups.includes(group.trim().toLowerCase());
    const [, name, value] = /^([\w-]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (isOurs && name !== undefined && names.includes(name.toLowerCase())) {
      found.set(name.toLowerCase(), parseOptionValue(value!));
    }
  }
}

async function include(
  found: Map<string, string>,
  directive: string,
  path: string,
  depth: number,
): Promise<void> {
  if (directive === "include") return await readInto(found, path, depth + 1);
  const entries = await readdir(path).catch(() => []);
  for (const entry of entries.filter((name) => name.endsWith(".cnf")).sort()) {
    await readInto(found, join(path, entry), depth + 1);
  }
}

async function readSafely(file: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(file);
    return (mode & 0o002) === 0 ? await readFile(file, "utf8") : undefined;
  } catch {
    return undefined;
  }
}
