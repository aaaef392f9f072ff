import { setTimeout } from "node:timers/promises";
import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Client } from "./client.ts";

const everyMs = 5_000;

/** Who holds what pg_restore waits for. */
const blockersQuery = `
  SELECT DISTINCT b.pid, coalesce(nullif(b.application_name, ''), 'a client') AS name,
         coalesce(b.usename::text, '?') AS username, coalesce(b.state, 'unknown') AS state
    FROM pg_catalog.pg_stat_activity a
   CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS p (pid)
    JOIN pg_catalog.pg_stat_activity b ON b.pid = p.pid
   WHERE a.datname = $1 AND a.application_name = 'dbbackup' AND a.wait_event_type = 'Lock'
   ORDER BY b.pid`;

/**
 * Tells, in the log, for whom a restore into a database in use is waiting: it waits as long as they
 * hold what it replaces, and everybody else waits behind it.
 *
 * @param place a database to ask from
 */
export async function tellingLocks<T>(
  client: Client,
  { place, database }: { readonly place: string; readonly database: string },
  run: () => Promise<T>,
  o: Abortable & { readonly runtime: Pick<Runtime, "log"> },
): Promise<T> {
  const over = new AbortController();
  const signal = AbortSignal.any([o.signal, over.signal]);
  const watching = watch(client, place, database, { ...o, signal }).catch(() => {});
  try {
    return await run();
  } finally {
    over.abort();
    await watching;
  }
}

async function watch(
  client: Client,
  place: string,
  database: string,
  o: Abortable & { readonly runtime: Pick<Runtime, "log"> },
): Promise<void> {
  const told = new Set<number>();
  while (true) {
    await setTimeout(everyMs, undefined, { signal: o.signal });
    const rows = await client.rows(place, blockersQuery, o, [database]);
    for (const row of rows) {
      const pid = Number(row["pid"]);
      if (told.has(pid)) continue;
      told.add(pid);
      o.runtime.log.warn(
        "The restore into {database} waits for {who}, {state}, who holds a lock on what is " +
          "replaced; others wait behind it. To end that session: SELECT pg_terminate_backend({pid})",
        {
          database,
          who: `${String(row["name"])} of ${String(row["username"])}`,
          state: String(row["state"]),
          pid,
        },
      );
    }
  }
}
