import { BackupError, systemCode } from "../../core/errors.ts";
import type { MysqlAddress } from "./address.ts";

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

/**
 * What a server refused for a reason of its own: a crashed table, a full disk, a limit on time.
 *
 * @param area of what was under way
 */
export function refusalError(address: MysqlAddress, error: unknown, area: "dump" | "restore") {
  const known = connectionError(address, error);
  if (known instanceof BackupError || !isAnswer(known)) return known;
  const { message, errno } = known;
  return new BackupError(`${area}/failed`, `${address.label} refused: ${message}`, {
    cause: error,
    details: { errno },
    hint: "These are the server's own words. Mend it there, then run again.",
  });
}

/** Errors of files have numbers of their own, under 1000, in a server's answer, too. */
function isAnswer(error: unknown): error is Error & { readonly errno: number } {
  return error instanceof Error && typeof (error as { sqlState?: unknown }).sqlState === "string";
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
  const isFull = serverCode(error) === 1040 || serverCode(error) === codes.hostBlocked;
  if (!isNetworkError(error) && !isFull) return undefined;
  // The driver's word for its own limit as well as the system's.
  const why = code === "ETIMEDOUT" ? "no answer" : error.message || code;
  return new BackupError(
    "connection/unreachable",
    `Cannot reach ${label}: ${why}`,
    {
      cause: error,
      hint: "Check that the server runs, and host, port or socket, and firewall.",
    },
  );
}

/** True for what comes from the way to a server, not from the server. */
export function isNetworkError(error: unknown): boolean {
  return /^(ECONN|EHOST|ENET|ENOTFOUND|EAI_|ETIMEDOUT|ENOENT|EACCES|EPIPE|PROTOCOL_CONN)/
    .test(systemCode(error) ?? "");
}
