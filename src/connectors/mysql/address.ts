import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { type TlsMode } from "../../contracts/connection.ts";
import { connectionLabel, resolveConnection } from "../connection.ts";
import { BackupError } from "../../core/errors.ts";
import type { Environment, Runtime } from "../../core/runtime.ts";
import { readOptionFiles } from "./option-file.ts";
import { type MysqlOptions, schemes } from "./options.ts";

/** Where a server is and how to log in, for the driver and the tools alike. */
export interface MysqlAddress {
  /** The Unix socket; host and port count only without one. */
  readonly socket: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly tls: MysqlTls;
  readonly connectTimeoutMs: number;
  /** Without any sign of life for so long, the server is given up. */
  readonly answerTimeoutMs: number;
  /** For people: no password. */
  readonly label: string;
  /** The databases meant; undefined for all. */
  readonly selected: readonly string[] | undefined;
  readonly toolsDir: string | undefined;
}

/** TLS, decided: the files are paths of PEM files. */
export interface MysqlTls {
  readonly mode: TlsMode;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

// Where packages put it: Debian, Red Hat, MySQL's own and Homebrew's.
const usualSockets = [
  "/run/mysqld/mysqld.sock",
  "/var/run/mysqld/mysqld.sock",
  "/var/lib/mysql/mysql.sock",
  "/tmp/mysql.sock",
];

// The tools of MySQL have no default of their own for who is trusted.
const systemAuthorities = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem",
];

/**
 * Resolves options into one address. What they leave open comes from the tools' own option files,
 * such as ~/.my.cnf; the host `localhost` without a port means the usual Unix socket, as for the
 * tools, where there is one.
 *
 * @throws BackupError `config/connection`, and those of resolveConnection
 */
export async function resolveAddress(
  options: MysqlOptions,
  runtime: Runtime,
): Promise<MysqlAddress> {
  const connection = await resolveConnection(options, schemes, runtime);
  const files = await readOptionFiles(runtime.env);
  const user = connection.user ?? files.user ?? ownName(runtime.env);
  // A file's password belongs to the file's user, if it names one.
  const isSameUser = files.user === undefined || files.user === user;
  const password = connection.password ?? (isSameUser ? files.password : undefined);
  if (password !== undefined) runtime.secrets.hide(password);
  const isGiven = connection.host !== undefined || connection.socket !== undefined;
  const place = isGiven ? connection : files;
  const port = connection.port ?? (isGiven ? undefined : files.port);
  const isLocal = (place.host ?? "localhost") === "localhost" && port === undefined;
  const socket = place.socket ?? (isLocal ? files.socket ?? usualSocket() : undefined);
  return {
    socket,
    host: place.host ?? "localhost",
    port: port ?? 3306,
    user,
    password,
    tls: resolveTls(connection.tls),
    connectTimeoutMs: connection.connectTimeoutMs,
    answerTimeoutMs: connection.answerTimeoutMs,
    label: connectionLabel({ ...connection, user, host: place.host, port, socket }),
    selected: connection.databases ??
      (connection.database === undefined ? undefined : [connection.database]),
    toolsDir: options.toolsDir,
  };
}

function resolveTls(
  { mode, ca, cert, key }: { mode?: TlsMode; ca?: string; cert?: string; key?: string },
): MysqlTls {
  // Whoever names an authority wants it to be asked.
  const wanted = mode ?? (ca === undefined ? "prefer" : "verify-full");
  if (!wanted.startsWith("verify-")) return { mode: wanted, ca, cert, key };
  const authority = ca ?? systemAuthorities.find((path) => existsSync(path));
  if (authority === undefined) {
    throw new BackupError("config/connection", `TLS mode "${wanted}" needs a CA file`, {
      hint: "Name the authority that signed the server's certificate with tls.ca.",
    });
  }
  return { mode: wanted, ca: authority, cert, key };
}

function usualSocket(): string | undefined {
  return usualSockets.find((path) => existsSync(path));
}

/** As the tools find it: by the user's id, since $USER may be somebody else's. */
function ownName(env: Environment): string {
  const uid = process.getuid?.();
  if (uid === 0) return "root";
  const fallback = env["USER"] ?? env["LOGNAME"] ?? "root";
  if (uid === undefined || !existsSync("/etc/passwd")) return fallback;
  const lines = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"));
  return lines.find((fields) => fields[2] === String(uid))?.[0] ?? fallback;
}
