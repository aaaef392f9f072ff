import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { hardPassword } from "./hardPassword.ts";
import { type Certificates, certificates } from "./certificates.ts";
import { type Daemon, onFreePort, startDaemon } from "./daemon.ts";
import { freshName } from "./freshName.ts";
import { installed } from "./installed.ts";
import { output } from "./run.ts";
import { shared } from "./shared.ts";
import { giveTo, serverUser, type User } from "./user.ts";
import { tempDir } from "./workspace.ts";

/** The PostgreSQL releases that `scripts/servers` installs. */
export type PostgresVersion = 15 | 18;

/** What differs from the defaults in a server of one's own. */
export interface PostgresOptions {
  /** Settings as in postgresql.conf, such as `{ archive_mode: "on" }`; they win over the defaults. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /**
   * An existing data directory, such as a restored one, which the server takes over (as root, it
   * changes its owner). The superuser keeps the password that it has in there. @default {a new one}
   */
  readonly dataDir?: string;
  /** Arguments of initdb, such as `["--no-data-checksums"]`. */
  readonly initdb?: readonly string[];
}

/** Which address a URL names. */
export interface PostgresUrlOptions {
  readonly user?: string;
  readonly password?: string;
  /** `localhost` matches the certificate as `127.0.0.1` does. @default {"127.0.0.1"} */
  readonly host?: string;
  /** Parameters such as `{ sslmode: "verify-full", sslrootcert: … }`. */
  readonly params?: Readonly<Record<string, string>>;
}

/**
 * A PostgreSQL server: SCRAM passwords over TCP, everybody trusted over the socket, TLS on but not
 * required, `wal_level=replica`, fsync off, encoding UTF8, locale C, time zone UTC.
 */
export interface PostgresServer {
  readonly version: PostgresVersion;
  readonly host: "127.0.0.1";
  readonly port: number;
  /** The superuser. */
  readonly user: "postgres";
  readonly password: string;
  /** The folder of the Unix socket, for libpq's `host`. */
  readonly socketDir: string;
  /** The folder of pg_dump and the rest. */
  readonly binDir: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly tls: Certificates;
  /** The process id, of the moment. */
  pid(): number;
  /** `postgres://…`, for the superuser and the database `postgres` unless told otherwise. */
  url(database?: string, options?: PostgresUrlOptions): string;
  /**
   * Runs SQL or psql commands as the superuser, and returns rows as lines with `|` between values.
   *
   * @throws {Error} with psql's message at the first failing statement.
   */
  psql(database: string, sql: string): Promise<string>;
  /** Creates an empty database. @default name {a fresh one} @returns Its name. */
  createDatabase(name?: string): Promise<string>;
  /** Ends the server; not for the shared one. @default signal {"SIGINT", a fast shutdown} */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after {@link stop}, on the same port and data. Settings here are added. */
  start(settings?: PostgresOptions["settings"]): Promise<void>;
}

const baseSettings = {
  listen_addresses: "127.0.0.1",
  fsync: "off",
  shared_buffers: "16MB",
  max_connections: 50,
  // The default's /dev/shm is small in containers and keeps the segments of a killed server.
  dynamic_shared_memory_type: "mmap",
  wal_level: "replica",
  max_wal_senders: 10,
  max_replication_slots: 10,
  min_wal_size: "32MB",
  max_wal_size: "256MB",
  timezone: "UTC",
  log_timezone: "UTC",
  ssl: "on",
} as const;

/**
 * The shared server of a release; made on first use, ended with the tests. Tests keep apart by
 * {@link PostgresServer.createDatabase} and leave its settings and roles as they found them.
 *
 * @throws {Error} when `scripts/servers` has not installed it.
 */
export function postgres(version: PostgresVersion): Promise<PostgresServer> {
  return shared(`postgres${version}`, () => startPostgres(version));
}

/** Starts a server of one's own, for tests that stop, kill or reconfigure it. */
export async function startPostgres(
  version: PostgresVersion,
  options: PostgresOptions = {},
): Promise<PostgresServer> {
  const binDir = installed()[`postgres${version}`];
  if (binDir === undefined) {
    throw new Error(`PostgreSQL ${version} is missing: run scripts/servers`);
  }
  const folder = tempDir(`postgres${version}`);
  const user = serverUser();
  await giveTo(user, folder);
  const tls = await certificates();
  const dataDir = options.dataDir ?? path.join(folder, "data");
  if (options.dataDir === undefined) await initialise(binDir, folder, user, options.initdb ?? []);
  else await giveTo(user, dataDir, true);

  const socketDir = path.join(folder, "socket");
  mkdirSync(socketDir);
  const keyFile = path.join(folder, "server.key");
  copyFileSync(tls.keyFile, keyFile); // the server insists on a key of its own
  await giveTo(user, socketDir);
  await giveTo(user, keyFile);

  const logFile = path.join(folder, "server.log");
  let settings: Record<string, string | number | boolean> = {
    ...baseSettings,
    ...version >= 18 ? { io_method: "sync" } : {}, // no workers: a server needs little
    unix_socket_directories: socketDir,
    ssl_cert_file: tls.certFile,
    ssl_key_file: keyFile,
    ...options.settings,
  };
  // On the command line they hold for a restored data directory too.
  const launch = (port: number) =>
    startDaemon({
      command: path.join(binDir, "postgres"),
      args: [
        ...["-D", dataDir, "-p", String(port)],
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      logFile,
      ready: /database system is ready to accept (read-only )?connections/,
      // A server takes this, too: as every connection's default.
      env: { ...clientEnv(), PGCLIENTENCODING: undefined },
      endSignal: "QUIT", // KILL would leave its children behind
      uid: user?.uid,
      gid: user?.gid,
    });
  let daemon: Daemon;
  const port = await onFreePort(async (candidate) => {
    daemon = await launch(candidate);
    return candidate;
  });

  const psql = (database: string, sql: string) =>
    output(path.join(binDir, "psql"), [
      ...["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"],
      ...["-h", socketDir, "-p", String(port), "-U", "postgres", "-d", database],
    ], { input: sql, env: clientEnv() }).then((text) => text.trimEnd());

  return {
    version,
    host: "127.0.0.1",
    port,
    user: "postgres",
    password: hardPassword,
    socketDir,
    binDir,
    dataDir,
    logFile,
    tls,
    pid: () => daemon.pid,
    url(database = "postgres", { user = "postgres", ...target } = {}) {
      const url = new URL(`postgres://${target.host ?? "127.0.0.1"}:${port}`);
      url.username = encodeURIComponent(user);
      url.password = encodeURIComponent(target.password ?? hardPassword);
      url.pathname = `/${encodeURIComponent(database)}`;
      for (const [name, value] of Object.entries(target.params ?? {})) {
        url.searchParams.set(name, value);
      }
      return url.href;
    },
    psql,
    async createDatabase(name = freshName()) {
      await psql("postgres", `CREATE DATABASE "${name}"`);
      return name;
    },
    stop: (signal = "SIGINT") => daemon.stop(signal),
    async start(more = {}) {
      settings = { ...settings, ...more };
      daemon = await launch(port);
    },
  };
}

async function initialise(
  binDir: string,
  folder: string,
  user: User | undefined,
  extra: readonly string[],
) {
  const passwordFile = path.join(folder, "password");
  writeFileSync(passwordFile, hardPassword, { mode: 0o600 });
  await giveTo(user, passwordFile);
  await output(path.join(binDir, "initdb"), [
    ...["-D", path.join(folder, "data"), "-U", "postgres", "--pwfile", passwordFile],
    ...["--auth-local=trust", "--auth-host=scram-sha-256"],
    ...["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", ...extra],
  ], { env: clientEnv(), cwd: "/", uid: user?.uid, gid: user?.gid });
}

/** The environment without what libpq would read from it. */
function clientEnv(): Record<string, string | undefined> {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("PG"));
  return { ...Object.fromEntries(entries), LC_ALL: "C", PGCLIENTENCODING: "UTF8" };
}
