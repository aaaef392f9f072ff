import { whileAlive } from "../../../core/alive.ts";
import { quoteDefiner } from "../accounts.ts";
import { type Client, quoteName, quoteText, signOfLife } from "../client.ts";
import { openConnection } from "../driver.ts";
import type { StillEvents } from "../feed.ts";
import type { RestoreContext } from "../restore-context.ts";
import { identify } from "../statements.ts";
import { stilled } from "./event-status.ts";
import { type EventStatus, keyOf } from "./statement-filter.ts";

/**
 * Makes the events of a dump disabled, and notes how they are to be: while the log is replayed, they
 * must not change anything.
 *
 * @param events gets them
 */
export function stillingEvents(events: Map<string, EventStatus>): StillEvents {
  return (head, database) => {
    const still = stilled(head);
    const statement = identify(head);
    if (still === undefined || statement.does !== "create" || database === undefined) return [];
    const status = { database, name: statement.name, isEnabled: still.isEnabled === true };
    events.set(keyOf(status), status);
    return still.replacements;
  };
}

/** Lets the events run that are to. */
export async function enableEvents(
  events: ReadonlyMap<string, EventStatus>,
  { client, address, ...o }: Pick<RestoreContext, "client" | "address" | "signal">,
): Promise<void> {
  const wanted = [...events.values()].filter(({ isEnabled }) => isEnabled);
  if (wanted.length === 0) return;
  const alive = signOfLife(address);
  const { connection } = await whileAlive(
    (signal) => openConnection(address, { signal }),
    alive,
    o,
  );
  try {
    for (const event of wanted) {
      const about = await aboutEvent(client, event, o);
      // One that ran once and is gone.
      if (about === undefined) continue;
      // The statement puts its own session's settings into the event, and its user as who it runs as.
      const settings = `SET SESSION sql_mode = ${quoteText(about.sqlMode)}, ` +
        `SESSION time_zone = ${quoteText(about.timeZone)}, ` +
        `SESSION character_set_client = ${about.charset}, ` +
        `SESSION collation_connection = ${about.collation}`;
      const name = `${quoteName(event.database)}.${quoteName(event.name)}`;
      for (const sql of [settings, `ALTER DEFINER = ${about.definer} EVENT ${name} ENABLE`]) {
        await whileAlive(() => connection.query(sql), alive, o);
      }
    }
  } finally {
    connection.destroy();
  }
}

async function aboutEvent(
  client: Client,
  { database, name }: EventStatus,
  o: { signal: AbortSignal },
) {
  const [row] = await client.query(
    "SELECT DEFINER AS definer, SQL_MODE AS mode, TIME_ZONE AS zone, " +
      "CHARACTER_SET_CLIENT AS charset, COLLATION_CONNECTION AS collation FROM information_schema.EVENTS " +
      "WHERE EVENT_SCHEMA = ? AND EVENT_NAME = ?",
    o,
    [database, name],
  );
  if (row === undefined) return undefined;
  return {
    definer: quoteDefiner(String(row["definer"])),
    sqlMode: String(row["mode"]),
    timeZone: String(row["zone"]),
    charset: String(row["charset"]),
    collation: String(row["collation"]),
  };
}
