import type { Db, MongoClient } from "mongodb";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { MongoAddress } from "./uri.ts";

/** The driver's connection, made at first use. */
export interface Client {
  /** @throws BackupError `connection/unreachable`, `connection/authentication`, `connection/tls` */
  get(o: Abortable): Promise<MongoClient>;
  db(name: string, o: Abortable): Promise<Db>;
  close(): Promise<void>;
}

/** A client of an address. */
export function clientOf(address: MongoAddress): Client {
  let connecting: Promise<MongoClient> | undefined;
  async function connect(signal: AbortSignal): Promise<MongoClient> {
    // Lazy: the driver takes time to load, and most commands never need it.
    const { MongoClient } = await import("mongodb");
    let client: MongoClient | undefined;
    // Ends the waiting for a server that does not answer.
    const onAbort = () => void client?.close();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      client = new MongoClient(address.uri, {
        ...address.isHostnameIgnored ? { tlsAllowInvalidHostnames: true } : {},
      });
      return await client.connect();
    } catch (error) {
      await client?.close().catch(() => {});
      signal.throwIfAborted();
      throw connectionError(address, error);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
  async function get({ signal }: Abortable): Promise<MongoClient> {
    signal.throwIfAborted();
    connecting ??= connect(signal);
    try {
      return await connecting;
    } catch (error) {
      connecting = undefined;
      throw error;
    }
  }
  return {
    get,
    db: async (name, o) => (await get(o)).db(name),
    async close() {
      const client = await connecting?.catch(() => undefined);
      await client?.close();
    },
  };
}

/** Server error codes, https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
export const serverCodes = {
  unauthorized: 13,
  authenticationFailed: 18,
  commandNotFound: 59,
  atlas: 8000,
} as const;

/** The code of a server's error, or undefined. */
export function serverCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "number" ? code : undefined;
}

/** Turns what the driver throws into what the user should know; other errors stay as they are. */
export function connectionError(address: MongoAddress, error: unknown): unknown {
  if (!(error instanceof Error) || !error.name.startsWith("Mongo")) return error;
  const { label, connection } = address;
  const code = serverCode(error);
  if (code === serverCodes.authenticationFailed || code === serverCodes.atlas) {
    return new BackupError("connection/authentication", `${label} refused the login`, {
      cause: error,
      hint: "Check user and password, and authSource: the database that the user was created in.",
    });
  }
  if (code === serverCodes.unauthorized) {
    return connection.user === undefined
      ? new BackupError("connection/authentication", `${label} wants a login`, {
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
  if (/certificate|\bTLS\b|\bSSL\b|self.signed/i.test(error.message)) {
    return new BackupError("connection/tls", `No trusted TLS to ${label}: ${error.message}`, {
      cause: error,
      hint: "Name the authority that signed the server's certificate with tls.ca.",
    });
  }
  if (/MongoServerSelectionError|MongoNetwork|MongoTopology/.test(error.name)) {
    return new BackupError("connection/unreachable", `Cannot reach ${label}: ${error.message}`, {
      cause: error,
      hint: "Check host, port, firewall and, in a replica set, its name and its members' names.",
    });
  }
  return error;
}
