import { readFile } from "node:fs/promises";
import type { Connection, ConnectionOptions, RowDataPacket } from "mysql2/promise";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError, systemCode } from "../../core/errors.ts";
import type { MysqlAddress } from "./address.ts";

/** A row of an answer, columns by name. */
export type Row = Readonly<Record<string, unknown>>;

/** The driver's connection, made at first use and made again when the server closed it. */
export interface Client {
  /**
   * Runs one statement.
   *
   * @param values for its `?`; texts and numbers
   * @throws BackupError `connection/…`; the driver's error where the statement itself is refused
   */
  query(sql: string, o: Abortable, values?: readonly unknown[]): Promise<readonly Row[]>;
  /** Whether the connection is encrypted. */
  isEncrypted(o: Abortable): Promise<boolean>;
  close(): Promise<void>;
}

/** Server error codes, https://dev.mysql.com/doc/mysql-errors/9.4/en/server-error-reference.html */
const codes = {
  hostBlocked: 1129,
  hostNotPrivileged: 1130,
  databaseDenied: 1044,
  accessDenied: 1045,
  badDatabase: 1049,
  tableDenied: 1142,
  columnDenied: 1143,
  specificDenied: 1227,
  routineDenied: 1370,
  accessDeniedNoPassword: 1698,
  mustChangePassword: 1862,
  secureTransportRequired: 3159,
  accountLocked: 3118,
} as const;

const notLoggedIn: readonly number[] = [
  codes.accessDenied,
  codes.accessDeniedNoPassword,
  codes.mustChangePassword,
  codes.accountLocked,
  codes.hostNotPrivileged,
];
const denied: readonly number[] = [
  codes.databaseDenied,
  codes.tableDenied,
  codes.columnDenied,
  codes.specificDenied,
  codes.routineDenied,
];

/** A client of an address. */
export function clientOf(address: MysqlAddress): Client {
  let opening: Promise<Opened> | undefined;

  async function opened({ signal }: Abortable): Promise<Opened> {
    signal.throwIfAborted();
    opening ??= open(address);
    try {
      return await opening;
    } catch (error) {
      opening = undefined;
      throw error;
    }
  }

  return {
    async query(sql, o, values) {
      const isReused = opening !== undefined;
      try {
        return await ask((await opened(o)).connection, sql, values);
      } catch (error) {
        // While a long dump runs, the server may close a connection that says nothing.
        if (!isReused || !isLost(error)) throw connectionError(address, error);
        opening = undefined;
        try {
          return await ask((await opened(o)).connection, sql, values);
        } catch (again) {
          throw connectionError(address, again);
        }
      }
    },
    isEncrypted: async (o) => (await opened(o)).isEncrypted,
    async close() {
      const open = await opening?.catch(() => undefined);
      open?.connection.destroy();
    },
  };
}

/** An identifier, quoted. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** A string, quoted, for a session without NO_BACKSLASH_ESCAPES. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/** The code of a server's error, or undefined. */
export function serverCode(error: unknown): number | undefined {
  const code = (error as { errno?: unknown } | undefined)?.errno;
  return typeof code === "number" && code >= 1000 ? code : undefined;
}

/** True for a statement that this user may not run. */
export function isDenied(error: unknown): boolean {
  if (error instanceof BackupError) return error.code === "connection/denied";
  return denied.includes(serverCode(error) ?? 0);
}

interface Opened {
  readonly connection: Connection;
  readonly isEncrypted: boolean;
}

async function open(address: MysqlAddress): Promise<Opened> {
  const { mode } = address.tls;
  if (address.socket !== undefined || mode === "disable") return await connect(address, false);
  if (mode !== "prefer") return await connect(address, true);
  try {
    return await connect(address, true);
  } catch (error) {
    if (systemCode(error) !== "HANDSHAKE_NO_SSL_SUPPORT") throw error;
    return await connect(address, false);
  }
}

async function connect(address: MysqlAddress, isEncrypted: boolean): Promise<Opened> {
  // Lazy: the driver takes time to load, and most commands never need it.
  const { createConnection } = await import("mysql2/promise");
  const place = address.socket === undefined
    ? { host: address.host, port: address.port }
    : { socketPath: address.socket };
  const connection = await createConnection({
    ...place,
    user: address.user,
    ...address.password === undefined ? {} : { password: address.password },
    charset: "utf8mb4_general_ci",
    connectTimeout: address.connectTimeoutMs,
    supportBigNumbers: true,
    dateStrings: true,
    ...isEncrypted ? { ssl: await sslOptions(address) } : {},
  });
  // The server's own mode may turn quotes and backslashes around.
  await connection.query("SET SESSION sql_mode = ''");
  return { connection, isEncrypted };
}

async function sslOptions(
  { tls }: MysqlAddress,
): Promise<Exclude<ConnectionOptions["ssl"], string | undefined>> {
  const read = async (path: string | undefined) =>
    path === undefined ? undefined : await readPem(path);
  const [ca, cert, key] = await Promise.all([tls.ca, tls.cert, tls.key].map(read));
  return {
    ...ca === undefined ? {} : { ca },
    ...cert === undefined ? {} : { cert },
    ...key === undefined ? {} : { key },
    rejectUnauthorized: tls.mode.startsWith("verify-"),
    verifyIdentity: tls.mode === "verify-full",
  };
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new BackupError("connection/tls", `Cannot read the TLS file "${path}"`, {
      cause,
      hint: "Check the paths in tls: ca, cert and key.",
    });
  }
}

async function ask(
  connection: Connection,
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
  return Array.isArray(rows) ? rows : [];
}

function isLost(error: unknown): boolean {
  const code = systemCode(error);
  return code === "PROTOCOL_CONNECTION_LOST" || code === "ECONNRESET" || code === "EPIPE" ||
    /closed state|server has gone away/i.test(String(error));
}

/** Turns what the driver throws into what the user should know; other errors stay as they are. */
export function connectionError(address: MysqlAddress, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof BackupError) return error;
  const { label } = address;
  const code = serverCode(error);
  if (code !== undefined && notLoggedIn.includes(code)) {
    return new BackupError("connection/authentication", `${label} refused: ${error.message}`, {
      cause: error,
      hint: address.password === undefined
        ? "Give a password, or write it into ~/.my.cnf; over the Unix socket " +
          "(?socket=PATH) some users need none."
        : "Check user, password and the host that the user may connect from.",
    });
  }
  if (code === codes.badDatabase) {
    return new BackupError("connection/no-database", `${label}: ${error.message}`, {
      cause: error,
      hint: "Check the name; upper and lower case may count.",
    });
  }
  if (code === codes.secureTransportRequired) {
    return new BackupError("connection/tls", `${label} wants TLS: ${error.message}`, {
      cause: error,
      hint: "Set tls.mode to require or verify-full.",
    });
  }
  if (code !== undefined && denied.includes(code)) {
    return new BackupError("connection/denied", `${label} denied: ${error.message}`, {
      cause: error,
      hint: "Grant the user what is missing; `dbbackup doctor` lists what a backup needs.",
    });
  }
  return networkError(label, error) ?? error;
}

function networkError(label: string, error: Error): BackupError | undefined {
  const code = systemCode(error) ?? "";
  const isTls = /^HANDSHAKE_|^ERR_TLS|^ERR_SSL|CERT|SELF_SIGNED|UNABLE_TO_/.test(code) ||
    /certificate|hostname\/IP does not match|does not support secure/i.test(error.message);
  if (isTls) {
    return new BackupError("connection/tls", `No trusted TLS to ${label}: ${error.message}`, {
      cause: error,
      hint: "Name the authority that signed the server's certificate with tls.ca, " +
        "and the host as the certificate does.",
    });
  }
  const isNetwork = /^(ECONN|EHOST|ENET|ENOTFOUND|EAI_|ETIMEDOUT|ENOENT|EACCES|EPIPE|PROTOCOL_CONN)/
    .test(code);
  const isFull = serverCode(error) === 1040 || serverCode(error) === codes.hostBlocked;
  if (!isNetwork && !isFull) return undefined;
  return new BackupError(
    "connection/unreachable",
    `Cannot reach ${label}: ${error.message || code}`,
    {
      cause: error,
      hint: "Check that the server runs, and host, port or socket, and firewall.",
    },
  );
}
