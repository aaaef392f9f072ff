import { readFile } from "node:fs/promises";
import { connect as connectSocket, type Socket } from "node:net";
import type { Connection } from "mysql2/promise";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError, systemCode } from "../../core/errors.ts";
import type { MysqlAddress } from "./address.ts";

/** One connection of the driver. */
export interface Opened {
  readonly connection: Connection;
  readonly isEncrypted: boolean;
}

/**
 * Connects, within the address's `connectTimeoutMs`; who has it destroys it. An abort ends it at
 * once, whatever the server does.
 *
 * @throws the driver's error, the signal's reason, BackupError `connection/tls`
 */
export async function openConnection(address: MysqlAddress, o: Abortable): Promise<Opened> {
  const { mode } = address.tls;
  if (address.socket !== undefined || mode === "disable") return await connect(address, false, o);
  if (mode !== "prefer") return await connect(address, true, o);
  try {
    return await connect(address, true, o);
  } catch (error) {
    if (systemCode(error) !== "HANDSHAKE_NO_SSL_SUPPORT") throw error;
    return await connect(address, false, o);
  }
}

async function connect(
  address: MysqlAddress,
  isEncrypted: boolean,
  { signal }: Abortable,
): Promise<Opened> {
  // Lazy: the driver takes time to load, and most commands never need it.
  const { createConnection } = await import("mysql2/promise");
  const ssl = isEncrypted ? { ssl: await sslOptions(address) } : {};
  signal.throwIfAborted();
  const socket = openSocket(address);
  const abort = () => void socket.destroy(new Error("aborted"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    const connection = await createConnection({
      // Our own, since the driver gives nothing to end before it is connected.
      stream: () => socket,
      // The driver sends a password in the clear only where nobody can listen.
      ...address.socket === undefined ? { host: address.host } : { socketPath: address.socket },
      user: address.user,
      ...address.password === undefined ? {} : { password: address.password },
      charset: "utf8mb4_general_ci",
      connectTimeout: address.connectTimeoutMs,
      supportBigNumbers: true,
      dateStrings: true,
      ...ssl,
    });
    // The server's own mode may turn quotes and backslashes around.
    await connection.query("SET SESSION sql_mode = ''");
    return { connection, isEncrypted };
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** The way to a server, being opened. */
export function openSocket({ socket, host, port }: MysqlAddress): Socket {
  if (socket !== undefined) return connectSocket(socket);
  const opened = connectSocket(port, host);
  opened.on("connect", () => opened.setKeepAlive(true));
  return opened.setNoDelay(true);
}

/** TLS in the driver's words; PEM texts. */
export interface DriverTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized: boolean;
  /** Whether the certificate has to name the host. */
  readonly verifyIdentity: boolean;
}

/** What the address says of TLS, for `tls.connect`. @throws BackupError `connection/tls` */
export async function sslOptions({ tls }: MysqlAddress): Promise<DriverTls> {
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
