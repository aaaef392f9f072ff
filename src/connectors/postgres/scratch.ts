import type { Scratch, ScratchOrder } from "../../contracts/connector.ts";
import { BackupError } from "../../core/errors.ts";
import { type Address, resolveAddress } from "./address.ts";
import { type Client, clientOf } from "./client.ts";
import { dropDatabase } from "./create.ts";
import { databaseNames } from "./databases.ts";
import { derivedName } from "./names.ts";
import type { PostgresOptions } from "./options.ts";

type Found = Awaited<ReturnType<NonNullable<Scratch<unknown>["query"]>>>;

/**
 * A database of its own on the job's server, which the restore makes. Nobody connects to it, and what
 * is in it can reach no other: a dump makes subscriptions that are off.
 */
export async function scratch(
  options: PostgresOptions,
  { runtime, signal, databases, backupId }: ScratchOrder,
): Promise<Scratch<PostgresOptions>> {
  const [from] = databases;
  if (from === undefined || databases.length > 1) {
    throw new BackupError("restore/drill", `A drill of ${databases.length} databases is not made`, {
      hint: "A drill restores one database under another name: give each a job of its own.",
    });
  }
  const address = await resolveAddress(options, runtime);
  const client = clientOf(address, runtime);
  const place = await client.anyDatabase({ signal }, databases);
  const taken = await databaseNames(client, place, { signal });
  const name = derivedName(from, `_drill_${backupId}`, taken);
  return {
    options: { ...options, database: name, databases: undefined },
    location: `database ${name} at ${hostOf(address)}`,
    environment: environmentOf(address, name),
    query: (sql, o) => ask(client, name, sql, o.signal),
    async remove() {
      const isGone = await dropDatabase(client, place, name);
      await client.close();
      if (isGone) return;
      throw new BackupError("restore/drill", `Database "${name}" of the drill may still be there`, {
        hint: `Drop it: DROP DATABASE "${name}".`,
      });
    },
  };
}

async function ask(
  client: Client,
  database: string,
  sql: string,
  signal: AbortSignal,
): Promise<Found> {
  try {
    // The connector's own sessions see pg_catalog alone.
    await client.rows(database, "SET search_path TO DEFAULT", { signal });
    const [row] = await client.rows(database, sql, { signal });
    const value = row === undefined ? null : Object.values(row)[0] ?? null;
    return isPlain(value) ? value : JSON.stringify(value);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BackupError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new BackupError("restore/drill", `PostgreSQL cannot run "${sql}": ${message}`, {
      cause: error,
      hint: "Mend the query in the job's drill; it runs on what was restored.",
    });
  }
}

function isPlain(value: unknown): value is Found {
  return value === null || value instanceof Date ||
    ["string", "number", "bigint", "boolean"].includes(typeof value);
}

function hostOf({ hosts: [first] }: Address): string {
  return first === undefined ? "localhost" : `${first.host}:${first.port}`;
}

/** As libpq's tools take it (https://www.postgresql.org/docs/current/libpq-envars.html). */
function environmentOf({ hosts, user, tls, password }: Address, name: string) {
  const [first] = hosts;
  const values = {
    PGHOST: hosts.map(({ host }) => host).join(","),
    PGPORT: hosts.map(({ port }) => port).join(","),
    PGUSER: user,
    PGDATABASE: name,
    PGPASSWORD: password(name),
    PGSSLMODE: first?.host.startsWith("/") === true ? undefined : tls.mode,
    PGSSLROOTCERT: tls.ca,
    PGSSLCERT: tls.cert,
    PGSSLKEY: tls.key,
    DBBACKUP_DRILL_TARGET: first?.host.startsWith("/") === true
      ? `postgres:///${encodeURIComponent(name)}?host=${encodeURIComponent(first.host)}`
      : `postgres://${encodeURIComponent(user)}@${first?.host ?? "localhost"}:${
        first?.port ?? 5432
      }/${encodeURIComponent(name)}`,
  };
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => value === undefined ? [] : [[key, value]]),
  );
}
