import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { Address } from "../address.ts";
import { connect } from "../connect.ts";
import { sqlState } from "../failure.ts";
import { askAlone, type InstanceSetup } from "./instance.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** Whether the user of an address may do everything there. */
export async function isSuperuser(address: Address, o: Abortable): Promise<boolean> {
  try {
    const sql = await connect(address, "template1", o);
    try {
      const [row] = await sql.unsafe(
        "SELECT rolsuper AS is_super FROM pg_catalog.pg_roles WHERE rolname = current_user",
      );
      return row?.["is_super"] === true;
    } finally {
      await sql.end({ timeout: 1 }).catch(() => {});
    }
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    return false;
  }
}

/**
 * The name of the superuser that a server was made with; its number is always 10. Asked of a server
 * that does not run.
 *
 * @throws BackupError `restore/failed`
 */
export async function nameOfSuperuser(setup: InstanceSetup, o: Context): Promise<string> {
  const query = "SELECT rolname FROM pg_catalog.pg_authid WHERE oid = 10";
  const answer = await askAlone(setup, query, o);
  const [, name] = /rolname = "(.*)"\t/.exec(answer) ?? [];
  if (name !== undefined) return name;
  throw new BackupError("restore/failed", "The restored files do not tell their superuser", {
    hint: "--log-level debug shows what the server said.",
  });
}
