import type { Abortable } from "../../core/bytes.ts";
import type { Position } from "../../contracts/manifest.ts";
import { type Client, type Row } from "./client.ts";
import { isDenied } from "./refusals.ts";
import { compareVersions, type Server } from "./server.ts";
import type { ClientTool } from "./tools.ts";

/** Where the server's binary log stands now; undefined without one, or for who may not ask. */
export async function readPosition(
  client: Client,
  server: Server,
  o: Abortable,
): Promise<Position | undefined> {
  if (!server.hasBinlog) return undefined;
  const isNew = server.flavour === "MySQL" && compareVersions(server.version, "8.2") >= 0;
  try {
    const [row] = await client.query(isNew ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", o);
    return row === undefined ? undefined : positionOf(row, await currentGtid(client, server, o));
  } catch (error) {
    if (isDenied(error)) return undefined;
    throw error;
  }
}

/** The flags with which a dump notes its position; none where this user cannot have it. */
export function positionArgs(server: Server, tool: ClientTool): string[] {
  const hasGtidNote = tool.flavour === "MySQL" && server.flavour === "MySQL" && server.hasGtid &&
    compareVersions(tool.version, "8.0.32") >= 0 && canLock(server);
  // Older tools read the GTIDs a moment after the snapshot.
  const gtid = tool.flavour === "MySQL"
    ? [`--set-gtid-purged=${hasGtidNote ? "COMMENTED" : "OFF"}`]
    : [];
  if (!server.hasBinlog || !canLock(server) || !maySeeLog(server)) return gtid;
  if (tool.flavour === "MariaDB") {
    // A MySQL server of 8.4 or newer does not know the statement that MariaDB's tool uses.
    return server.flavour === "MariaDB" ? ["--master-data=2", "--gtid"] : [];
  }
  if (server.flavour === "MariaDB") return gtid;
  const isRenamed = compareVersions(tool.version, "8.0.26") >= 0;
  return [...gtid, isRenamed ? "--source-data=2" : "--master-data=2"];
}

/** Reads the position that a dump's beginning, and for MariaDB's GTID its end, notes. */
export function positionFromDump(head: string, tail: string): Position | undefined {
  const found =
    /^-- CHANGE (?:MASTER|REPLICATION SOURCE) TO (?:MASTER|SOURCE)_LOG_FILE='([^']+)', (?:MASTER|SOURCE)_LOG_POS=(\d+);/m
      .exec(head);
  if (found === null) return undefined;
  const gtid = /SET @@GLOBAL\.GTID_PURGED=(?:\/\*!80000 '\+'\*\/ ?)?'\+?([^']*)'/.exec(head)?.[1] ??
    /^-- SET GLOBAL gtid_slave_pos='([^']*)';/m.exec(tail)?.[1];
  return {
    type: "binlog",
    file: found[1]!,
    offset: Number(found[2]),
    ...gtid === undefined ? {} : { gtid: gtid.replaceAll(/\s+/g, "") },
  };
}

/** MySQL's tool stops commits for the moment of its snapshot; MariaDB's asks the server for it. */
export function canLock({ flavour, grants }: Server): boolean {
  return flavour === "MariaDB" || grants.has("RELOAD") || grants.has("FLUSH_TABLES");
}

/** Whether this user may ask where the log stands. */
export function maySeeLog({ grants }: Server): boolean {
  return ["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"].some((name) => grants.has(name));
}

async function currentGtid(
  client: Client,
  server: Server,
  o: Abortable,
): Promise<string | undefined> {
  if (!server.hasGtid) return undefined;
  const name = server.flavour === "MySQL" ? "gtid_executed" : "gtid_binlog_pos";
  const [row] = await client.query(`SELECT @@GLOBAL.${name} AS gtid`, o);
  return String(row!["gtid"]).replaceAll(/\s+/g, "");
}

function positionOf(row: Row, gtid: string | undefined): Position {
  return {
    type: "binlog",
    file: String(row["File"]),
    offset: Number(row["Position"]),
    ...gtid === undefined ? {} : { gtid },
  };
}
