import type { SignOfLife } from "../../core/alive.ts";
import type { Address } from "./address.ts";
import { connect } from "./connect.ts";
import { sqlState } from "./failure.ts";

/**
 * Asks a server whether it is there by a login of its own, which it ends at once. Whatever the
 * server says is an answer: that it is full, starting, or lets this user in nowhere.
 */
export function signOfLife(address: Address): SignOfLife {
  const database = address.selected?.[0] ?? "postgres";
  return {
    label: address.label,
    limitMs: address.answerTimeoutMs,
    onSilence: address.onSilence,
    async ask(o) {
      try {
        const sql = await connect(address, database, o);
        sql.end({ timeout: 1 }).catch(() => {});
      } catch (error) {
        if (sqlState(error) === undefined) throw error;
      }
    },
  };
}
