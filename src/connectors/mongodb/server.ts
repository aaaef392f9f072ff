import type { Document, MongoClient } from "mongodb";
import type { Position } from "../../contracts/manifest.ts";
import { refused } from "./errors.ts";
import { may, type Privilege } from "./privileges.ts";

/** What a server says of itself. */
export interface Server {
  readonly version: string;
  readonly kind: "standalone" | "replica set" | "sharded cluster";
  /** Undefined where the server has no id of its own. */
  readonly sourceId: string | undefined;
  /** Tells the running process from any other; undefined where the server says nothing of the kind. */
  readonly instance: string | undefined;
  /** Majority-committed; undefined without an oplog. */
  readonly position: Position | undefined;
  readonly localTime: Date | undefined;
  /**
   * Undefined when nobody logged in, which a server without access control takes for everything; and
   * when the server does not tell: then what is needed is tried.
   */
  readonly privileges: readonly Privilege[] | undefined;
  /** Users and roles: whether mongodump can read them. */
  readonly accounts: Accounts;
  /** Whether `--oplog` can be used. */
  readonly isOplogReadable: boolean;
}

/** Whether users and roles can be dumped. */
export interface Accounts {
  /** Whether their collections can be read at all; a dump of all databases reads them, too. */
  readonly isReadable: boolean;
  /** Why they are left out of a dump, as a sentence; undefined where they are not. */
  readonly missing?: string;
}

/** Asks a server about itself. @throws MongoServerError */
export async function readServer(client: MongoClient): Promise<Server> {
  const admin = client.db("admin");
  const hello = await askHello(client);
  const { version } = await admin.command({ buildInfo: 1 });
  const login = await readLogin(client);
  const kind = hello["msg"] === "isdbgrid"
    ? "sharded cluster"
    : typeof hello["setName"] === "string"
    ? "replica set"
    : "standalone";
  return {
    version: String(version),
    kind,
    sourceId: await readSourceId(client, hello, kind),
    instance: await readInstance(client, hello),
    position: positionOf(hello),
    localTime: hello["localTime"] instanceof Date ? hello["localTime"] : undefined,
    privileges: login.privileges,
    accounts: await readAccountsState(client, login),
    isOplogReadable: kind === "replica set" && await hasReadableOplog(client, login.privileges),
  };
}

/** The server's greeting: its role, position and clock. @throws MongoServerError */
export async function askHello(client: MongoClient): Promise<Document> {
  const admin = client.db("admin");
  // 4.4.0 and 4.4.1 know only the old name.
  return await admin.command({ hello: 1 }).catch(refused) ?? await admin.command({ isMaster: 1 });
}

/** The newest majority-committed position: nothing up to it can be rolled back. */
export function positionOf(hello: Document): Position | undefined {
  const time = hello["lastWrite"]?.["majorityOpTime"];
  const ts = time?.["ts"];
  if (ts === undefined) return undefined;
  return { type: "oplog", t: Number(ts.t), i: Number(ts.i), term: Number(time["t"]) };
}

interface Login {
  /** Undefined where nobody logged in. */
  readonly name: string | undefined;
  /** Whether somebody logged in who is kept by the server itself, not by LDAP, X.509 or the like. */
  readonly isOfServer: boolean;
  readonly privileges: readonly Privilege[] | undefined;
}

async function readLogin(client: MongoClient): Promise<Login> {
  const admin = client.db("admin");
  const status = await admin.command({ connectionStatus: 1, showPrivileges: true }).catch(refused);
  const { authenticatedUsers = [], authenticatedUserPrivileges = [] } = status?.["authInfo"] ?? {};
  // Nobody logged in: either everything is open, or this is refused with code 13.
  if (status !== undefined && authenticatedUsers.length === 0) {
    await admin.command({ listDatabases: 1, nameOnly: true });
  }
  return {
    name: authenticatedUsers[0]?.["user"],
    isOfServer: authenticatedUsers.some(({ db }: Document) => db !== "$external"),
    privileges: authenticatedUserPrivileges.length > 0 ? authenticatedUserPrivileges : undefined,
  };
}

const accountCollections = ["system.users", "system.roles", "system.version"] as const;

/** Privileges alone do not tell: services refuse what roles allow, or keep users elsewhere. */
async function readAccountsState(client: MongoClient, login: Login): Promise<Accounts> {
  const isAllowed = accountCollections.every((collection) =>
    may(login.privileges, "find", { db: "admin", collection })
  );
  if (!isAllowed) {
    return {
      isReadable: false,
      missing:
        `${
          login.name === undefined ? "This user" : `User "${login.name}"`
        } may not read users and ` +
        "roles (admin.system.users, admin.system.roles, admin.system.version); run in the " +
        `database of the user: db.grantRolesToUser(${
          JSON.stringify(login.name ?? "USER")
        }, [{ role: "backup", db: "admin" }])`,
    };
  }
  const admin = client.db("admin");
  let hasUsers = false;
  for (const name of accountCollections) {
    const first = await admin.collection(name).findOne({}, { projection: { _id: 1 } })
      .catch((error: unknown) => {
        refused(error);
        return undefined;
      });
    if (first === undefined) {
      return { isReadable: false, missing: "The server does not show its users and roles" };
    }
    if (name === "system.users") hasUsers = first !== null;
  }
  if (hasUsers) return { isReadable: true };
  const info = await admin.command({ usersInfo: { forAllDBs: true } }).catch(refused);
  const others = (info?.["users"] as readonly unknown[] | undefined)?.length ?? 0;
  return login.isOfServer || others > 0
    ? { isReadable: true, missing: "The server keeps its users and roles where no dump reads them" }
    : { isReadable: true };
}

async function hasReadableOplog(
  client: MongoClient,
  privileges: readonly Privilege[] | undefined,
): Promise<boolean> {
  // mongodump looks for transactions under way, too.
  for (const [db, collection] of [["local", "oplog.rs"], ["config", "transactions"]] as const) {
    if (!may(privileges, "find", { db, collection })) return false;
    const first = await client.db(db).collection(collection)
      .findOne({}, { projection: { _id: 1, ts: 1 } })
      .catch((error: unknown) => {
        refused(error);
        return undefined;
      });
    if (first === undefined || (first === null && db === "local")) return false;
  }
  return true;
}

/** A replica set has an id of its own, and a sharded cluster, too. A standalone server has none. */
async function readSourceId(
  client: MongoClient,
  hello: Document,
  kind: Server["kind"],
): Promise<string | undefined> {
  if (kind === "replica set") {
    const id = await readSetId(client);
    return `${hello["setName"]}/${id ?? [...hello["hosts"] ?? []].sort().join(",")}`;
  }
  if (kind === "sharded cluster") {
    const found = await client.db("config").collection("version").findOne().catch(refused);
    if (found?.["clusterId"] !== undefined) return `cluster/${found["clusterId"]}`;
  }
  return undefined;
}

/** The greeting names the process since 4.4; services that only speak the protocol know theirs. */
async function readInstance(client: MongoClient, hello: Document): Promise<string | undefined> {
  const id = hello["topologyVersion"]?.["processId"];
  if (id !== undefined) return String(id);
  const status = await client.db("admin").command({ serverStatus: 1 }).catch(refused);
  const { host, pid } = status ?? {};
  return host === undefined || pid === undefined ? undefined : `${host} ${pid}`;
}

/**
 * What two runs meet by at a server that has no id of its own, however their URLs spell it.
 *
 * @param names of the databases
 */
export function locksOf(
  { sourceId, instance }: Server,
  names: readonly string[],
): { locks?: readonly string[] } {
  if (sourceId !== undefined || instance === undefined) return {};
  return { locks: names.map((name) => `${instance} ${name}`) };
}

/** The set's own id; undefined where the server shows its configuration in no way. */
export async function readSetId(client: Pick<MongoClient, "db">): Promise<string | undefined> {
  const answer = await client.db("admin").command({ replSetGetConfig: 1 }).catch(refused);
  const config = answer?.["config"] ??
    await client.db("local").collection("system.replset").findOne().catch(refused);
  return config?.["settings"]?.["replicaSetId"]?.toString();
}
