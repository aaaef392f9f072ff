import { whileAlive } from "../../../core/alive.ts";
import type { Abortable } from "../../../core/bytes.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { MysqlAddress } from "../address.ts";
import { signOfLife } from "../client.ts";
import { openConnection } from "../driver.ts";
import type { Server } from "../server.ts";

/** While it is held, nobody makes, alters or drops anything; rows are written as ever. */
export interface StillSchema {
  /** Whether it has been held all the time until now. */
  isHeld(o: Abortable): Promise<boolean>;
  release(): void;
}

// Other DDL is waited for, but not for ever.
const lockWaitSeconds = 20;

/**
 * Keeps the schema as it is: a dump tool reads what there is at another moment than the rows, and
 * what was made meanwhile would be in the dump and, once more, in the log behind it.
 *
 * @returns undefined where this server or user cannot
 */
export async function holdSchema(
  address: MysqlAddress,
  server: Server,
  o: Abortable & { readonly runtime: Runtime },
): Promise<StillSchema | undefined> {
  const alive = signOfLife(address);
  const { connection } = await whileAlive(
    (signal) => openConnection(address, { signal }),
    alive,
    o,
  );
  const ask = (sql: string, o: Abortable) => whileAlive(() => connection.query(sql), alive, o);
  try {
    await ask(
      `SET SESSION lock_wait_timeout = ${lockWaitSeconds}, SESSION wait_timeout = 31536000`,
      o,
    );
    for (const sql of statements(server)) await ask(sql, o);
  } catch (error) {
    connection.destroy();
    o.signal.throwIfAborted();
    o.runtime.log.info("The schema cannot be held still while it is dumped: {error}", {
      error: String(error),
    });
    return undefined;
  }
  return {
    isHeld: (o) => ask("SELECT 1", o).then(() => true, () => false),
    release: () => connection.destroy(),
  };
}

/** MySQL from 8.0 on with BACKUP_ADMIN, MariaDB from 10.4 on with RELOAD. */
function statements({ flavour }: Server): string[] {
  return flavour === "MySQL"
    ? ["LOCK INSTANCE FOR BACKUP"]
    : ["BACKUP STAGE START", "BACKUP STAGE BLOCK_DDL"];
}
