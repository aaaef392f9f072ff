import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MongoClient } from "mongodb";
import { type Daemon, onFreePort, startDaemon } from "./daemon.ts";
import { freshName } from "./freshName.ts";
import { hardPassword } from "./hardPassword.ts";
import { installed } from "./installed.ts";
import { shared } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** The kinds of server. */
export interface MongoKind {
  /** A replica set of one node, named `rs0`, with an oplog; else a standalone. @default {false} */
  readonly replicaSet?: boolean;
  /** Whether clients have to log in as root (SCRAM). @default {false} */
  readonly auth?: boolean;
}

/** What differs from the defaults in a server of one's own. */
export interface MongoOptions extends MongoKind {
  /** More arguments of mongod, such as `["--oplogSize", "10"]` (MB). */
  readonly args?: readonly string[];
  /** An existing data directory which the server takes over. @default {a new one} */
  readonly dataDir?: string;
}

/** Which login and options a URL names. */
export interface MongoUrlOptions {
  readonly user?: string;
  readonly password?: string;
  /** Parameters; they win over those that the kind of server needs. */
  readonly params?: Readonly<Record<string, string>>;
}

/** A MongoDB server, 4.4: no TLS, no JavaScript, no sharding. */
export interface MongoServer {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** The name of the replica set, undefined for a standalone. */
  readonly replicaSet: string | undefined;
  /** The login, undefined without `auth`. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly dataDir: string;
  readonly logFile: string;
  /** The folder of mongodump and mongorestore, undefined where they are missing. */
  readonly toolsDir: string | undefined;
  /** The process id, of the moment. */
  pid(): number;
  /** `mongodb://…`, with login and replica set, and no database unless told otherwise. */
  url(database?: string, options?: MongoUrlOptions): string;
  /** A connected client, the same one each time; {@link stop} closes it. */
  client(): Promise<MongoClient>;
  /** A database name that nobody else uses; MongoDB creates databases on the first write. */
  freshDatabase(): string;
  /** Ends the server; not for the shared one. @default signal {"SIGTERM", a clean shutdown} */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after {@link stop}, on the same port and data, and waits for a primary. */
  start(): Promise<void>;
}

/**
 * The shared server of a kind; made on first use, ended with the tests.
 *
 * @throws {Error} when no mongod was found.
 */
export function mongo(kind: MongoKind = {}): Promise<MongoServer> {
  const { replicaSet = false, auth = false } = kind;
  return shared(`mongo ${replicaSet} ${auth}`, () => startMongo({ replicaSet, auth }));
}

/** Starts a server of one's own, for tests that stop, kill or reconfigure it. */
export async function startMongo(options: MongoOptions = {}): Promise<MongoServer> {
  const { replicaSet: isReplicaSet = false, auth: hasAuth = false } = options;
  const { mongo: command, mongotools: toolsDir } = installed();
  if (command === undefined) throw new Error("mongod is missing: see scripts/servers");
  const folder = tempDir("mongo");
  const dataDir = options.dataDir ?? path.join(folder, "data");
  mkdirSync(dataDir, { recursive: true });
  const keyFile = path.join(folder, "key");
  writeFileSync(keyFile, randomBytes(48).toString("base64"), { mode: 0o600 });
  const logFile = path.join(folder, "server.log");

  const launch = (port: number) =>
    startDaemon({
      command,
      args: [
        ...["--dbpath", dataDir, "--port", String(port), "--bind_ip", "127.0.0.1"],
        ...["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"],
        ...["--setParameter", "diagnosticDataCollectionEnabled=false"],
        ...isReplicaSet ? ["--replSet", "rs0", "--oplogSize", "64"] : [],
        ...hasAuth ? ["--auth"] : [],
        ...hasAuth && isReplicaSet ? ["--keyFile", keyFile] : [],
        ...options.args ?? [],
      ],
      logFile,
      ready: /Waiting for connections/,
    });
  let daemon: Daemon;
  const port = await onFreePort(async (candidate) => {
    daemon = await launch(candidate);
    return candidate;
  });

  const url: MongoServer["url"] = (database = "", target = {}) => {
    const href = new URL(`mongodb://127.0.0.1:${port}`);
    if (hasAuth || target.user !== undefined) {
      href.username = encodeURIComponent(target.user ?? "root");
      href.password = encodeURIComponent(target.password ?? hardPassword);
    }
    href.pathname = `/${encodeURIComponent(database)}`;
    const params = {
      ...hasAuth ? { authSource: "admin" } : {},
      ...isReplicaSet ? { replicaSet: "rs0" } : {},
      ...target.params,
    };
    for (const [name, value] of Object.entries(params)) href.searchParams.set(name, value);
    return href.href;
  };

  let client: MongoClient | undefined;
  const connect = async () => {
    if (client !== undefined) return client;
    const { MongoClient } = await import("mongodb");
    return client = await MongoClient.connect(url());
  };

  if (options.dataDir === undefined) await initialise(port, url(), isReplicaSet, hasAuth);
  else if (isReplicaSet) await waitForPrimary(port);

  return {
    host: "127.0.0.1",
    port,
    replicaSet: isReplicaSet ? "rs0" : undefined,
    user: hasAuth ? "root" : undefined,
    password: hasAuth ? hardPassword : undefined,
    dataDir,
    logFile,
    toolsDir,
    pid: () => daemon.pid,
    url,
    client: connect,
    freshDatabase: freshName,
    async stop(signal = "SIGTERM") {
      await client?.close();
      client = undefined;
      await daemon.stop(signal);
    },
    async start() {
      daemon = await launch(port);
      if (isReplicaSet) await waitForPrimary(port);
    },
  };
}

/** Makes the replica set and its root user, over the exception for localhost. */
async function initialise(port: number, url: string, isReplicaSet: boolean, hasAuth: boolean) {
  await withClient(directUrl(port), async (client) => {
    const admin = client.db("admin");
    if (isReplicaSet) {
      await admin.command({
        replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: `127.0.0.1:${port}` }] },
      });
      await waitForPrimary(port);
    }
    if (hasAuth) await admin.command({ createUser: "root", pwd: hardPassword, roles: ["root"] });
  });
  // The catalog is not journaled in a replica set, so a server that is killed before its first
  // checkpoint loses even its configuration. The oplog brings back what follows.
  if (isReplicaSet) await withClient(url, (client) => client.db("admin").command({ fsync: 1 }));
}

async function waitForPrimary(port: number) {
  await withClient(directUrl(port), async (client) => {
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      const hello = await client.db("admin").command({ isMaster: 1 });
      if (hello.ismaster === true) return;
      await sleep(50);
    }
    throw new Error("the replica set has no primary after 30 seconds");
  });
}

const directUrl = (port: number) => `mongodb://127.0.0.1:${port}/?directConnection=true`;

async function withClient(url: string, use: (client: MongoClient) => Promise<unknown>) {
  // Loaded here, so that tests of other databases do not pay for it.
  const { MongoClient } = await import("mongodb");
  const client = await MongoClient.connect(url);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}
