import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Position } from "../../contracts/manifest.ts";
import type { Client } from "./client.ts";
import { lsnOf, positionColumns, readTimeline, type Server } from "./server.ts";

/** A moment of one database that pg_dump takes over. */
export interface Snapshot {
  /** For `pg_dump --snapshot`; undefined where the server exports none. */
  readonly name: string | undefined;
  /** By our clock. */
  readonly takenAt: Date;
  readonly position: Position | undefined;
  /** Ends the transaction; may be called again. */
  close(): Promise<void>;
}

/**
 * Exports a snapshot, so that the dump's moment and position in the log are known and not guessed.
 * Where that cannot be (through a pooler, on some managed servers), pg_dump takes its own a little
 * later.
 */
export async function openSnapshot(
  client: Client,
  database: string,
  server: Server,
  o: Abortable & { runtime: Runtime },
): Promise<Snapshot> {
  const timeline = await readTimeline(client, database, o);
  let isOpen = false;
  let name: string | undefined;
  let lsn: string | undefined;
  try {
    await client.rows(database, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", o);
    isOpen = true;
    const [row] = await client.rows(
      database,
      `SELECT pg_catalog.pg_export_snapshot() AS name, ${positionColumns(server.isStandby)}`,
      o,
    );
    name = typeof row?.["name"] === "string" ? row["name"] : undefined;
    lsn = lsnOf(row);
  } catch {
    o.signal.throwIfAborted();
  }
  return {
    name,
    takenAt: o.runtime.now(),
    position: lsn === undefined ? undefined : { type: "lsn", lsn, ...timeline },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      // The connection's end ends the transaction, too, whatever state it is in.
      await client.release(database);
    },
  };
}
