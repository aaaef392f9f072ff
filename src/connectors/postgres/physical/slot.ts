import { createHash } from "node:crypto";
import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Client } from "../client.ts";
import { formatLsn, parseLsn } from "./lsn.ts";

/** A physical replication slot: what keeps the server's log for a job. */
export interface Slot {
  readonly name: string;
  readonly isPhysical: boolean;
  /** From where the log is kept; undefined where it reserves nothing, or has lost it. */
  readonly keptFrom: bigint | undefined;
  /** `reserved`, `extended`, `unreserved`, `lost`. */
  readonly status: string | undefined;
  /** The process that uses it now. */
  readonly usedBy: number | undefined;
}

/**
 * The slot of a job, the same from any machine. Names of slots have small letters, digits and
 * underscores, 63 at most: others are told apart by a digest.
 */
export function slotName(job: string): string {
  const plain = `dbbackup_${job}`;
  if (/^[a-z0-9_]{1,63}$/.test(plain)) return plain;
  const digest = createHash("sha256").update(job).digest("hex").slice(0, 8);
  return `${plain.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_").slice(0, 50)}_${digest}`;
}

/** Looks a slot up. */
export async function readSlot(
  client: Client,
  place: string,
  name: string,
  o: Abortable,
): Promise<Slot | undefined> {
  const [row] = await client.rows(
    place,
    `SELECT slot_type, restart_lsn::text AS lsn, wal_status, active_pid
       FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`,
    o,
    [name],
  );
  if (row === undefined) return undefined;
  return {
    name,
    isPhysical: row["slot_type"] === "physical",
    keptFrom: typeof row["lsn"] === "string" ? parseLsn(row["lsn"]) : undefined,
    status: typeof row["wal_status"] === "string" ? row["wal_status"] : undefined,
    usedBy: row["active_pid"] === null ? undefined : Number(row["active_pid"]),
  };
}

/**
 * Makes sure that the log is kept from now on. A slot that is there keeps what it has: the last backup
 * may still be needed.
 *
 * @returns whether it was made now
 * @throws BackupError `dump/failed`
 */
export async function keepLog(
  client: Client,
  place: string,
  name: string,
  o: Abortable,
): Promise<boolean> {
  const present = await readSlot(client, place, name, o);
  if (present?.isPhysical === false) {
    throw new BackupError(
      "dump/failed",
      `The server has a replication slot "${name}" of another kind`,
      {
        hint: "Drop it, or give the job another name: the slot of a job is named after it.",
      },
    );
  }
  if (present?.keptFrom !== undefined && present.status !== "lost") return false;
  if (present !== undefined) await dropSlot(client, place, name, o);
  // It reserves at once: otherwise what is written before its first reader comes is lost.
  await client.rows(
    place,
    "SELECT pg_catalog.pg_create_physical_replication_slot($1, true)",
    o,
    [name],
  );
  return true;
}

/** Drops a slot; the server then lets go of its log. */
export async function dropSlot(
  client: Client,
  place: string,
  name: string,
  o: Abortable,
): Promise<void> {
  await client.rows(place, "SELECT pg_catalog.pg_drop_replication_slot($1)", o, [name]);
}

/** Drops what the server keeps for a job. @returns what, for people */
export async function reset(client: Client, job: string, o: Abortable): Promise<string[]> {
  const place = await client.anyDatabase(o);
  const name = slotName(job);
  const slot = await readSlot(client, place, name, o);
  if (slot === undefined || !slot.isPhysical) return [];
  await dropSlot(client, place, name, o);
  return [`replication slot ${name}`];
}

/** Lets the server let go of its log up to a place; never back, and nothing without a slot. */
export async function advanceSlot(
  client: Client,
  place: string,
  name: string,
  lsn: bigint,
  o: Abortable,
): Promise<void> {
  const slot = await readSlot(client, place, name, o);
  if (slot?.keptFrom === undefined || slot.keptFrom >= lsn) return;
  await client.rows(
    place,
    "SELECT pg_catalog.pg_replication_slot_advance($1, $2::text::pg_lsn)",
    o,
    [name, formatLsn(lsn)],
  );
}
