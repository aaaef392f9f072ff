import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Position } from "../../contracts/manifest.ts";
import type { Address } from "./address.ts";
import type { Client, Row } from "./client.ts";

/** What a server says of itself and of this user. */
export interface Server {
  /** `15.18`. */
  readonly version: string;
  readonly major: number;
  readonly isStandby: boolean;
  readonly isSuperuser: boolean;
  readonly mayCreateDatabases: boolean;
  /** The system identifier; undefined where this user may not read it. */
  readonly sourceId: string | undefined;
  readonly clock: Date;
}

/** Asks a server about itself. @throws BackupError `connection/…` */
export async function readServer(
  client: Client,
  address: Address,
  database: string,
  o: Abortable,
): Promise<Server> {
  const [row] = await client.rows(
    database,
    `SELECT current_setting('server_version_num') AS number,
            current_setting('server_version') AS version,
            pg_catalog.pg_is_in_recovery() AS is_standby,
            r.rolsuper AS is_superuser, r.rolcreatedb AS may_create,
            (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock
       FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    o,
  );
  if (row === undefined) {
    throw new BackupError("connection/denied", `${address.label} knows no role for this user`, {
      hint: "Connect as a role that is listed in pg_roles.",
    });
  }
  const major = Math.floor(Number(row["number"]) / 10_000);
  return {
    version: String(row["version"]).split(" ")[0]!,
    major,
    isStandby: row["is_standby"] === true,
    isSuperuser: row["is_superuser"] === true,
    mayCreateDatabases: row["may_create"] === true || row["is_superuser"] === true,
    sourceId: await readIdentifier(client, database, o),
    clock: new Date(Number(row["clock"])),
  };
}

/** Every cluster's own number, kept by its replicas; managed servers may not tell it. */
async function readIdentifier(
  client: Client,
  database: string,
  o: Abortable,
): Promise<string | undefined> {
  try {
    const [row] = await client.rows(
      database,
      "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()",
      o,
    );
    return typeof row?.["id"] === "string" ? row["id"] : undefined;
  } catch {
    o.signal.throwIfAborted();
    return undefined;
  }
}

/** The query's columns for {@link positionOf}; on a standby, what it has replayed. */
export function positionColumns(isStandby: boolean): string {
  const lsn = isStandby ? "pg_catalog.pg_last_wal_replay_lsn()" : "pg_catalog.pg_current_wal_lsn()";
  return `${lsn}::text AS lsn`;
}

/** Where the log stands. @returns undefined where this user may not know */
export async function readPosition(
  client: Client,
  database: string,
  { isStandby }: Server,
  o: Abortable,
): Promise<Position | undefined> {
  try {
    const [row] = await client.rows(database, `SELECT ${positionColumns(isStandby)}`, o);
    const lsn = lsnOf(row);
    if (lsn === undefined) return undefined;
    return { type: "lsn", lsn, ...await readTimeline(client, database, o) };
  } catch {
    o.signal.throwIfAborted();
    return undefined;
  }
}

/** The text of column `lsn`. */
export function lsnOf(row: Row | undefined): string | undefined {
  return typeof row?.["lsn"] === "string" ? row["lsn"] : undefined;
}

/** The timeline, where it can be read. */
export async function readTimeline(
  client: Client,
  database: string,
  o: Abortable,
): Promise<{ timeline?: number }> {
  try {
    const [row] = await client.rows(
      database,
      "SELECT timeline_id AS timeline FROM pg_catalog.pg_control_checkpoint()",
      o,
    );
    return { timeline: Number(row?.["timeline"]) };
  } catch {
    o.signal.throwIfAborted();
    return {};
  }
}
