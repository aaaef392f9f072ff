import { existsSync } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Abortable } from "../../core/bytes.ts";
import { ChildError, type ChildSpec } from "../../core/child.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { isExecutable } from "../../core/program.ts";
import type { Environment, Runtime } from "../../core/runtime.ts";
import { versionText } from "../../core/version-text.ts";
import type { Tool } from "../../contracts/source.ts";
import { type Address, parameterVariables } from "./address.ts";
import { passFileLine } from "./passfile.ts";
import { signOfLife } from "./sign-of-life.ts";

/** The programs that move data. */
export type ToolName =
  | "pg_dump"
  | "pg_restore"
  | "pg_dumpall"
  | "pg_basebackup"
  // Of a server's own package:
  | "pg_verifybackup"
  | "pg_controldata"
  | "postgres";

/** The client programs of one version, in one folder. */
export interface ToolSet {
  readonly folder: string;
  /** `15.18`. */
  readonly version: string;
  readonly major: number;
  readonly names: readonly ToolName[];
}

type Options = Abortable & { readonly runtime: Runtime };

const toolNames = ["pg_dump", "pg_restore", "pg_dumpall"] as const;

const physicalNames = ["pg_basebackup", "pg_verifybackup", "pg_controldata", "postgres"] as const;

/** Where packages put one folder for each version: Debian, Red Hat, Homebrew. */
const versionedFolders = [
  { parent: "/usr/lib/postgresql", child: /^\d+$/, bin: "bin" },
  { parent: "/usr", child: /^pgsql-\d+$/, bin: "bin" },
  { parent: "/opt/homebrew/opt", child: /^(postgresql@\d+|libpq)$/, bin: "bin" },
  { parent: "/usr/local/opt", child: /^(postgresql@\d+|libpq)$/, bin: "bin" },
];

/** Every set of tools there is: those of `toolsDir` alone, or of PATH and the usual folders. */
export async function findToolSets(toolsDir: string | undefined, o: Options): Promise<ToolSet[]> {
  const folders = toolsDir === undefined ? await usualFolders(o.runtime.env) : [toolsDir];
  const sets = await Promise.all(folders.map((folder) => readToolSet(folder, o)));
  return sets.filter((set) => set !== undefined);
}

/**
 * The tools for a dump: not older than the server, and as near to it as there are. A newer tool can
 * read an older server, but what it writes cannot always be restored there: pg_restore 17 and newer
 * set parameters that an older server does not know.
 *
 * @param name the program that takes it; default `pg_dump`
 * @throws BackupError `dump/tool-missing`, `dump/tool-too-old`
 */
export function toolsForDump(
  sets: readonly ToolSet[],
  server: { readonly version: string; readonly major: number },
  toolsDir: string | undefined,
  name: "pg_dump" | "pg_basebackup" = "pg_dump",
): ToolSet {
  return choose(sets, name, server.major, {
    toolsDir,
    tooOld: (newest) => `${name} ${newest} is older than the server, PostgreSQL ${server.version}`,
    wanted: server.major,
  });
}

/**
 * The programs of a server of exactly this version: no other starts on its files.
 *
 * @throws BackupError `dump/tool-missing`
 */
export function toolsOfServer(
  sets: readonly ToolSet[],
  major: number,
  names: readonly ToolName[],
): ToolSet {
  const found = sets.find((set) =>
    set.major === major && names.every((name) => set.names.includes(name))
  );
  if (found !== undefined) return found;
  throw new BackupError(
    "dump/tool-missing",
    `The programs of a PostgreSQL ${major} server are not on this machine: ${names.join(", ")}`,
    {
      hint: `Install postgresql-${major}, or restore on a machine that has it: the backup is a ` +
        "copy of the server's files, which no other version reads. RESTORE.txt says how by hand.",
    },
  );
}

/** A warning where the tools for a dump are newer than the server; undefined where they are not. */
export function newerTools(
  set: ToolSet | undefined,
  server: { readonly version: string; readonly major: number },
): string | undefined {
  if (set === undefined || set.major <= server.major) return undefined;
  return `pg_dump ${set.version} is newer than the server, PostgreSQL ${server.version}: what it ` +
    `writes may be restored with errors by older tools; install postgresql-client-${server.major}`;
}

/**
 * The tools for a restore: able to read the archive, and as near to the target's version as there
 * are.
 *
 * @throws BackupError `dump/tool-missing`, `dump/tool-too-old`
 */
export function toolsForRestore(
  sets: readonly ToolSet[],
  archive: { readonly toolVersion: string; readonly toolMajor: number },
  targetMajor: number,
  toolsDir: string | undefined,
): ToolSet {
  const lowest = Math.max(archive.toolMajor, Math.min(targetMajor, newestOf(sets)));
  return choose(sets, "pg_restore", lowest, {
    toolsDir,
    tooOld: (newest) =>
      `pg_restore ${newest} is older than pg_dump ${archive.toolVersion}, ` +
      "which wrote this backup",
    wanted: archive.toolMajor,
  });
}

/** The newest tools, to read what any version wrote. @throws BackupError `dump/tool-missing` */
export function newestTools(sets: readonly ToolSet[], name: ToolName): ToolSet {
  const having = sets.filter(({ names }) => names.includes(name));
  const newest = having.sort((a, b) => b.major - a.major)[0];
  if (newest !== undefined) return newest;
  throw new BackupError(
    "dump/tool-missing",
    `The program "${name}" is not in PATH or the usual folders; toolsDir is not looked into here`,
    { hint: "Install PostgreSQL's client tools (postgresql-client), or put them into PATH." },
  );
}

/** The tools as inspect and doctor show them. */
export function describeTools(set: ToolSet | undefined): Tool[] {
  return toolNames.map((name) => {
    const isThere = set?.names.includes(name) === true;
    return {
      name,
      path: isThere ? join(set.folder, name) : undefined,
      version: isThere ? set.version : undefined,
    };
  });
}

/**
 * A run of a tool. Everything about the connection is in its environment, and the password in a file
 * without a name; nothing of it in its arguments. `-w`: never ask for one.
 */
export function toolSpec(
  set: ToolSet,
  name: ToolName,
  address: Address,
  database: string,
  args: readonly string[],
): ChildSpec {
  if (!set.names.includes(name)) throw missing(name, set.folder);
  const { hosts, user, tls, connectTimeoutMs, parameters } = address;
  const password = address.passFile === undefined ? address.password(database) : undefined;
  const ca = authority(address, set);
  const env: Record<string, string> = {
    PGHOST: hosts.map(({ host }) => host).join(","),
    PGPORT: hosts.map(({ port }) => port).join(","),
    PGUSER: user,
    PGDATABASE: database,
    PGSSLMODE: tls.mode,
    PGCONNECT_TIMEOUT: String(Math.max(2, Math.ceil(connectTimeoutMs / 1000))),
    PGAPPNAME: "dbbackup",
    ...ca === undefined ? {} : { PGSSLROOTCERT: ca },
    ...tls.cert === undefined ? {} : { PGSSLCERT: tls.cert },
    ...tls.key === undefined ? {} : { PGSSLKEY: tls.key },
    PGPASSFILE: address.passFile ?? (password === undefined ? noPassFile : "/dev/fd/3"),
  };
  for (const [parameter, value] of Object.entries(parameters)) {
    env[parameterVariables[parameter]!] = value;
  }
  return {
    command: join(set.folder, name),
    args: ["-w", ...args],
    env,
    alive: signOfLife(address),
    ...password === undefined ? {} : { secretFiles: [passFileLine(password)] },
  };
}

/** One that cannot be there: of `/dev/null`, libpq warns that it is no plain file. */
const noPassFile = "/dev/null/none";

/** The lines of a tool's output that say what went wrong. */
export function complaint({ exit, message }: ChildError): string {
  const lines = exit.stderr.split("\n").filter((line) =>
    /error|fatal|detail|unrecognized option|invalid option|option .*(ambiguous|argument)/i.test(
      line,
    )
  );
  return lines.slice(0, 3).join("; ").replaceAll(/(^|; )(\S*\/)?pg_\w+: (error: )?/g, "$1") ||
    message;
}

async function usualFolders(env: Environment): Promise<string[]> {
  const inPath = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const versioned = await Promise.all(versionedFolders.map(async ({ parent, child, bin }) => {
    const names = await readdir(parent).catch(() => []);
    return names.filter((name) => child.test(name)).map((name) => join(parent, name, bin));
  }));
  return [...new Set([...inPath, ...versioned.flat()])];
}

async function readToolSet(folder: string, o: Options): Promise<ToolSet | undefined> {
  const names: ToolName[] = [];
  for (const name of [...toolNames, ...physicalNames]) {
    if (await isExecutable(join(folder, name)) && !await isWrapper(join(folder, name))) {
      names.push(name);
    }
  }
  if (names.length === 0) return undefined;
  try {
    const stdout = await versionText(join(folder, names[0]!), ["--version"], o);
    // "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    const version = /\(PostgreSQL\) (\d+[\w.]*)/.exec(stdout)?.[1];
    return version === undefined
      ? undefined
      : { folder, version, major: Number.parseInt(version), names };
  } catch (error) {
    if (error instanceof ChildError || hasCode(error, "dump/tool-missing")) return undefined;
    throw error;
  }
}

/** Debian's /usr/bin/pg_dump, which picks a version by itself: we pick among the real ones. */
async function isWrapper(path: string): Promise<boolean> {
  return (await realpath(path).catch(() => path)).endsWith("/pg_wrapper");
}

function newestOf(sets: readonly ToolSet[]): number {
  return Math.max(0, ...sets.map(({ major }) => major));
}

function choose(
  sets: readonly ToolSet[],
  name: ToolName,
  lowest: number,
  o: { toolsDir: string | undefined; tooOld: (newest: string) => string; wanted: number },
): ToolSet {
  const having = sets.filter(({ names }) => names.includes(name));
  const newest = [...having].sort((a, b) => b.major - a.major)[0];
  if (newest === undefined) throw missing(name, o.toolsDir);
  // Sorting is stable: of two alike, the one that comes first in PATH.
  const fitting = having.filter(({ major }) => major >= lowest).sort((a, b) => a.major - b.major);
  if (fitting[0] !== undefined) return fitting[0];
  throw new BackupError("dump/tool-too-old", o.tooOld(newest.version), {
    hint: `Install the client tools of PostgreSQL ${o.wanted} or newer ` +
      `(postgresql-client-${o.wanted}), or name their folder with toolsDir.`,
  });
}

function missing(name: ToolName, folder: string | undefined): BackupError {
  const where = folder === undefined ? "PATH" : `"${folder}"`;
  return new BackupError("dump/tool-missing", `The program "${name}" is not in ${where}`, {
    hint: "Install PostgreSQL's client tools (postgresql-client), or name their folder with " +
      "toolsDir.",
  });
}

const authorityBundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem",
];

/** libpq 16 and newer know `system`; older ones, and verify-ca, need the system's bundle by path. */
function authority({ tls }: Address, set: ToolSet): string | undefined {
  if (tls.ca !== undefined && tls.ca !== "system") return tls.ca;
  if (tls.mode !== "verify-ca" && tls.mode !== "verify-full") return undefined;
  const bundle = authorityBundles.find((path) => existsSync(path));
  return bundle ?? (set.major >= 16 ? "system" : undefined);
}
