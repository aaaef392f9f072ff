import type { Document, MongoClient } from "mongodb";
import type { Position } from "../../contracts/manifest.ts";
import { serverCode, serverCodes } from "./client.ts";
import { may, type Privilege } from "./privileges.ts";

/** What a server says of itself. */
export interface Server {
  readonly version: string;
  readonly kind: "standalone" | "replica set" | "sharded cluster";
  /** Undefined where the server has no id of its own. */
  readonly sourceId: string | undefined;
  /** Majority-committed; undefined without an oplog. */
  readonly position: Position | undefined;
  readonly localTime: Date | undefined;
  /** Undefined when nobody logged in, which a server without access control takes for everything. */
  readonly privileges: readonly Privilege[] | undefined;
  /** Whether `--oplog` can be used. */
  readonly isOplogReadable: boolean;
}

/** Asks a server about itself. @throws MongoServerError */
export async function readServer(client: MongoClient): Promise<Server> {
  const admin = client.db("admin");
  const hello = await askHello(client);
  const { version } = await admin.command({ buildInfo: 1 });
  const privileges = await readPrivileges(client);
  const kind = hello["msg"] === "isdbgrid"
    ? "sharded cluster"
    : typeof hello["setName"] === "string"
    ? "replica set"
    : "standalone";
  return {
    version: String(version),
    kind,
    sourceId: await readSourceId(client, hello, kind),
    position: positionOf(hello),
    localTime: hello["localTime"] instanceof Date ? hello["localTime"] : undefined,
    privileges,
    // mongodump looks for transactions under way, too.
    isOplogReadable: kind === "replica set" &&
      may(privileges, "find", { db: "local", collection: "oplog.rs" }) &&
      may(privileges, "find", { db: "config", collection: "transactions" }),
  };
}

/** The server's greeting: its role, position and clock. @throws MongoServerError */
export async function askHello(client: MongoClient): Promise<Document> {
  const admin = client.db("admin");
  try {
    return await admin.command({ hello: 1 });
  } catch (error) {
    // 4.4.0 and 4.4.1 know only the old name.
    if (serverCode(error) === serverCodes.commandNotFound) {
      return await admin.command({ isMaster: 1 });
    }
    throw error;
  }
}

/** The newest majority-committed position: nothing up to it can be rolled back. */
export function positionOf(hello: Document): Position | undefined {
  const time = hello["lastWrite"]?.["majorityOpTime"];
  const ts = time?.["ts"];
  if (ts === undefined) return undefined;
  return { type: "oplog", t: Number(ts.t), i: Number(ts.i), term: Number(time["t"]) };
}

async function readPrivileges(client: MongoClient): Promise<readonly Privilege[] | undefined> {
  const status = await client.db("admin").command({ connectionStatus: 1, showPrivileges: true });
  const { authenticatedUsers, authenticatedUserPrivileges } = status["authInfo"];
  if (authenticatedUsers.length > 0) return authenticatedUserPrivileges;
  // Nobody logged in: either everything is open, or this is refused with code 13.
  await client.db("admin").command({ listDatabases: 1, nameOnly: true });
  return undefined;
}

/** A replica set has an id of its own, and a sharded cluster, too. A standalone server has none. */
async function readSourceId(
  client: MongoClient,
  hello: Document,
  kind: Server["kind"],
): Promise<string | undefined> {
  if (kind === "replica set") {
    const id = await replicaSetId(client);
    return `${hello["setName"]}/${id ?? [...hello["hosts"] ?? []].sort().join(",")}`;
  }
  if (kind === "sharded cluster") {
    const found = await client.db("config").collection("version").findOne().catch(denied);
    if (found?.["clusterId"] !== undefined) return `cluster/${found["clusterId"]}`;
  }
  return undefined;
}

async function replicaSetId(client: MongoClient): Promise<string | undefined> {
  const answer = await client.db("admin").command({ replSetGetConfig: 1 }).catch(denied);
  const config = answer?.["config"] ??
    await client.db("local").collection("system.replset").findOne().catch(denied);
  return config?.["settings"]?.["replicaSetId"]?.toString();
}

function denied(error: unknown): undefined {
  if (serverCode(error) === serverCodes.unauthorized) return undefined;
  throw error;
}
