import type { RowDataPacket } from "mysql2/promise";
import { type SignOfLife, whileAlive } from "../../core/alive.ts";
import type { Abortable } from "../../core/bytes.ts";
import { hasCode, systemCode } from "../../core/errors.ts";
import { timed } from "../../core/retry.ts";
import type { MysqlAddress } from "./address.ts";
import { openConnection, type Opened } from "./driver.ts";
import { connectionError, isNetworkError } from "./refusals.ts";

/** A row of an answer, columns by name. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * The driver's connection, made at first use and made again when the server closed it. Every call
 * waits only as long as the server gives signs of life, and ends at once when it is aborted; what the
 * server was still working on is then stopped there, too.
 */
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
  /** Closes the connection; takes a few seconds at most. */
  close(): Promise<void>;
}

// A server that does not take a KILL in this time is left alone.
const killTimeoutMs = 5_000;

/** A client of an address. */
export function clientOf(address: MysqlAddress): Client {
  const closing = new AbortController();
  const server = signOfLife(address);
  const killing = new Set<Promise<void>>();
  let opening: Promise<Opened> | undefined;

  async function opened(): Promise<Opened> {
    const mine = opening ??= openConnection(address, { signal: closing.signal });
    try {
      return await mine;
    } catch (error) {
      if (opening === mine) opening = undefined;
      throw error;
    }
  }

  async function ask(
    sql: string,
    values: readonly unknown[],
    signal: AbortSignal,
  ): Promise<readonly Row[]> {
    const { connection } = await opened();
    signal.throwIfAborted();
    const abandon = () => {
      opening = undefined;
      connection.destroy();
      // One that has not answered for minutes takes no KILL either.
      if (!hasCode(signal.reason, "connection/silent")) kill(connection.threadId);
    };
    signal.addEventListener("abort", abandon, { once: true });
    try {
      const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
      return Array.isArray(rows) ? rows : [];
    } finally {
      signal.removeEventListener("abort", abandon);
    }
  }

  /** A server notices that nobody waits for an answer only when it sends one. */
  function kill(threadId: number): void {
    const done = timed(
      async (signal) => {
        const { connection } = await openConnection(address, { signal });
        try {
          await connection.query(`KILL ${Number(threadId)}`);
        } finally {
          connection.destroy();
        }
      },
      killTimeoutMs,
      closing.signal,
    ).catch(() => {}); // It has ended by itself, or the server is gone.
    killing.add(done);
    void done.then(() => killing.delete(done));
  }

  return {
    async query(sql, o, values = []) {
      return await whileAlive(
        async (signal) => {
          const isReused = opening !== undefined;
          try {
            return await ask(sql, values, signal);
          } catch (error) {
            // While a long dump runs, the server may close a connection that says nothing.
            if (!isReused || !isLost(error)) throw connectionError(address, error);
            opening = undefined;
            try {
              return await ask(sql, values, signal);
            } catch (again) {
              throw connectionError(address, again);
            }
          }
        },
        server,
        o,
      );
    },
    isEncrypted: async (o) =>
      await whileAlive(
        async () => {
          try {
            return (await opened()).isEncrypted;
          } catch (error) {
            throw connectionError(address, error);
          }
        },
        server,
        o,
      ),
    async close() {
      await Promise.all(killing);
      closing.abort(new Error("closed"));
      const open = await opening?.catch(() => undefined);
      open?.connection.destroy();
    },
  };
}

/** How a server is asked whether it is still there: by a connection that it takes or refuses. */
export function signOfLife(address: MysqlAddress): SignOfLife {
  return {
    label: address.label,
    limitMs: address.answerTimeoutMs,
    async ask(o) {
      try {
        (await openConnection(address, o)).connection.destroy();
      } catch (error) {
        // Too many connections, or no login any more: that is an answer, too.
        if (o.signal.aborted || isNetworkError(error)) throw error;
      }
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

function isLost(error: unknown): boolean {
  const code = systemCode(error);
  return code === "PROTOCOL_CONNECTION_LOST" || code === "ECONNRESET" || code === "EPIPE" ||
    /closed state|server has gone away/i.test(String(error));
}
