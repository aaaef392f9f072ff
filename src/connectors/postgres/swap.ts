import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { RestoreStep } from "../../contracts/restore.ts";
import type { Address } from "./address.ts";
import type { Client } from "./client.ts";
import { type DatabaseStatements, runInside } from "./create.ts";
import { databaseNames } from "./databases.ts";
import { isLost, sqlState } from "./failure.ts";
import { findLeftovers, markDatabase } from "./leftover.ts";
import { quoteName } from "./names.ts";
import { assertFree, dropCommand, inUse } from "./target.ts";

// Also after an interrupt.
const markLimitMs = 10_000;

/** Where orders are given from. */
interface Place {
  readonly client: Client;
  readonly address: Address;
  /** A database that is not renamed. */
  readonly place: string;
}

/**
 * Gives a restored database its name, and the old one that which it is kept under: both or none.
 *
 * @returns follow-ups
 */
export async function putInPlace(
  { client, place, address }: Place,
  name: string,
  { to, mode, keptAs }: RestoreStep,
  { comment }: DatabaseStatements,
  o: Abortable,
): Promise<string[]> {
  const isSwap = mode === "swap";
  const followUps = keptAs === undefined ? [] : [dropCommand(address, place, keptAs)];
  if (isSwap) await assertFree(client, place, to, o);
  // Its own comment in place of the mark, which comes back when the renaming fails.
  const [before] = (await findLeftovers(client, place, o)).filter((one) => one.name === name);
  const none = `COMMENT ON DATABASE ${quoteName(name)} IS NULL`;
  await runInside(client, name, comment.length === 0 ? [none] : comment, o);
  await client.release(name);
  try {
    await endSessions(client, place, name, o);
    await assertFree(client, place, name, o);
    // Sent as one text, the two run in one transaction.
    await client.rows(
      place,
      [
        ...isSwap ? [`ALTER DATABASE ${quoteName(to)} RENAME TO ${quoteName(keptAs!)}`] : [],
        `ALTER DATABASE ${quoteName(name)} RENAME TO ${quoteName(to)}`,
      ].join(";\n"),
      o,
    );
  } catch (error) {
    const again = { ...o, signal: AbortSignal.timeout(markLimitMs) };
    const isDone = await hasMoved(client, { place, name, to }, error, again);
    if (isDone === true) return followUps;
    if (isDone === undefined && error instanceof BackupError) {
      throw new BackupError(error.code, error.message, {
        cause: error,
        hint: `Nobody answered whether the renaming was done: if it was, "${to}" is the restored ` +
          "database already. If not:",
        details: { ...error.details },
      });
    }
    if (before !== undefined) {
      await markDatabase(client, place, name, before, again).catch(() => {});
    }
    if (sqlState(error) === "55006") throw inUse(to, [], error);
    if (sqlState(error) === undefined || !(error instanceof Error)) throw error;
    throw new BackupError("restore/failed", `Cannot rename "${name}": ${error.message}`, {
      cause: error,
      hint: "Renaming takes the owner of the database, with CREATEDB, or a superuser.",
    });
  }
  return followUps;
}

/** A pooler keeps connections whose clients have ended. The database is this restore's own. */
async function endSessions(client: Client, place: string, name: string, o: Abortable) {
  await client.rows(
    place,
    `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
      WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid() AND usename = current_user`,
    o,
    [name],
  );
}

/**
 * Whether the renaming was done although its answer did not come: a connection may be lost between
 * the two. Undefined where nobody answers.
 */
async function hasMoved(
  client: Client,
  { place, name, to }: { readonly place: string; readonly name: string; readonly to: string },
  failure: unknown,
  o: Abortable,
): Promise<boolean | undefined> {
  if (!isLost(failure)) return false;
  const names = await databaseNames(client, place, o).catch(() => undefined);
  return names === undefined ? undefined : names.has(to) && !names.has(name);
}
