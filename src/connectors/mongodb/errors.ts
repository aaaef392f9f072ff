import { BackupError } from "../../core/errors.ts";
import type { MongoAddress } from "./uri.ts";

/** Server error codes, https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
export const serverCodes = {
  unauthorized: 13,
  authenticationFailed: 18,
  commandNotFound: 59,
  invalidNamespace: 73,
  atlas: 8000,
} as const;

/** The code of a server's error, or undefined. */
export function serverCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "number" ? code : undefined;
}

/** Whether an error is a server's own answer: it is there, and refuses. */
export function answered(error: unknown): boolean {
  return error instanceof Error && /^Mongo(Server|Bulk\w*|WriteConcern)Error$/.test(error.name);
}

/**
 * For `catch` of what some servers do not offer: undefined where the server refused, with whatever
 * code; managed services and servers that only speak the protocol have codes of their own.
 */
export function refused(error: unknown): undefined {
  if (answered(error)) return undefined;
  throw error;
}

/** Turns what the driver throws into what the user should know; other errors stay as they are. */
export function connectionError(address: MongoAddress, error: unknown): unknown {
  if (!(error instanceof Error) || !error.name.startsWith("Mongo")) return error;
  const { label, connection } = address;
  const code = serverCode(error);
  if (
    code === serverCodes.authenticationFailed || code === serverCodes.atlas ||
    /^authentication failed/i.test(error.message)
  ) {
    return new BackupError("connection/authentication", `Authentication failed at ${label}`, {
      cause: error,
      hint: "Check user and password, and authSource: the database that the user was created in.",
    });
  }
  if (code === serverCodes.unauthorized) {
    return connection.user === undefined
      ? new BackupError("connection/authentication", `${label} requires authentication`, {
        cause: error,
        hint: "Give a user and a password: mongodb://USER:PASSWORD@HOST/?authSource=admin.",
      })
      : new BackupError("connection/denied", `${label} denied: ${error.message}`, {
        cause: error,
        hint:
          "Grant the user the built-in role backup, or to restore: restore and readAnyDatabase.",
      });
  }
  if (/MongoParseError|MongoInvalidArgumentError|MongoAPIError/.test(error.name)) {
    return new BackupError("usage/bad-url", `MongoDB cannot use the address: ${error.message}`, {
      cause: error,
      hint: "Check the URL's parameters.",
    });
  }
  if (answered(error)) {
    return new BackupError("connection/refused", `${label} refused: ${error.message}`, {
      cause: error,
      details: { code },
      hint: "The words are the server's own. It may lack what was asked for, or not offer it.",
    });
  }
  if (/certificate|\bTLS\b|\bSSL\b|self.signed/i.test(error.message)) {
    return new BackupError("connection/tls", `No trusted TLS to ${label}: ${error.message}`, {
      cause: error,
      hint: "Name the authority that signed the server's certificate with tls.ca.",
    });
  }
  const [, lateMs] = /^Server selection timed out after (\d+) ms$/.exec(error.message) ?? [];
  const why = lateMs === undefined ? error.message : `no answer within ${Number(lateMs) / 1000} s`;
  return new BackupError("connection/unreachable", `Cannot reach ${label}: ${why}`, {
    cause: error,
    hint: "Check host, port, firewall and, in a replica set, its name and its members' names.",
  });
}
