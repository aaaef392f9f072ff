import type { Scratch, ScratchOrder } from "../../contracts/connector.ts";
import { BackupError } from "../../core/errors.ts";
import { type MysqlAddress, resolveAddress } from "./address.ts";
import { clientOf, quoteName } from "./client.ts";
import type { MysqlOptions } from "./options.ts";

type Found = Awaited<ReturnType<NonNullable<Scratch<unknown>["query"]>>>;

/** Of what MySQL and MariaDB keep of a name. */
const longestName = 64;

/** A database of its own on the job's server, which the restore makes. */
export async function scratch(
  options: MysqlOptions,
  { runtime, signal, databases, backupId, inventory }: ScratchOrder,
): Promise<Scratch<MysqlOptions>> {
  const [from] = databases;
  if (from === undefined || databases.length > 1) {
    throw new BackupError("restore/drill", `A drill of ${databases.length} databases is not made`, {
      hint: "A drill restores one database under another name: give each a job of its own.",
    });
  }
  assertAlone(inventory);
  const address = await resolveAddress(options, runtime);
  const client = clientOf(address);
  const ending = `_drill_${backupId}`;
  const name = from.slice(0, longestName - ending.length) + ending;
  const [present] = await client.query(
    "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?",
    { signal },
    [name],
  );
  if (present !== undefined) {
    await client.close();
    throw new BackupError("restore/drill", `Database "${name}" of another drill is there`, {
      hint: `Where none is under way, drop it: DROP DATABASE ${quoteName(name)}.`,
    });
  }
  return {
    options: { ...options, database: name, databases: undefined },
    location: `database ${name} at ${hostOf(address)}`,
    environment: environmentOf(address, name),
    async query(sql, o) {
      try {
        await client.query(`USE ${quoteName(name)}`, o);
        const [row] = await client.query(sql, o);
        const value = row === undefined ? null : Object.values(row)[0] ?? null;
        return isPlain(value) ? value : JSON.stringify(value);
      } catch (error) {
        o.signal.throwIfAborted();
        if (error instanceof BackupError) throw error;
        const message = error instanceof Error ? error.message : String(error);
        throw new BackupError("restore/drill", `The server cannot run "${sql}": ${message}`, {
          cause: error,
          hint: "Mend the query in the job's drill; it runs on what was restored.",
        });
      }
    },
    async remove() {
      try {
        await client.query(`DROP DATABASE IF EXISTS ${quoteName(name)}`, {
          signal: new AbortController().signal,
        });
      } catch (cause) {
        throw new BackupError(
          "restore/drill",
          `Database "${name}" of the drill may still be there`,
          {
            cause,
            hint: `Drop it: DROP DATABASE ${quoteName(name)}.`,
          },
        );
      } finally {
        await client.close();
      }
    },
  };
}

/** An event runs by itself, and may write into other databases; so does a routine that it calls. */
function assertAlone({ databases }: ScratchOrder["inventory"]): void {
  const event = databases.flatMap(({ objects }) => objects).find(({ type }) => type === "event");
  if (event === undefined) return;
  throw new BackupError(
    "restore/drill",
    `The backup has the event "${event.name}", which would run in the database of a drill as well`,
    { hint: "Restore it to another server: `dbbackup restore JOB --to URL`." },
  );
}

function isPlain(value: unknown): value is Found {
  return value === null || value instanceof Date ||
    ["string", "number", "bigint", "boolean"].includes(typeof value);
}

function hostOf({ socket, host, port }: Pick<MysqlAddress, "socket" | "host" | "port">): string {
  return socket ?? `${host}:${port}`;
}

/** As the clients take it, but for the user, whom they take as an option alone. */
function environmentOf(
  { socket, host, port, user, password }: MysqlAddress,
  name: string,
): Record<string, string> {
  return {
    ...socket === undefined
      ? { MYSQL_HOST: host, MYSQL_TCP_PORT: String(port) }
      : { MYSQL_UNIX_PORT: socket },
    ...password === undefined ? {} : { MYSQL_PWD: password },
    DBBACKUP_DRILL_TARGET: `mysql://${encodeURIComponent(user)}@${hostOf({ socket, host, port })}/${
      encodeURIComponent(name)
    }`,
  };
}
