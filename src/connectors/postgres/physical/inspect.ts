import type { Abortable } from "../../../core/bytes.ts";
import { hasCode } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { InspectOptions, SourceInfo, Tool } from "../../../contracts/source.ts";
import type { Address } from "../address.ts";
import type { Client } from "../client.ts";
import { listDatabases } from "../databases.ts";
import { readServer, type Server } from "../server.ts";
import { findToolSets, toolsForDump } from "../tools.ts";
import { readContinuation } from "./continuation.ts";
import { positionOf } from "./lsn.ts";
import { assertUnobstructed, assertWhole, obstacleTo } from "./requirements.ts";
import { readServerLog } from "./server-log.ts";
import { slotName } from "./slot.ts";

/**
 * Looks at a server of which physical backups are taken: those leave nothing out.
 *
 * @throws BackupError `usage/kind-unsupported`
 */
export async function inspectPhysical(
  client: Client,
  address: Address,
  { settings = {}, job = "dbbackup", since }: InspectOptions,
  o: Abortable & { readonly runtime: Runtime },
): Promise<SourceInfo> {
  assertWhole(settings);
  await listDatabases(client, address, o);
  const place = await client.anyDatabase(o);
  const askedAt = o.runtime.now().getTime();
  const server = await readServer(client, address, place, o);
  const answeredAt = o.runtime.now().getTime();
  assertUnobstructed(await obstacleTo(client, place, server, o), address.label);
  const log = await readServerLog(client, place, server.sourceId!, o);
  const slot = slotName(job);
  const [row] = await client.rows(
    place,
    `SELECT sum(pg_catalog.pg_database_size(oid))::float8 AS bytes,
            current_setting('max_slot_wal_keep_size') AS limit
       FROM pg_catalog.pg_database`,
    o,
  ).catch(() => []);
  const advice = row?.["limit"] === "-1"
    ? [
      `The replication slot "${slot}" keeps the server's log until the next backup: when backups stop, ` +
      "it fills the server's disk. ALTER SYSTEM SET max_slot_wal_keep_size = '…' sets a limit; " +
      "passing it costs a new full backup",
    ]
    : [];
  return {
    sourceId: server.sourceId,
    flavour: "PostgreSQL",
    version: server.version,
    tools: [await baseTool(server, address, o)],
    privileges: [{ name: "REPLICATION", isGranted: true }],
    omissions: [],
    capabilities: ["full", "incremental"],
    position: positionOf(log.position),
    clockOffsetMs: Math.round(server.clock.getTime() - (askedAt + answeredAt) / 2),
    ...typeof row?.["bytes"] === "number" ? { estimatedBytes: row["bytes"] } : {},
    warnings: [],
    advice,
    ...since === undefined ? {} : {
      continues: since.kind === "incremental"
        ? await readContinuation(client, { place, log, slot }, since.parent, o)
        : { isPossible: false, reason: `PostgreSQL has no ${since.kind} backups here` },
    },
  };
}

async function baseTool(
  server: Server,
  address: Address,
  o: Abortable & { readonly runtime: Runtime },
): Promise<Tool> {
  const name = "pg_basebackup";
  const sets = await findToolSets(address.toolsDir, o);
  try {
    const { folder, version } = toolsForDump(sets, server, address.toolsDir, name);
    return { name, path: `${folder}/${name}`, version };
  } catch (error) {
    if (!hasCode(error, "dump/")) throw error;
    return { name, path: undefined, version: undefined };
  }
}
