import { BackupError, type ErrorCode, hasCode, systemCode } from "../../core/errors.ts";
import type { Address } from "./address.ts";

/** The server's SQLSTATE of an error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  const code = systemCode(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && hasSeverity(error) ? code : undefined;
}

function hasSeverity(error: unknown): boolean {
  return typeof (error as { severity?: unknown }).severity === "string";
}

/** Whether a connection failed for its TLS. */
export function isTlsFailure(error: unknown): boolean {
  if (!(error instanceof Error) || sqlState(error) !== undefined) return false;
  const text = `${systemCode(error) ?? ""} ${error.message}`;
  return /certificate|CERT|\bTLS\b|\bSSL\b|ERR_TLS|self.signed|wrong version|ALTNAME/i.test(text);
}

/** True when only this database is closed to us, and another may be open. */
export function isClosedDoor(error: unknown): boolean {
  const state = sqlState(error instanceof BackupError ? error.cause : error);
  return state !== undefined && ["3D000", "42501", "28000", "55000"].includes(state);
}

/** Whether an error is the end of its connection: one more query needs a new one. */
export function isLost(error: unknown): boolean {
  if (hasCode(error, "connection/")) return true;
  const state = sqlState(error);
  if (state !== undefined) return /^(08|57P0|25P03|25P04)/.test(state);
  return error instanceof Error && systemCode(error) !== undefined;
}

/**
 * What the server said to a login, or to a query that it refused, as an error that tells so. Errors
 * that are told already stay as they are.
 */
export function refusal(code: ErrorCode, address: Address, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof BackupError) return error;
  const state = sqlState(error);
  if (state === undefined) return error;
  return new BackupError(code, `${address.label} refused: ${error.message}`, {
    cause: error,
    details: { sqlState: state },
    hint: hints.find(([pattern]) => pattern.test(`${state} ${error.message}`))?.[1] ??
      "Look into the server's log; --log-level debug shows more.",
  });
}

const hints: readonly (readonly [RegExp, string])[] = [
  [/^42501|permission denied/, "Grant the user what is missing."],
  [/^57014.*timeout/, "Raise the timeout that is set for this user or database."],
  [/^53|No space left/, "Free space, memory or connections on the server, then run again."],
  [
    /^58P01|could not access file|could not load library/,
    "Install the files that the message names on the server, or drop what needs them.",
  ],
  [/^XX00[12]/, "The server's own data is damaged: look into its log before anything else."],
];

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
        `Authentication of user "${user}" failed at ${label}`,
        "Check user and password: in the URL, by --password-file, PGPASSWORD or ~/.pgpass.",
      );
    case "28000":
      return /pg_hba\.conf/.test(error.message)
        ? make(
          "connection/denied",
          `${label} denied user "${user}" access to database "${database}": ${error.message}`,
          "Allow it in the server's pg_hba.conf, or connect another way (TLS, socket).",
        )
        : make(
          "connection/authentication",
          `Authentication of user "${user}" failed at ${label}: ${error.message}`,
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
        `${label} denied user "${user}" access to database "${database}"`,
        `Run: GRANT CONNECT ON DATABASE "${database}" TO "${user}".`,
      );
    case "55000":
      if (!/accepting connections|invalid database/.test(error.message)) return error;
      return make(
        "connection/denied",
        `Database "${database}" at ${label} does not accept connections: ${error.message}`,
        /invalid database/.test(error.message)
          ? "It is left over from an interrupted DROP DATABASE; drop it again."
          : `Run: ALTER DATABASE "${database}" ALLOW_CONNECTIONS true.`,
      );
    case "53300":
    case "57P03":
      return make(
        "connection/unreachable",
        `${label} does not accept connections now: ${error.message}`,
        "Wait until the server is up, or raise max_connections.",
      );
    // PgBouncer's only code, for whatever it does not let through.
    case "08P01":
      if (/no such database|database .* does not exist/.test(error.message)) {
        return make(
          "connection/no-database",
          `There is no database "${database}" at ${label}: ${error.message}`,
          "Check its name, and the pooler's list of databases.",
        );
      }
  }
  if (state !== undefined && isLost(error)) {
    return make(
      "connection/unreachable",
      `${label} ended the connection: ${error.message}`,
      "Wait until the server is up, and look into its log; then run again.",
    );
  }
  if (state !== undefined) return error;
  const system = systemCode(error) ?? "";
  const text = `${system} ${error.message}`;
  if (system === "CONNECT_TIMEOUT") {
    return make(
      "connection/unreachable",
      `Cannot reach ${label}: no answer within ${address.connectTimeoutMs / 1000} s`,
      "Check host, port and firewall, and that the server is running. How long is waited is " +
        "connect_timeout in the URL.",
    );
  }
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
