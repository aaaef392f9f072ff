import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Connection, type TlsMode, tlsModes } from "../../contracts/connection.ts";
import { connectionLabel, resolveConnection } from "../connection.ts";
import { BackupError } from "../../core/errors.ts";
import type { Environment, Runtime } from "../../core/runtime.ts";
import { suggestion } from "../../core/text.ts";
import { ownHome, ownName, ownUid } from "../../core/user.ts";
import type { Host } from "./host.ts";
import { type PostgresOptions, schemes } from "./options.ts";
import { findPassword, passFileOf } from "./passfile.ts";

/** Where a server is and how to log in: one object for the driver and for the tools. */
export interface Address {
  /** For people, without secrets. */
  readonly label: string;
  readonly hosts: readonly Host[];
  readonly user: string;
  /** The databases meant, or undefined for all. */
  readonly selected: readonly string[] | undefined;
  readonly tls: {
    readonly mode: TlsMode;
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
  };
  readonly connectTimeoutMs: number;
  /** Milliseconds without any answer after which the server is given up. */
  readonly answerTimeoutMs: number;
  /** Told once when the server stops answering. */
  readonly onSilence: (silentMs: number) => void;
  /** libpq's own parameters, by their names in a URL. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly toolsDir: string | undefined;
  /** The user's own ~/.pgpass, when no password is given. */
  readonly passFile: string | undefined;
  /** The password for a database; undefined where none is known. */
  password(database: string): string | undefined;
}

/**
 * libpq's parameters that may stand in a URL, with the variables that tell them to the tools
 * (https://www.postgresql.org/docs/current/libpq-envars.html).
 */
export const parameterVariables: Readonly<Record<string, string>> = {
  application_name: "PGAPPNAME",
  channel_binding: "PGCHANNELBINDING",
  gssencmode: "PGGSSENCMODE",
  krbsrvname: "PGKRBSRVNAME",
  options: "PGOPTIONS",
  sslcrl: "PGSSLCRL",
  sslnegotiation: "PGSSLNEGOTIATION",
  target_session_attrs: "PGTARGETSESSIONATTRS",
};

/** Where servers put their sockets by default: Debian's folder and PostgreSQL's own. */
const socketFolders = ["/var/run/postgresql", "/tmp"];

/**
 * Resolves the options; what they leave open comes from the PG* variables and then from libpq's
 * defaults, as for every PostgreSQL client. PGDATABASE is not looked at: no database means all.
 *
 * @throws BackupError `usage/bad-url` and those of resolving secrets
 */
export async function resolveAddress(options: PostgresOptions, runtime: Runtime): Promise<Address> {
  const { env, secrets } = runtime;
  const connection = await resolveConnection(options, schemes, runtime);
  const parameters = parametersOf(connection, env);
  const hosts = hostsOf(connection, env);
  const user = connection.user ?? given(env, "PGUSER") ?? nameOfUser();
  const password = connection.password ?? given(env, "PGPASSWORD");
  if (password !== undefined) secrets.hide(password);
  const entries = password === undefined ? await passFileOf(env) : undefined;
  const timeout = Number(given(env, "PGCONNECT_TIMEOUT"));
  const isTimeoutGiven = options.connectTimeoutMs !== undefined ||
    connection.connectTimeoutMs !== 10_000;
  const label = connectionLabel({ ...connection, host: labelOf(hosts), port: undefined, user });
  const { answerTimeoutMs } = connection;
  return {
    label,
    answerTimeoutMs,
    onSilence: () =>
      runtime.log.warn("{label} does not answer; it is waited for up to {seconds} s", {
        label,
        seconds: answerTimeoutMs / 1000,
      }),
    hosts,
    user,
    selected: connection.databases ??
      (connection.database === undefined ? undefined : [connection.database]),
    tls: tlsOf(connection, env),
    connectTimeoutMs: timeout > 0 && !isTimeoutGiven ? timeout * 1000 : connection.connectTimeoutMs,
    parameters,
    toolsDir: options.toolsDir,
    passFile: entries?.path,
    password(database) {
      if (entries === undefined) return password;
      const found = findPassword(entries, hosts, database, user);
      if (found !== undefined) secrets.hide(found);
      return found;
    },
  };
}

/** As libpq does, and as it fails. @throws BackupError `config/no-user` */
function nameOfUser(): string {
  const name = ownName();
  if (name !== undefined) return name;
  throw new BackupError(
    "config/no-user",
    `No user is given, and user ${ownUid()} of this system, who runs dbbackup, has no name`,
    { hint: "Write the database's user into the URL, postgres://USER@HOST/DB, or set PGUSER." },
  );
}

function given(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === "" ? undefined : value;
}

function parametersOf({ parameters }: Connection, env: Environment): Record<string, string> {
  const known = Object.keys(parameterVariables);
  for (const name of Object.keys(parameters)) {
    if (known.includes(name)) continue;
    const all = [...known, "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout"];
    throw new BackupError("usage/bad-url", `Cannot use the URL's parameter "${name}"`, {
      hint: suggestion(name, all),
    });
  }
  const found: Record<string, string> = {};
  for (const [name, variable] of Object.entries(parameterVariables)) {
    const value = parameters[name] ?? given(env, variable);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

function hostsOf({ host, port, socket }: Connection, env: Environment): Host[] {
  const defaultPort = port ?? Number(given(env, "PGPORT")?.split(",")[0] ?? 5432);
  if (socket !== undefined) return [socketHost(socket, defaultPort)];
  const written = host ?? given(env, "PGHOST");
  if (written === undefined) {
    const folder = socketFolders.find((one) => existsSync(join(one, socketName(defaultPort))));
    return [{ host: folder ?? "localhost", port: defaultPort }];
  }
  return written.split(",").map((one) => {
    if (one.startsWith("/")) return socketHost(one, defaultPort);
    const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(one);
    // An IPv6 address without brackets has too many colons for a port.
    if (match === null) return { host: one, port: defaultPort };
    return { host: match[1] ?? match[2]!, port: Number(match[3] ?? defaultPort) };
  });
}

/** The folder that libpq wants, whether the socket itself or its folder is named. */
function socketHost(path: string, port: number): Host {
  const match = /^\.s\.PGSQL\.(\d+)$/.exec(basename(path));
  return match === null ? { host: path, port } : { host: dirname(path), port: Number(match[1]) };
}

/** The name of a server's socket in its folder. */
export function socketName(port: number): string {
  return `.s.PGSQL.${port}`;
}

function labelOf(hosts: readonly Host[]): string {
  return hosts.map(({ host, port }) => {
    if (host.startsWith("/")) return join(host, socketName(port));
    const name = host.includes(":") ? `[${host}]` : host;
    return port === 5432 ? name : `${name}:${port}`;
  }).join(",");
}

/** Files that libpq takes without being told. */
function defaultFile(env: Environment, name: string): string | undefined {
  const path = join(ownHome(env), ".postgresql", name);
  return existsSync(path) ? path : undefined;
}

function tlsOf({ tls }: Connection, env: Environment): Address["tls"] {
  const ca = tls.ca ?? given(env, "PGSSLROOTCERT") ?? defaultFile(env, "root.crt");
  const cert = tls.cert ?? given(env, "PGSSLCERT") ?? defaultFile(env, "postgresql.crt");
  const key = tls.key ?? given(env, "PGSSLKEY") ?? defaultFile(env, "postgresql.key");
  const variable = given(env, "PGSSLMODE");
  const fromEnvironment = tlsModes.find((one) => one === variable);
  // Who names an authority wants it checked, though libpq would not.
  const mode = tls.mode ?? fromEnvironment ?? (tls.ca === undefined ? "prefer" : "verify-full");
  // With an authority at hand, libpq checks it for `require`, too.
  const isChecked = mode === "require" && ca !== undefined;
  return { mode: isChecked ? "verify-ca" : mode, ca, cert, key };
}
