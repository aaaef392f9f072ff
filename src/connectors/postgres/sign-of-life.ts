import type { Sql } from "postgres";
import type { SignOfLife } from "../../core/alive.ts";
import type { Abortable } from "../../core/bytes.ts";
import type { Address } from "./address.ts";
import { connect } from "./connect.ts";
import { sqlState } from "./failure.ts";

// Of several hosts, the server that an address has led to, told from the others by its start.
const inUse = new WeakMap<Address, string>();

/**
 * Notes which server a new connection has led to, where the address has several: what it says, and
 * no other, is a sign of its life.
 */
export async function noteServer(address: Address, sql: Sql): Promise<void> {
  if (address.hosts.length > 1) inUse.set(address, await startOf(sql));
}

/**
 * Asks a server whether it is there by a login of its own, which it ends at once. Whatever the
 * server says is an answer: that it is full, starting, or lets this user in nowhere. Of several
 * hosts, all are asked, and the one that is in use has to answer.
 */
export function signOfLife(address: Address): SignOfLife {
  return {
    label: address.label,
    limitMs: address.answerTimeoutMs,
    onSilence: address.onSilence,
    async ask(o) {
      const start = inUse.get(address);
      if (start === undefined) return await askOne(address, undefined, o);
      // The driver would go on asking one that is not what is wanted.
      const { target_session_attrs: _, ...parameters } = address.parameters;
      await Promise.any(
        address.hosts.map((host) => askOne({ ...address, hosts: [host], parameters }, start, o)),
      );
    },
  };
}

/** @param start of the server that is meant; undefined where there is only one */
async function askOne(address: Address, start: string | undefined, o: Abortable): Promise<void> {
  try {
    const sql = await connect(address, address.selected?.[0] ?? "postgres", o);
    try {
      if (start !== undefined && await startOf(sql) !== start) throw new Error("another server");
    } finally {
      sql.end({ timeout: 1 }).catch(() => {});
    }
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
  }
}

async function startOf(sql: Sql): Promise<string> {
  const [row] = await sql.unsafe(
    "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time()) AS start",
  );
  return String(row?.["start"]);
}
