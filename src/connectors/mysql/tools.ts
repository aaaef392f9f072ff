import { delimiter, join } from "node:path";
import type { Abortable } from "../../core/bytes.ts";
import { ChildError, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import { findProgram } from "../../core/program.ts";
import type { Runtime } from "../../core/runtime.ts";
import { versionText } from "../../core/version-text.ts";
import type { Tool } from "../../contracts/source.ts";
import type { MysqlAddress } from "./address.ts";
import { signOfLife } from "./client.ts";
import { optionValue } from "./option-file.ts";
import { compareVersions, type Flavour, type Server } from "./server.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** What a tool is for; its name differs by flavour. */
export type ToolPurpose = "dump" | "restore" | "replay";

/** A client tool that is there. */
export interface ClientTool extends Tool {
  readonly path: string;
  readonly version: string;
  readonly flavour: Flavour;
}

// MariaDB's packages keep the old names as links, so the name does not tell the flavour.
const toolNames: Readonly<Record<ToolPurpose, Readonly<Record<Flavour, readonly string[]>>>> = {
  dump: { MariaDB: ["mariadb-dump", "mysqldump"], MySQL: ["mysqldump", "mariadb-dump"] },
  restore: { MariaDB: ["mariadb", "mysql"], MySQL: ["mysql", "mariadb"] },
  replay: { MariaDB: ["mariadb-binlog", "mysqlbinlog"], MySQL: ["mysqlbinlog"] },
};

/** Looks for a tool, best of the server's own flavour, in the folder of the options or in PATH. */
export async function findTool(
  purpose: ToolPurpose,
  flavour: Flavour,
  { toolsDir }: MysqlAddress,
  o: Context,
): Promise<ClientTool | undefined> {
  const folders = toolsDir === undefined
    ? (o.runtime.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")
    : [toolsDir];
  let other: ClientTool | undefined;
  for (const name of toolNames[purpose][flavour]) {
    for (const folder of folders) {
      const path = await findProgram(join(folder, name), o.runtime.env);
      if (path === undefined) continue;
      const tool = await describe(purpose, name, path, o);
      if (tool.flavour === flavour) return tool;
      other ??= tool;
    }
  }
  return other;
}

/**
 * The tool to use.
 *
 * @throws BackupError `dump/tool-missing`, `dump/tool-too-old`
 */
export async function requireTool(
  purpose: ToolPurpose,
  server: Server,
  address: MysqlAddress,
  o: Context,
): Promise<ClientTool> {
  const tool = await findTool(purpose, server.flavour, address, o);
  const name = toolNames[purpose][server.flavour][0]!;
  // A log is read by its own flavour's tool alone.
  if (tool === undefined || (purpose === "replay" && tool.flavour !== server.flavour)) {
    const where = address.toolsDir === undefined ? "PATH" : `"${address.toolsDir}"`;
    throw new BackupError("dump/tool-missing", `The program "${name}" is not in ${where}`, {
      hint: `Install the ${server.flavour} client, or name its folder with toolsDir.`,
    });
  }
  if (purpose === "dump" && isTooOld(tool, server)) {
    throw new BackupError(
      "dump/tool-too-old",
      `${tool.path} ${tool.version} is older than the server, ${server.flavour} ${server.version}`,
      { hint: `Install the client of ${server.flavour} ${server.version}, or name its folder.` },
    );
  }
  return tool;
}

/** What to know about a tool that stops nothing. */
export function toolWarnings(tool: ClientTool | undefined, server: Server): string[] {
  if (tool === undefined || tool.flavour === server.flavour) return [];
  return [
    `The server is ${server.flavour} and only ${tool.flavour}'s client (${tool.path}) is here; ` +
    "install the server's own",
  ];
}

/** A run of a tool. The login is in a file without a name, and no other option file is read. */
export function toolSpec(
  tool: ClientTool,
  address: MysqlAddress,
  isEncrypted: boolean,
  args: readonly string[],
): ChildSpec {
  const lines = [
    "[client]",
    `user=${optionValue(address.user)}`,
    ...address.password === undefined ? [] : [`password=${optionValue(address.password)}`],
    "",
  ];
  return {
    command: tool.path,
    args: [
      "--defaults-file=/dev/fd/3",
      ...placeArgs(address),
      ...tlsArgs(tool, address, isEncrypted),
      "--default-character-set=utf8mb4",
      "--max-allowed-packet=1G",
      ...args,
    ],
    secretFiles: [lines.join("\n")],
    alive: signOfLife(address),
    // Otherwise MySQL's tools let ~/.mylogin.cnf win over everything.
    env: { MYSQL_TEST_LOGIN_FILE: "/dev/null" },
  };
}

/** The lines of a tool's complaints that say what went wrong. */
export function complaint({ exit, message }: ChildError): string {
  const lines = exit.stderr.split("\n").map((line) => line.trim());
  return lines.filter((line) => /error|denied|couldn't|cannot|unknown|lost connection/i.test(line))
    .slice(0, 2).join("; ") || message;
}

async function describe(
  purpose: ToolPurpose,
  name: string,
  path: string,
  o: Context,
): Promise<ClientTool> {
  // MariaDB's mysqlbinlog names its maker nowhere else.
  const about = purpose === "replay" ? "--help" : "--version";
  try {
    const stdout = await versionText(path, ["--no-defaults", about], o);
    // "Ver 10.19 Distrib 10.11.19-MariaDB", "from 11.4.2-MariaDB, client 15.2", "Ver 9.7.4 for"
    const version = /(?:Distrib|from) (\d[\d.]*)/.exec(stdout) ?? /Ver (\d[\d.]*)/.exec(stdout);
    const flavour = /MariaDB/i.test(stdout) ? "MariaDB" : "MySQL";
    return { name, path, version: version?.[1] ?? "unknown", flavour };
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    return { name, path, version: "unknown", flavour: "MySQL" };
  }
}

/**
 * A MySQL client must be of the server's major version: older ones use statements that newer servers
 * dropped. A MariaDB client must know sequences (10.3), which older ones dump as tables.
 */
function isTooOld(tool: ClientTool, server: Server): boolean {
  if (tool.version === "unknown" || tool.flavour !== server.flavour) return false;
  if (server.flavour === "MySQL") return compareVersions(tool.version, server.version, 1) < 0;
  return compareVersions(tool.version, "10.3", 2) < 0 &&
    compareVersions(server.version, "10.3", 2) >= 0;
}

function placeArgs({ socket, host, port }: MysqlAddress): string[] {
  if (socket !== undefined) return ["--protocol=SOCKET", `--socket=${socket}`];
  return ["--protocol=TCP", `--host=${host}`, `--port=${port}`];
}

function tlsArgs({ flavour }: ClientTool, { tls }: MysqlAddress, isEncrypted: boolean): string[] {
  const files = isEncrypted
    ? [
      ...tls.ca === undefined ? [] : [`--ssl-ca=${tls.ca}`],
      ...tls.cert === undefined ? [] : [`--ssl-cert=${tls.cert}`],
      ...tls.key === undefined ? [] : [`--ssl-key=${tls.key}`],
    ]
    : [];
  if (flavour === "MariaDB") {
    if (!isEncrypted) return ["--skip-ssl"];
    const isChecked = tls.mode === "verify-full";
    return ["--ssl", ...files, `--${isChecked ? "" : "skip-"}ssl-verify-server-cert`];
  }
  // Without TLS, the password goes under the server's key, as the driver does it.
  if (!isEncrypted) return ["--ssl-mode=DISABLED", "--get-server-public-key"];
  const mode = tls.mode === "verify-full"
    ? "VERIFY_IDENTITY"
    : tls.mode === "verify-ca"
    ? "VERIFY_CA"
    : "REQUIRED";
  return [`--ssl-mode=${mode}`, ...files];
}
