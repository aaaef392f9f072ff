import type { MongoClient } from "mongodb";
import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { SourceInfo } from "../../contracts/connector.ts";
import type { Omission } from "../../contracts/manifest.ts";
import { listDatabases } from "./databases.ts";
import { may } from "./privileges.ts";
import { readServer, type Server } from "./server.ts";
import { findTool } from "./tools.ts";
import type { MongoAddress } from "./uri.ts";

/** Looks at a server. */
export async function inspect(
  client: MongoClient,
  address: MongoAddress,
  o: Abortable & { runtime: Runtime },
): Promise<SourceInfo> {
  const askedAt = o.runtime.now().getTime();
  const server = await readServer(client);
  const answeredAt = o.runtime.now().getTime();
  const tools = [
    await findTool("mongodump", address, o),
    await findTool("mongorestore", address, o),
  ];
  const middle = (askedAt + answeredAt) / 2;
  return {
    sourceId: server.sourceId,
    flavour: "MongoDB",
    version: server.version,
    tools,
    privileges: neededPrivileges(server, address),
    omissions: omissionsOf(server, address),
    capabilities: ["full"],
    ...server.position === undefined ? {} : { position: server.position },
    clockOffsetMs: server.localTime === undefined
      ? null
      : Math.round(server.localTime.getTime() - middle),
    estimatedBytes: await estimate(client, await listDatabases(client, address)),
    warnings: consistencyWarnings(server, address),
  };
}

/** Whether a dump of these databases can show one moment. */
export function isConsistent(server: Server, address: MongoAddress): boolean {
  return isWhole(server, address) && server.isOplogReadable;
}

/** Whether mongodump can take all databases at once: that always includes users and roles. */
export function isWhole({ privileges }: Server, { selected }: MongoAddress): boolean {
  return selected === undefined && mayReadAccounts(privileges);
}

/** Why a dump will not show one moment, where it will not. */
export function consistencyWarnings(server: Server, address: MongoAddress): string[] {
  if (isConsistent(server, address)) return [];
  const why = server.kind === "standalone"
    ? "a standalone server keeps no oplog; make it a replica set of one member"
    : server.kind === "sharded cluster"
    ? "mongodump cannot take the oplog through mongos"
    : address.selected !== undefined
    ? "mongodump takes the oplog only together with all databases"
    : "this user may not read the oplog, users and roles; grant it the role backup";
  return [`The dump shows no single moment if something writes meanwhile: ${why}`];
}

/** What a dump of all databases would leave out, because this user may not see it. */
export function omissionsOf({ privileges }: Server, { selected }: MongoAddress): Omission[] {
  // One database's dump is complete without the server's accounts.
  if (selected !== undefined) return [];
  const omissions: Omission[] = [];
  if (!may(privileges, "listDatabases", "cluster")) {
    omissions.push({
      name: "databases",
      reason: "This user is shown only its own databases; grant it the role backup",
    });
  }
  if (!mayReadAccounts(privileges)) {
    omissions.push({
      name: "accounts",
      reason: "This user may not read users and roles; grant it the role backup",
    });
  }
  return omissions;
}

/** Whether users and roles can be dumped. */
export function mayReadAccounts(privileges: Server["privileges"]): boolean {
  return ["system.users", "system.roles", "system.version"].every((collection) =>
    may(privileges, "find", { db: "admin", collection })
  );
}

function neededPrivileges(server: Server, { selected }: MongoAddress): SourceInfo["privileges"] {
  const { privileges } = server;
  if (selected !== undefined) {
    return selected.map((db) => ({
      name: `find on ${db}`,
      isGranted: may(privileges, "find", { db, collection: "" }),
    }));
  }
  const any = { db: "", collection: "" };
  return [
    { name: "listDatabases", isGranted: may(privileges, "listDatabases", "cluster") },
    { name: "find on all databases", isGranted: may(privileges, "find", any) },
    { name: "find on admin.system.users", isGranted: mayReadAccounts(privileges) },
    ...server.kind === "replica set"
      ? [{ name: "find on local.oplog.rs, config.transactions", isGranted: server.isOplogReadable }]
      : [],
  ];
}

async function estimate(client: MongoClient, names: readonly string[]): Promise<number> {
  // A user who may not ask for sizes gets no estimate, and that is all.
  const sizes = await Promise.all(
    names.map((name) =>
      client.db(name).stats().then((stats) => Number(stats["dataSize"]), () => 0)
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
