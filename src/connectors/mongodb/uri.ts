import { type Connection } from "../../contracts/connection.ts";
import { connectionLabel, resolveConnection } from "../connection.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { type MongodbOptions, schemes } from "./options.ts";

/** Where a MongoDB is, for the driver and the tools alike. */
export interface MongoAddress {
  readonly connection: Connection;
  /** With the password, without a database. */
  readonly uri: string;
  /** What the driver and the tools are told in other ways than the URI. */
  readonly isHostnameIgnored: boolean;
  /** For people: no password. */
  readonly label: string;
  /** The databases meant; undefined for all. */
  readonly selected: readonly string[] | undefined;
  readonly toolsDir: string | undefined;
}

// These log in without a database of users, so that they have no authSource of the URL's.
const externalMechanisms = /^(MONGODB-X509|MONGODB-AWS|MONGODB-OIDC|GSSAPI|PLAIN)$/i;

/** Puts options together into one URI. @throws as resolveConnection */
export async function resolveAddress(
  options: MongodbOptions,
  runtime: Runtime,
): Promise<MongoAddress> {
  const resolve = async (text: MongodbOptions["url"]) =>
    text === undefined ? undefined : await runtime.secrets.resolve(text, { isPublic: true });
  const connection = withSocket(await resolveConnection(options, schemes, runtime));
  const replicaSet = await resolve(options.replicaSet);
  const authSource = await resolve(options.authSource);
  const { parameters, database, databases, user } = connection;
  const isExternal = externalMechanisms.test(parameters["authMechanism"] ?? "");
  // Without one in the URI, the URL's database knows the user. An SRV record may name another.
  const implied = user === undefined || isExternal || connection.scheme === "mongodb+srv"
    ? undefined
    : database;
  const all: Record<string, string> = {
    appName: "dbbackup",
    connectTimeoutMS: String(connection.connectTimeoutMs),
    serverSelectionTimeoutMS: String(connection.connectTimeoutMs),
    ...implied === undefined ? {} : { authSource: implied },
    ...parameters,
    ...replicaSet === undefined ? {} : { replicaSet },
    ...authSource === undefined ? {} : { authSource },
    ...tlsParameters(connection),
  };
  const query = Object.entries(all).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const uri = `${connection.scheme}://${login(connection)}${hosts(connection)}/?${query.join("&")}`;
  return {
    connection,
    uri,
    isHostnameIgnored: connection.tls.mode === "verify-ca",
    label: connectionLabel(connection),
    selected: databases ?? (database === undefined ? undefined : [database]),
    toolsDir: options.toolsDir,
  };
}

/** MongoDB's own way to name a socket in a URL is to put it, percent-encoded, where hosts stand. */
function withSocket(connection: Connection): Connection {
  return connection.host?.startsWith("/") === true
    ? { ...connection, host: undefined, socket: connection.host }
    : connection;
}

function login({ user, password }: Connection): string {
  if (user === undefined) return "";
  const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`;
  return `${encodeURIComponent(user)}${secret}@`;
}

function hosts({ socket, host, port }: Connection): string {
  if (socket !== undefined) return encodeURIComponent(socket);
  if (host?.includes(",")) return host;
  const name = host ?? "localhost";
  const address = name.includes(":") ? `[${name}]` : name;
  return port === undefined ? address : `${address}:${port}`;
}

function tlsParameters({ tls }: Connection): Record<string, string> {
  const { mode, ca, cert, key } = tls;
  if (mode === "disable") return { tls: "false" };
  if (key !== undefined && key !== cert) {
    throw new BackupError(
      "config/connection",
      `MongoDB cannot use the separate key file "${key}"`,
      {
        hint: "Put certificate and key into one PEM file, and name it as tls.cert.",
      },
    );
  }
  // MongoDB cannot try TLS and go on without, so "prefer" means what the URI says.
  const isOn = (mode !== undefined && mode !== "prefer") || ca !== undefined || cert !== undefined;
  return {
    ...isOn ? { tls: "true" } : {},
    ...mode === "require" ? { tlsInsecure: "true" } : {},
    ...ca === undefined ? {} : { tlsCAFile: ca },
    ...cert === undefined ? {} : { tlsCertificateKeyFile: cert },
  };
}
