import { chmodSync, cpSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { hardPassword } from "./hardPassword.ts";
import { type Certificates, certificates } from "./certificates.ts";
import { type Daemon, onFreePort, startDaemon } from "./daemon.ts";
import { output } from "./run.ts";
import { freshName } from "./freshName.ts";
import { tempDir } from "./workspace.ts";

/** What differs from the defaults in a server of one's own. */
export interface MysqlOptions {
  /** Options as on mysqld's command line without dashes, such as `{ "gtid-mode": "OFF" }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** An existing data directory which the server takes over. @default {a new one} */
  readonly dataDir?: string;
}

/** Which address a URL names. */
export interface MysqlUrlOptions {
  readonly user?: string;
  readonly password?: string;
  /** `localhost` makes many clients use a socket, but not this server's. @default {"127.0.0.1"} */
  readonly host?: string;
  readonly params?: Readonly<Record<string, string>>;
}

/**
 * A MySQL or MariaDB server: root with a password over TCP and the socket, binary log on in row
 * format, TLS on but not required, performance schema off, utf8mb4. On MariaDB root also logs in
 * over the socket without a password when the tests run as root (`unix_socket`), and so does an
 * ordinary user under the own name, with all rights. MySQL has `gtid_mode=ON`.
 */
export interface MysqlServer {
  readonly flavour: "mysql" | "mariadb";
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly user: "root";
  readonly password: string;
  /** The Unix socket itself. */
  readonly socket: string;
  /** The folder of the clients. On MariaDB use the names with `mariadb-`. */
  readonly binDir: string;
  readonly dataDir: string;
  readonly logFile: string;
  /** A `--defaults-file` for clients: root's name and password, and the socket. */
  readonly defaultsFile: string;
  readonly tls: Certificates;
  /** The process id, of the moment. */
  pid(): number;
  /** `mysql://…` or `mariadb://…`, for root and no database unless told otherwise. */
  url(database?: string, options?: MysqlUrlOptions): string;
  /**
   * Runs SQL as root, and returns rows as lines with tabs between values.
   *
   * @param database Empty for none.
   * @throws {Error} with the client's message at the first failing statement.
   */
  sql(database: string, text: string): Promise<string>;
  /** Creates an empty database. @default name {a fresh one} @returns Its name. */
  createDatabase(name?: string): Promise<string>;
  /** Ends the server; not for the shared one. @default signal {"SIGTERM", a clean shutdown} */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after {@link stop}, on the same port and data. Settings here are added. */
  start(settings?: MysqlOptions["settings"]): Promise<void>;
}

/** What tells the two flavours apart. */
export interface MysqlProgram {
  readonly flavour: "mysql" | "mariadb";
  /** The server's executable. */
  readonly server: string;
  /** The command-line client, with what it needs to behave. */
  readonly client: string;
  readonly clientArgs: readonly string[];
  readonly binDir: string;
  readonly template: string;
  readonly settings: Readonly<Record<string, string | number>>;
  /** SQL that gives root the password, run at every start. */
  readonly grants: string;
}

/** {@link hardPassword} as an SQL string. */
export const rootPasswordSql = `'${hardPassword.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

let nextServerId = 101;

/** Starts a server of either flavour. */
export async function startMysqlServer(
  program: MysqlProgram,
  options: MysqlOptions,
): Promise<MysqlServer> {
  const folder = tempDir(program.flavour);
  const dataDir = options.dataDir ?? path.join(folder, "data");
  if (options.dataDir === undefined) copyTemplate(program.template, dataDir);
  const tls = await certificates();
  const socket = path.join(folder, "socket");
  const logFile = path.join(folder, "server.log");
  const initFile = path.join(folder, "grants.sql");
  writeFileSync(initFile, program.grants);
  const defaultsFile = path.join(folder, "client.cnf");
  writeFileSync(defaultsFile, clientOptions(socket), { mode: 0o600 });
  mkdirSync(path.join(folder, "tmp"));

  let settings: Record<string, string | number> = {
    datadir: dataDir,
    socket,
    "pid-file": path.join(folder, "pid"),
    tmpdir: path.join(folder, "tmp"),
    "bind-address": "127.0.0.1",
    "init-file": initFile,
    "server-id": nextServerId++,
    "log-bin": "binlog",
    "sync-binlog": 0,
    "innodb-flush-log-at-trx-commit": 2, // survives the death of the process, not of the machine
    "innodb-buffer-pool-size": "24M",
    "innodb-log-buffer-size": "4M",
    "innodb-doublewrite": "OFF",
    "performance-schema": "OFF",
    "max-connections": 50,
    "table-open-cache": 200,
    "key-buffer-size": "1M",
    "secure-file-priv": "",
    "character-set-server": "utf8mb4",
    "ssl-ca": tls.caFile,
    "ssl-cert": tls.certFile,
    "ssl-key": tls.keyFile,
    ...program.settings,
    ...options.settings,
  };
  const launch = (port: number) =>
    startDaemon({
      command: program.server,
      args: [
        "--no-defaults",
        ...process.getuid?.() === 0 ? ["--user=root"] : [],
        `--port=${port}`,
        ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
      ],
      logFile,
      ready: /ready for connections[^]*port: [1-9]/,
    });
  let daemon: Daemon;
  const port = await onFreePort(async (candidate) => {
    daemon = await launch(candidate);
    return candidate;
  });

  const sql = (database: string, text: string) =>
    output(program.client, [
      `--defaults-file=${defaultsFile}`,
      ...["--batch", "--skip-column-names", "--default-character-set=utf8mb4"],
      ...program.clientArgs,
      ...database === "" ? [] : [`--database=${database}`],
    ], { input: text }).then((rows) => rows.trimEnd());

  return {
    flavour: program.flavour,
    host: "127.0.0.1",
    port,
    user: "root",
    password: hardPassword,
    socket,
    binDir: program.binDir,
    dataDir,
    logFile,
    defaultsFile,
    tls,
    pid: () => daemon.pid,
    url(database = "", { user = "root", ...target } = {}) {
      const url = new URL(`${program.flavour}://${target.host ?? "127.0.0.1"}:${port}`);
      url.username = encodeURIComponent(user);
      url.password = encodeURIComponent(target.password ?? hardPassword);
      url.pathname = `/${encodeURIComponent(database)}`;
      for (const [name, value] of Object.entries(target.params ?? {})) {
        url.searchParams.set(name, value);
      }
      return url.href;
    },
    sql,
    async createDatabase(name = freshName()) {
      await sql("", `CREATE DATABASE \`${name}\``);
      return name;
    },
    stop: (signal = "SIGTERM") => daemon.stop(signal),
    async start(more = {}) {
      settings = { ...settings, ...more };
      daemon = await launch(port);
    },
  };
}

/** Copies a data directory that root may have made, for this user to write to. */
function copyTemplate(template: string, dataDir: string): void {
  cpSync(template, dataDir, { recursive: true });
  for (const entry of readdirSync(dataDir, { recursive: true, encoding: "utf8" })) {
    const file = path.join(dataDir, entry);
    chmodSync(file, statSync(file).isDirectory() ? 0o700 : 0o600);
  }
}

function clientOptions(socket: string): string {
  const quoted = hardPassword.replaceAll(/[\\"]/g, "\\$&");
  return `[client]\nuser=root\npassword="${quoted}"\nsocket="${socket}"\n`;
}
