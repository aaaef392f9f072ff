import { readFileSync } from "node:fs";
import { checkServerIdentity, rootCertificates } from "node:tls";
import { join } from "node:path";
import type { Sql } from "postgres";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { abortable } from "../../core/retry.ts";
import { type Address, socketName } from "./address.ts";
import { isTlsFailure } from "./failure.ts";

// As pg_dump sets them: names in answers carry their schema, and nothing cuts a long look short. Not
// as parameters of the connection, which poolers refuse.
const sessionSettings = "SET search_path = pg_catalog; " +
  "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN (" +
  "'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', " +
  "'idle_session_timeout', 'transaction_timeout')";

/** What the end of a login's time may add to the driver's own limit of it. */
const graceMs = 2_000;

/**
 * Opens one connection of the driver.
 *
 * @throws what the driver throws, for {@link connectionError}; BackupError `connection/tls`
 */
export async function connect(
  address: Address,
  database: string,
  o: Abortable & {
    /** Told when the connection has ended: the driver would make another one, without settings. */
    onClose?: () => void;
    /** Whether it is to take the commands of replication, too. */
    isReplication?: boolean;
  },
): Promise<Sql> {
  // Lazy: the driver takes time to load, and most commands never need it.
  const { default: postgres } = await import("postgres");
  const [first] = address.hosts;
  const isSocket = first!.host.startsWith("/");
  const ssl = isSocket ? false : tlsOptions(address);
  try {
    return await connectWith(postgres, address, database, ssl, o);
  } catch (error) {
    const { mode, cert } = address.tls;
    // The driver's own way of preferring TLS shows no certificate.
    if (isSocket || mode !== "prefer" || cert === undefined || !isTlsFailure(error)) throw error;
    return await connectWith(postgres, address, database, false, o);
  }
}

async function connectWith(
  postgres: typeof import("postgres"),
  address: Address,
  database: string,
  ssl: ReturnType<typeof tlsOptions>,
  { signal, onClose, isReplication = false }: Parameters<typeof connect>[2],
): Promise<Sql> {
  signal.throwIfAborted();
  const [first] = address.hosts;
  const isSocket = first!.host.startsWith("/");
  const { parameters } = address;
  let isOpen = false;
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
    // Not of a try that failed.
    onclose: () => isOpen && onClose?.(),
    ...parameters["target_session_attrs"] === undefined
      ? {}
      : { target_session_attrs: parameters["target_session_attrs"] as "primary" },
    connection: {
      application_name: parameters["application_name"] ?? "dbbackup",
      ...parameters["options"] === undefined ? {} : { options: parameters["options"] },
      ...isReplication ? { replication: "database" } : {},
    },
  });
  // The driver's limit is of one try, and it tries again when it is hung up on during the login.
  const limitMs = address.connectTimeoutMs * address.hosts.length + graceMs;
  const ending = new AbortController();
  const abort = () => ending.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const timer = setTimeout(() => ending.abort(notLetIn(address)), limitMs);
  try {
    await abortable(sql.unsafe(sessionSettings).simple(), ending.signal);
    isOpen = true;
  } catch (error) {
    sql.end({ timeout: 0 }).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
  return sql;
}

function notLetIn({ label, connectTimeoutMs }: Address): BackupError {
  return new BackupError(
    "connection/unreachable",
    `Cannot reach ${label}: no connection was accepted within ${connectTimeoutMs / 1000} s`,
    {
      hint: "Check that the server is running, and what stands between: a proxy or pooler may " +
        "take connections for a server that is gone.",
    },
  );
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
