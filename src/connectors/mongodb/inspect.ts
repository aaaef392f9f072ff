import type { MongoClient } from "mongodb";
import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Continuation, Since } from "../../contracts/changes.ts";
import type { InspectOptions, SourceInfo } from "../../contracts/source.ts";
import { kinds, type Omission } from "../../contracts/manifest.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { refused } from "./errors.ts";
import { continuation, firstEntry, shortOplog } from "./oplog/continuation.ts";
import { may } from "./privileges.ts";
import { locksOf, readServer, type Server } from "./server.ts";
import { findTool } from "./tools.ts";
import type { MongoAddress } from "./uri.ts";

/** Looks at a server. */
export async function inspect(
  client: Client,
  address: MongoAddress,
  { since, ...o }: InspectOptions & { runtime: Runtime },
): Promise<SourceInfo> {
  // Connecting is no part of how old the answer is.
  await client.ask((driver) => Promise.resolve(driver), o);
  const askedAt = o.runtime.now().getTime();
  const server = await client.ask((driver) => readServer(driver), o);
  const answeredAt = o.runtime.now().getTime();
  const tools = [
    await findTool("mongodump", address, o),
    await findTool("mongorestore", address, o),
  ];
  const middle = (askedAt + answeredAt) / 2;
  const databases = await client.ask((driver) => listDatabases(driver, address), o);
  const kept = await lookAtOplog(client, address, server, since, o);
  const estimatedBytes = await client.ask((driver) => estimate(driver, databases), o);
  return {
    sourceId: server.sourceId,
    ...locksOf(server, databases),
    flavour: "MongoDB",
    version: server.version,
    tools,
    privileges: neededPrivileges(server, address),
    omissions: omissionsOf(server, address),
    capabilities: whyNoChanges(server, address) === undefined ? kinds : ["full"],
    ...server.position === undefined ? {} : { position: server.position },
    clockOffsetMs: server.localTime === undefined
      ? null
      : Math.round(server.localTime.getTime() - middle),
    ...estimatedBytes === undefined ? {} : { estimatedBytes },
    warnings: [...consistencyWarnings(server, address), ...kept.warnings],
    ...kept.continues === undefined ? {} : { continues: kept.continues },
    ...kept.logSince === undefined ? {} : { logSince: kept.logSince },
  };
}

/** What the oplog still has, and whether a next backup can go on from where its parent ended. */
async function lookAtOplog(
  client: Client,
  address: MongoAddress,
  server: Server,
  since: Since | undefined,
  o: Abortable,
): Promise<{ logSince?: Date; continues?: Continuation; warnings: string[] }> {
  const why = whyNoChanges(server, address);
  if (why !== undefined) {
    return {
      warnings: [],
      ...since === undefined ? {} : { continues: { isPossible: false, reason: why } },
    };
  }
  const first = await client.ask(firstEntry, o);
  const logSince = first === undefined ? {} : { logSince: new Date(first.instantMs) };
  if (since === undefined) return { ...logSince, warnings: [] };
  const continues = await client.ask((driver) => continuation(driver, since.parent), o);
  return { ...logSince, continues, warnings: shortOplog(first, server, since.parent) };
}

/** Whether a dump of these databases can show one moment. */
export function isConsistent(server: Server, address: MongoAddress): boolean {
  return isWhole(server, address) && server.isOplogReadable;
}

/** Whether mongodump can take all databases at once: that always includes users and roles. */
export function isWhole({ accounts }: Server, { selected }: MongoAddress): boolean {
  return selected === undefined && accounts.isReadable;
}

/** Why there are no backups of changes, as the rest of a sentence; undefined where there are. */
export function whyNoChanges(server: Server, address: MongoAddress): string | undefined {
  if (isConsistent(server, address)) return undefined;
  return server.kind === "standalone"
    ? "a standalone server keeps no oplog; make it a replica set of one member"
    : server.kind === "sharded cluster"
    ? "the oplog cannot be taken through mongos"
    : address.selected !== undefined
    ? "the oplog can only be taken together with all databases"
    : !server.accounts.isReadable
    ? "the oplog can only be taken together with users and roles, which cannot be read"
    : "the oplog cannot be read; grant the user the role backup, where the server offers an oplog";
}

/** Why a dump will not show one moment, where it will not. */
export function consistencyWarnings(server: Server, address: MongoAddress): string[] {
  const why = whyNoChanges(server, address);
  if (why === undefined) return [];
  return [
    `The dump shows no single moment if something writes meanwhile: ${why}. Documents that belong ` +
    "together may then be of different moments",
  ];
}

/** What a dump of all databases would leave out, because this user may not see it. */
export function omissionsOf(
  { privileges, accounts }: Server,
  { selected }: MongoAddress,
): Omission[] {
  // One database's dump is complete without the server's accounts.
  if (selected !== undefined) return [];
  const omissions: Omission[] = [];
  if (!may(privileges, "listDatabases", "cluster")) {
    omissions.push({
      name: "databases",
      reason: "This user sees only its own databases; run in the database of the user: " +
        'db.grantRolesToUser("USER", [{ role: "backup", db: "admin" }])',
    });
  }
  if (accounts.missing !== undefined) {
    omissions.push({ name: "accounts", reason: accounts.missing });
  }
  return omissions;
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
    { name: "find on admin.system.users", isGranted: server.accounts.isReadable },
    ...server.kind === "replica set"
      ? [{ name: "find on local.oplog.rs, config.transactions", isGranted: server.isOplogReadable }]
      : [],
  ];
}

/** Undefined for who may not ask for sizes, or where the server tells none. */
async function estimate(
  client: MongoClient,
  names: readonly string[],
): Promise<number | undefined> {
  const answers = await Promise.all(names.map((name) => client.db(name).stats().catch(refused)));
  const sizes = answers.map((stats) => Number(stats?.["dataSize"]));
  const sum = sizes.reduce((sum, size) => sum + size, 0);
  return Number.isFinite(sum) ? sum : undefined;
}
