import { readFileSync } from "node:fs";
import { checkServerIdentity, rootCertificates } from "node:tls";
import { join } from "node:path";
import type { Sql } from "postgres";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError, systemCode } from "../../core/errors.ts";
import { type Address, socketName } from "./address.ts";

/** One row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** Connections of the driver, one a database, each made at first use. */
export interface Client {
  /** Runs one query and returns its rows. @throws BackupError `connection/…`, PostgresError */
  rows(
    database: string,
    text: string,
    o: Abortable,
    values?: readonly (string | number | null)[],
  ): Promise<Row[]>;
  /** A database that lets this user in, to ask about the whole server; none of `except`. */
  anyDatabase(o: Abortable, except?: readonly string[]): Promise<string>;
  /** Closes the connection to a database, so that it can be renamed or dropped. */
  release(database: string): Promise<void>;
  close(): Promise<void>;
}

/** A client of an address. */
export function clientOf(address: Address): Client {
  const connections = new Map<string, Promise<Sql>>();

  function connected(database: string): Promise<Sql> {
    const present = connections.get(database);
    if (present !== undefined) return present;
    const made = connect(address, database);
    connections.set(database, made);
    made.catch(() => connections.delete(database));
    return made;
  }

  async function rows(
    database: string,
    text: string,
    { signal }: Abortable,
    values: readonly (string | number | null)[] = [],
  ): Promise<Row[]> {
    signal.throwIfAborted();
    const sql = await connected(database).catch((error) => {
      throw connectionError(address, database, error);
    });
    const query = values.length === 0 ? sql.unsafe(text).simple() : sql.unsafe(text, [...values]);
    const cancel = () => query.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      return [...await query] as Row[];
    } catch (error) {
      signal.throwIfAborted();
      throw connectionError(address, database, error);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  return {
    rows,
    async anyDatabase(o, except = []) {
      const selected = address.selected ?? [];
      const candidates = ["postgres", "template1", address.user, ...selected];
      // A user of one database may be let into nothing else.
      const ordered = except.length === 0 ? [...selected, ...candidates] : candidates;
      let failure: unknown;
      for (const database of new Set(ordered)) {
        if (except.includes(database)) continue;
        try {
          await rows(database, "SELECT 1", o);
          return database;
        } catch (error) {
          if (!isClosedDoor(error)) throw error;
          failure ??= error;
        }
      }
      throw failure;
    },
    async release(database) {
      const sql = await connections.get(database)?.catch(() => undefined);
      connections.delete(database);
      await sql?.end({ timeout: 5 });
    },
    async close() {
      const all = [...connections.values()];
      connections.clear();
      for (const one of all) await (await one.catch(() => undefined))?.end({ timeout: 5 });
    },
  };
}

// As pg_dump sets them: names in answers carry their schema, and nothing cuts a long look short. Not
// as parameters of the connection, which poolers refuse.
const sessionSettings = "SET search_path = pg_catalog; SET statement_timeout = 0; " +
  "SET idle_in_transaction_session_timeout = 0";

async function connect(address: Address, database: string): Promise<Sql> {
  // Lazy: the driver takes time to load, and most commands never need it.
  const { default: postgres } = await import("postgres");
  const [first] = address.hosts;
  const isSocket = first!.host.startsWith("/");
  const ssl = isSocket ? false : tlsOptions(address);
  try {
    return await connectWith(postgres, address, database, ssl);
  } catch (error) {
    const { mode, cert } = address.tls;
    // The driver's own way of preferring TLS shows no certificate.
    if (isSocket || mode !== "prefer" || cert === undefined || !isTlsFailure(error)) throw error;
    return await connectWith(postgres, address, database, false);
  }
}

async function connectWith(
  postgres: typeof import("postgres"),
  address: Address,
  database: string,
  ssl: ReturnType<typeof tlsOptions>,
): Promise<Sql> {
  const [first] = address.hosts;
  const isSocket = first!.host.startsWith("/");
  const { parameters } = address;
  const sql = postgres({
    ...isSocket
      ? { host: "localhost", path: join(first!.host, socketName(first!.port)) }
      : hostLists(address),
    user: address.user,
    password: address.password(database) ?? "",
    database,
    ssl,
    // One connection each: session settings hold, and a database can be released at once.
    max: 1,
    connect_timeout: Math.max(1, Math.ceil(address.connectTimeoutMs / 1000)),
    max_lifetime: null,
    fetch_types: false,
    prepare: false,
    onnotice: () => {},
    ...parameters["target_session_attrs"] === undefined
      ? {}
      : { target_session_attrs: parameters["target_session_attrs"] as "primary" },
    connection: {
      application_name: parameters["application_name"] ?? "dbbackup",
      ...parameters["options"] === undefined ? {} : { options: parameters["options"] },
    },
  });
  try {
    await sql.unsafe(sessionSettings).simple();
  } catch (error) {
    await sql.end({ timeout: 0 });
    throw error;
  }
  return sql;
}

/** As lists, which the driver takes and its types deny: it cuts a text at the colons of IPv6. */
function hostLists({ hosts }: Address): { host: string; port: number } {
  const lists = { host: hosts.map(({ host }) => host), port: hosts.map(({ port }) => port) };
  return lists as unknown as { host: string; port: number };
}

function tlsOptions({ tls, hosts }: Address): "prefer" | "require" | false | object {
  const { mode, ca, cert, key } = tls;
  if (mode === "disable") return false;
  const identity = {
    ...cert === undefined ? {} : { cert: readPem(cert) },
    ...key === undefined ? {} : { key: readPem(key) },
  };
  if (mode === "prefer" && cert === undefined) return "prefer";
  if (mode === "prefer" || mode === "require") return { ...identity, rejectUnauthorized: false };
  const host = hosts[0]!.host;
  return {
    ...identity,
    rejectUnauthorized: true,
    ca: ca === undefined || ca === "system" ? [...rootCertificates] : readPem(ca),
    checkServerIdentity: mode === "verify-ca"
      ? () => undefined
      : (_name: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(host, certificate),
  };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BackupError("connection/tls", `Cannot read the certificate file "${path}"`, {
      cause,
      hint: "Check the paths of tls.ca, tls.cert and tls.key.",
    });
  }
}

/** The server's SQLSTATE of an error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  const code = systemCode(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && hasSeverity(error) ? code : undefined;
}

function hasSeverity(error: unknown): boolean {
  return typeof (error as { severity?: unknown }).severity === "string";
}

function isTlsFailure(error: unknown): boolean {
  if (!(error instanceof Error) || sqlState(error) !== undefined) return false;
  const text = `${systemCode(error) ?? ""} ${error.message}`;
  return /certificate|CERT|\bTLS\b|\bSSL\b|ERR_TLS|self.signed|wrong version|ALTNAME/i.test(text);
}

/** True when only this database is closed to us, and another may be open. */
function isClosedDoor(error: unknown): boolean {
  const state = sqlState(error instanceof BackupError ? error.cause : error);
  return state !== undefined && ["3D000", "42501", "28000", "55000"].includes(state);
}

/** Turns what the driver throws into what the user should know; other errors stay as they are. */
export function connectionError(address: Address, database: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof BackupError) return error;
  const { label, user } = address;
  const make = (code: `connection/${string}`, message: string, hint: string) =>
    new BackupError(code, message, { cause: error, hint });
  const state = sqlState(error);
  switch (state) {
    case "28P01":
      return make(
        "connection/authentication",
        `${label} refused the login of user "${user}"`,
        "Check user and password: in the URL, by --password-file, PGPASSWORD or ~/.pgpass.",
      );
    case "28000":
      return /pg_hba\.conf/.test(error.message)
        ? make(
          "connection/denied",
          `${label} lets user "${user}" not into database "${database}": ${error.message}`,
          "Allow it in the server's pg_hba.conf, or connect another way (TLS, socket).",
        )
        : make(
          "connection/authentication",
          `${label} refused the login of user "${user}": ${error.message}`,
          "Check the user's name, and for a socket the user that dbbackup runs as.",
        );
    case "3D000":
      return make(
        "connection/no-database",
        `There is no database "${database}" at ${label}`,
        "Check its name, upper and lower case, too; `psql -l` lists what there is.",
      );
    case "42501":
      if (!/permission denied for database/.test(error.message)) return error;
      return make(
        "connection/denied",
        `User "${user}" may not connect to database "${database}"`,
        `Let it in: GRANT CONNECT ON DATABASE "${database}" TO "${user}".`,
      );
    case "53300":
    case "57P03":
    case "57P01":
      return make(
        "connection/unreachable",
        `${label} takes no connection now: ${error.message}`,
        "Wait until the server is up, or raise max_connections.",
      );
  }
  if (state !== undefined) return error;
  const system = systemCode(error) ?? "";
  const text = `${system} ${error.message}`;
  if (isTlsFailure(error)) {
    return make(
      "connection/tls",
      `No trusted TLS to ${label}: ${error.message || system}`,
      "Name the authority that signed the server's certificate with sslrootcert (tls.ca), and " +
        "connect by the name in the certificate.",
    );
  }
  if (/^(E[A-Z]+|CONNECT|ABORT|DESTROY)/.test(system) || /connection|socket/i.test(text)) {
    return make(
      "connection/unreachable",
      `Cannot reach ${label}: ${error.message || system}`,
      "Check host, port and firewall, and that the server is running.",
    );
  }
  return error;
}
