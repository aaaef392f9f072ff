import type { Sql } from "postgres";
import { whileAlive } from "../../core/alive.ts";
import type { Abortable } from "../../core/bytes.ts";
import { hasCode } from "../../core/errors.ts";
import { sleep, timed } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Address } from "./address.ts";
import { connect } from "./connect.ts";
import { connectionError, isClosedDoor, isLost, refusal } from "./failure.ts";
import { noteServer, signOfLife } from "./sign-of-life.ts";

/** One row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Connections of the driver, one a database, each made at first use. Nothing waits for the server
 * for longer than it gives signs of life; an abort ends every wait within a second.
 */
export interface Client {
  /**
   * Runs one query and returns its rows.
   *
   * @throws BackupError `connection/…`; PostgresError where the server refuses the query itself
   */
  rows(
    database: string,
    text: string,
    o: Abortable,
    values?: readonly (string | number | null)[],
  ): Promise<Row[]>;
  /** A database that lets this user in, to ask about the whole server; none of `except`. */
  anyDatabase(o: Abortable, except?: readonly string[]): Promise<string>;
  /** Closes the connection to a database, so that it can be renamed or dropped. */
  release(database: string): Promise<void>;
  close(): Promise<void>;
}

/** How long a connection's orderly end is waited for. */
const endSeconds = 5;
/** How long a query that was told to stop is waited for, so that what it does is known. */
const cancelMs = 1_000;
const longestPauseMs = 5_000;

/** A client of an address. */
export function clientOf(address: Address, runtime: Pick<Runtime, "log">): Client {
  const connections = new Map<string, Promise<Sql>>();
  const server = signOfLife(address);
  let isKnown = false;
  let isAborted = () => false;

  function connected(database: string, o: Abortable): Promise<Sql> {
    const present = connections.get(database);
    if (present !== undefined) return present;
    const made: Promise<Sql> = connectPatiently(database, {
      ...o,
      onClose: () => forget(database, made),
    });
    connections.set(database, made);
    made.then(() => isKnown = true, () => forget(database, made));
    return made;
  }

  /**
   * A server that has let us in is waited for while it refuses connections, as it does when it
   * starts again or is full: what has run for hours is not to end by that.
   */
  async function connectPatiently(
    database: string,
    o: Abortable & { onClose: () => void },
  ): Promise<Sql> {
    const startedAt = performance.now();
    for (let pauseMs = 250;; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        const sql = await connect(address, database, o);
        // Unnoted, any of its hosts gives a sign of life.
        await timed(() => noteServer(address, sql), address.connectTimeoutMs, o.signal)
          .catch(() => o.signal.throwIfAborted());
        return sql;
      } catch (cause) {
        o.signal.throwIfAborted();
        const error = refusal(
          "connection/denied",
          address,
          connectionError(address, database, cause),
        );
        const endsAt = performance.now() + pauseMs;
        const isPassing = isKnown && hasCode(error, "connection/unreachable");
        if (!isPassing || endsAt - startedAt > address.answerTimeoutMs) throw error;
        if (pauseMs === 250) {
          runtime.log.warn("{message}; it is tried again for up to {seconds} s", {
            message: error.message,
            seconds: address.answerTimeoutMs / 1000,
          });
        }
        await sleep(pauseMs, o.signal);
      }
    }
  }

  function forget(database: string, made: Promise<Sql>): void {
    if (connections.get(database) === made) connections.delete(database);
  }

  /** Ends a connection that nobody can use any more, without waiting for it. */
  function drop(database: string): void {
    const made = connections.get(database);
    connections.delete(database);
    made?.then((sql) => sql.end({ timeout: 0 })).catch(() => {});
  }

  async function rows(
    database: string,
    text: string,
    { signal }: Abortable,
    values: readonly (string | number | null)[] = [],
  ): Promise<Row[]> {
    signal.throwIfAborted();
    isAborted = () => signal.aborted;
    const sql = await connected(database, { signal });
    const query = values.length === 0 ? sql.unsafe(text).simple() : sql.unsafe(text, [...values]);
    const answer = query.then((found) => [...found] as Row[]);
    try {
      return await whileAlive(() => answer, server, { signal });
    } catch (error) {
      if (signal.aborted) {
        query.cancel();
        const waiting = new AbortController();
        await Promise.race([answer.catch(() => {}), sleep(cancelMs, waiting.signal)]);
        waiting.abort();
      }
      // The session's settings are gone with it, and the driver would make a new one without.
      if (signal.aborted || isLost(error)) drop(database);
      signal.throwIfAborted();
      throw connectionError(address, database, error);
    }
  }

  async function end(made: Promise<Sql> | undefined): Promise<void> {
    const ending = made?.then((sql) => sql.end({ timeout: isAborted() ? 0 : endSeconds }))
      .catch(() => {});
    // A connection that is still being made has limits of its own.
    if (!isAborted()) await ending;
  }

  return {
    rows,
    async anyDatabase(o, except = []) {
      const selected = address.selected ?? [];
      const candidates = ["postgres", "template1", address.user, ...selected];
      // A user of one database may be let into nothing else.
      const ordered = except.length === 0 ? [...selected, ...candidates] : candidates;
      let failure: unknown;
      for (const database of new Set(ordered)) {
        if (except.includes(database)) continue;
        try {
          await rows(database, "SELECT 1", o);
          return database;
        } catch (error) {
          if (!isClosedDoor(error)) throw error;
          failure ??= error;
        }
      }
      throw failure;
    },
    release(database) {
      const made = connections.get(database);
      connections.delete(database);
      return end(made);
    },
    async close() {
      const all = [...connections.values()];
      connections.clear();
      await Promise.all(all.map(end));
    },
  };
}
