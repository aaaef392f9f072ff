import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import { listed } from "../../../core/text.ts";
import type { DumpSettings } from "../../../contracts/source.ts";
import type { Client } from "../client.ts";
import type { Server } from "../server.ts";

/** What stands in the way of backups that others can build on. */
export interface Obstacle {
  /** As the rest of a sentence after the server's name: `is a standby`. */
  readonly reason: string;
  readonly hint: string;
}

/** Why a server gives no physical backups to this user; undefined where it does. */
export async function obstacleTo(
  client: Client,
  place: string,
  server: Server,
  o: Abortable,
): Promise<Obstacle | undefined> {
  if (server.isStandby) {
    return {
      reason: "is a standby, whose log is its primary's",
      hint: "Give the address of the primary.",
    };
  }
  if (server.sourceId === undefined) {
    return {
      reason: "does not tell this user its system identifier, by which its log is known",
      hint: "Run as a superuser: GRANT EXECUTE ON FUNCTION pg_control_system() TO the user.",
    };
  }
  const [row] = await client.rows(
    place,
    `SELECT r.rolreplication OR r.rolsuper AS may_replicate, quote_ident(r.rolname) AS role,
            current_setting('wal_level') AS wal_level,
            current_setting('max_wal_senders')::int AS senders,
            current_setting('max_replication_slots')::int AS slots
       FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    o,
  );
  if (row?.["may_replicate"] !== true) {
    return {
      reason: "does not let this user copy its files and its log",
      hint: `Run as a superuser: ALTER ROLE ${row?.["role"]} REPLICATION; and allow it in ` +
        "pg_hba.conf by a line for the database replication.",
    };
  }
  if (row["wal_level"] === "minimal" || Number(row["senders"]) < 1 || Number(row["slots"]) < 1) {
    return {
      reason: `has wal_level ${row["wal_level"]}, max_wal_senders ${row["senders"]} and ` +
        `max_replication_slots ${row["slots"]}`,
      hint: "Set wal_level to replica or logical and the others to 2 at least, and restart it.",
    };
  }
  const spaces = await client.rows(
    place,
    "SELECT spcname::text AS name FROM pg_catalog.pg_tablespace WHERE oid >= 16384 ORDER BY 1",
    o,
  );
  if (spaces.length > 0) {
    return {
      reason: `has files outside of its data directory, in the tablespace ${
        listed(spaces.map((one) => String(one["name"])))
      }, which a physical backup cannot take yet`,
      hint: "Use the strategy full, whose dumps hold what is in tablespaces, too.",
    };
  }
  return undefined;
}

/** @throws BackupError `usage/kind-unsupported` */
export function assertUnobstructed(obstacle: Obstacle | undefined, label: string): void {
  if (obstacle === undefined) return;
  const { reason, hint } = obstacle;
  throw new BackupError(
    "usage/kind-unsupported",
    `No backup that others build on can be taken: ${label} ${reason}`,
    { hint },
  );
}

/** A copy of the server's files leaves nothing out. @throws BackupError `usage/kind-unsupported` */
export function assertWhole(settings: DumpSettings): void {
  const { exclude = [], excludeData = [], schemaOnly = false, dumpArgs = [] } = settings;
  const given = [
    ...exclude.length > 0 ? ["exclude"] : [],
    ...excludeData.length > 0 ? ["excludeData"] : [],
    ...schemaOnly ? ["schemaOnly"] : [],
    ...dumpArgs.length > 0 ? ["dumpArgs"] : [],
  ];
  if (given.length === 0) return;
  throw new BackupError(
    "usage/kind-unsupported",
    `${listed(given)} cannot go with increments: their full backup is a copy of the whole server`,
    { hint: "Leave it out of the job, or use the strategy full, which dumps." },
  );
}
