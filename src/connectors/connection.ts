import { defaultAnswerTimeoutMs } from "../core/alive.ts";
import {
  type Connection,
  type ServerOptions,
  type Tls,
  type TlsMode,
  tlsModes,
} from "../contracts/connection.ts";
import { BackupError } from "../core/errors.ts";
import type { Runtime } from "../core/runtime.ts";
import { nearest } from "../core/text.ts";
import { safeUrl, splitOnce } from "../core/url.ts";

/**
 * Resolves a server's options into one connection. Understands the parameters `sslmode`,
 * `sslrootcert`, `sslcert`, `sslkey`, `socket`, `host` (a socket folder), `connect_timeout` (s).
 *
 * @throws BackupError `usage/bad-url`, `config/connection` and those of resolving secrets
 */
export async function resolveConnection(
  options: ServerOptions,
  schemes: readonly string[],
  runtime: Runtime,
): Promise<Connection> {
  const resolve = async (text: ServerOptions["url"]) =>
    text === undefined ? undefined : await runtime.secrets.resolve(text);
  const resolvePublic = async (text: ServerOptions["url"]) =>
    text === undefined ? undefined : await runtime.secrets.resolve(text, { isPublic: true });
  const url = await resolvePublic(options.url);
  const parsed = url === undefined ? emptyUrl(schemes[0]!) : parseServerUrl(url, schemes);
  // A URL without a secret in it is an address, and people have to see which one.
  if (holdsSecret(parsed)) await resolve(options.url);
  if (parsed.password !== undefined) runtime.secrets.hide(parsed.password);
  const password = await resolve(options.password) ?? parsed.password;
  if (password !== undefined) runtime.secrets.hide(password);
  const socket = await resolvePublic(options.socket) ?? parsed.socket;
  const host = await resolvePublic(options.host) ?? parsed.host;
  return {
    scheme: parsed.scheme,
    host: socket === undefined || options.host !== undefined ? host : undefined,
    port: options.port ?? parsed.port,
    socket,
    user: await resolvePublic(options.user) ?? parsed.user,
    password,
    database: await resolvePublic(options.database) ?? parsed.database,
    databases: options.databases,
    tls: { ...parsed.tls, ...options.tls },
    connectTimeoutMs: options.connectTimeoutMs ?? parsed.connectTimeoutMs ?? 10_000,
    answerTimeoutMs: options.answerTimeoutMs ?? defaultAnswerTimeoutMs,
    parameters: parsed.parameters,
  };
}

function holdsSecret({ password, parameters }: ServerUrl): boolean {
  return password !== undefined ||
    Object.keys(parameters).some((name) => /pass|secret|token|key|propert/i.test(name));
}

/** A server URL taken apart; every part percent-decoded. Without a port where it names several hosts. */
export interface ServerUrl
  extends Omit<Connection, "databases" | "connectTimeoutMs" | "answerTimeoutMs"> {
  readonly connectTimeoutMs: number | undefined;
}

// scheme :// [user[:password]@] hosts [/database] [?parameters]; the last @ before the path ends
// the user part, so that an unescaped @ in a password is understood too.
const pattern = /^([a-z][a-z0-9+]*):\/\/(?:([^/?]*)@)?([^/?@]*)(?:\/([^?]*))?(?:\?(.*))?$/i;

/**
 * Takes a server URL apart. Unlike `new URL`, it accepts what users type: raw `@`, `#`, `%` and
 * spaces in the password, several hosts, an empty host for a socket.
 *
 * @throws BackupError `usage/bad-url`; the message never repeats the URL, which may hold a password
 */
export function parseServerUrl(url: string, schemes: readonly string[]): ServerUrl {
  const match = pattern.exec(url);
  const scheme = match?.[1]?.toLowerCase();
  const isUnderstood = match !== null && scheme !== undefined && schemes.includes(scheme);
  if (!isUnderstood || isCutPassword(match)) {
    throw new BackupError("usage/bad-url", `Cannot read the database URL "${safeUrl(url)}"`, {
      hint: `Write it as ${schemes[0]}://USER@HOST:PORT/DATABASE. ` +
        "Percent-encode / and ? in a password (%2F, %3F), and @ in a name (%40).",
    });
  }
  const [user, password] = splitOnce(match[2], ":");
  const parameters = readParameters(match[5] ?? "");
  const [host, port] = readHost(match[3] ?? "", url);
  const take = (name: string) => {
    const value = parameters[name];
    delete parameters[name];
    return value;
  };
  const hostParameter = take("host");
  const timeout = take("connect_timeout");
  return {
    scheme,
    host: hostParameter !== undefined && !hostParameter.startsWith("/") ? hostParameter : host,
    port,
    socket: take("socket") ?? (hostParameter?.startsWith("/") ? hostParameter : undefined),
    user: decoded(user),
    password: decoded(password),
    database: decoded(match[4]),
    tls: readTls(take),
    connectTimeoutMs: timeout === undefined ? undefined : Number(timeout) * 1000,
    parameters,
  };
}

/** Whether an `@` stands where a `/` or `?` in a password can have put it: never raw in a name. */
function isCutPassword([, , , , path = "", query = ""]: RegExpExecArray): boolean {
  return path.includes("@") || query.split("&").some((part) => part.split("=")[0]!.includes("@"));
}

/** The URL that describes a connection to people: never with a password. */
export function connectionLabel(connection: Connection): string {
  const user = connection.user === undefined ? "" : `${connection.user}@`;
  const place = connection.socket ??
    `${connection.host ?? "localhost"}${
      connection.port === undefined ? "" : `:${connection.port}`
    }`;
  const database = connection.database === undefined ? "" : `/${connection.database}`;
  return `${connection.scheme}://${user}${place}${database}`;
}

/**
 * What identifies a server that says nothing of itself: the option `source`, else the address as it
 * is written, without user, password, database and parameters.
 *
 * @param defaultPort of its kind, so that leaving it out and writing it are the same
 * @throws as {@link resolveConnection}
 */
export async function declaredServer(
  options: ServerOptions,
  schemes: readonly string[],
  defaultPort: number,
  runtime: Runtime,
): Promise<{ id: string; isNamed: boolean }> {
  if (options.source !== undefined) {
    return { id: await runtime.secrets.resolve(options.source, { isPublic: true }), isNamed: true };
  }
  const { socket, host, port } = await resolveConnection(options, schemes, runtime);
  const places = (host ?? "localhost").toLowerCase().split(",").map((place) =>
    /:\d+$/.test(place) && !/:.*:/.test(place) ? place : `${place}:${port ?? defaultPort}`
  );
  return { id: socket ?? places.join(","), isNamed: false };
}

function emptyUrl(scheme: string): ServerUrl {
  return {
    scheme,
    host: undefined,
    port: undefined,
    socket: undefined,
    user: undefined,
    password: undefined,
    database: undefined,
    tls: {},
    connectTimeoutMs: undefined,
    parameters: {},
  };
}

function readHost(text: string, url: string): [string | undefined, number | undefined] {
  if (text === "") return [undefined, undefined];
  const places = text.split(",").map((place) => readPlace(place, url));
  return places.length === 1 ? places[0]! : [text, undefined];
}

function readPlace(text: string, url: string): [string | undefined, number | undefined] {
  const match = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(text);
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || (port !== undefined && (port < 1 || port > 65_535))) {
    throw new BackupError("usage/bad-url", `Cannot read host and port of "${safeUrl(url)}"`, {
      hint: "Write HOST or HOST:PORT; IPv6 addresses in brackets, [::1]:5432.",
    });
  }
  return [decoded(match[1]!.replace(/^\[|\]$/g, "")), port];
}

function readParameters(query: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(query));
}

function readTls(take: (name: string) => string | undefined): Tls {
  const mode = take("sslmode")?.toLowerCase();
  if (mode !== undefined && mode !== "allow" && !tlsModes.includes(mode as TlsMode)) {
    const meant = nearest(mode, tlsModes);
    throw new BackupError("usage/bad-url", `Cannot use sslmode "${mode}"`, {
      hint: `${meant === undefined ? "" : `Did you mean "${meant}"? `}Use one of ${
        tlsModes.join(", ")
      }.`,
    });
  }
  const [ca, cert, key] = [take("sslrootcert"), take("sslcert"), take("sslkey")];
  return {
    ...(mode === undefined ? {} : { mode: mode === "allow" ? "prefer" : mode as TlsMode }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** Percent-decodes; a stray % that encodes nothing is taken as itself. */
function decoded(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
