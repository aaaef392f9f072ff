import path from "node:path";
import type { MongoClient } from "mongodb";
import { onFreePort } from "./daemon.ts";
import { ferretdb } from "./ferretdb.ts";
import { freshName } from "./freshName.ts";
import { hardPassword } from "./hardPassword.ts";
import { installed } from "./installed.ts";
import { mongod } from "./mongod.ts";
import { type MongoCapability, type MongoKind, mongoKindFor } from "./mongoKinds.ts";
import { secantusdb } from "./secantusdb.ts";
import { shared } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** Which server is wanted. */
export interface MongoWish {
  /** What it has to be able to do; the first kind at hand that can is taken. @default {nothing} */
  readonly can?: readonly MongoCapability[];
  /** This very kind. */
  readonly kind?: MongoKind;
  /** Whether clients have to log in as root (SCRAM). @default {false} */
  readonly auth?: boolean;
}

/** What differs from the defaults in a server of one's own. */
export interface MongoOptions extends MongoWish {
  /** More arguments of the server. */
  readonly args?: readonly string[];
  /** An existing data directory which a mongod takes over. @default {a new one} */
  readonly dataDir?: string;
}

/** Which login and options a URL names. */
export interface MongoUrlOptions {
  readonly user?: string;
  readonly password?: string;
  /** Parameters; they win over those that the kind of server needs. */
  readonly params?: Readonly<Record<string, string>>;
}

/** What starts and stops the processes of a kind. */
export interface MongoLauncher {
  /** The name of the set. */
  readonly setName: string | undefined;
  readonly dataDir: string;
  /** Starts it, the first time with all that it needs: a set, the user root. */
  start(port: number): Promise<void>;
  pids(): readonly number[];
  stop(signal: NodeJS.Signals): Promise<void>;
}

/** What a {@link MongoLauncher} is made with. */
export interface MongoLaunchOptions {
  readonly isReplicaSet: boolean;
  readonly hasAuth: boolean;
  readonly folder: string;
  readonly logFile: string;
  readonly args: readonly string[];
  readonly dataDir: string | undefined;
}

/** A MongoDB server, or what stands in for one. */
export interface MongoServer {
  readonly kind: MongoKind;
  /** Whether it can do this; see mongoKinds.ts. */
  can(capability: MongoCapability): boolean;
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
  /** Those of all its processes but for children: FerretDB has a PostgreSQL. */
  pids(): readonly number[];
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
 * @throws {Error} when no server at hand can do what is wanted.
 */
export function mongo(wish: MongoWish = {}): Promise<MongoServer> {
  const { auth = false } = wish;
  const kind = kindOf(wish);
  return shared(`mongo ${kind.name} ${auth}`, () => startMongo({ kind, auth }));
}

/** Starts a server of one's own, for tests that stop, kill or reconfigure it. */
export async function startMongo(options: MongoOptions = {}): Promise<MongoServer> {
  const kind = kindOf(options);
  const hasAuth = options.auth ?? false;
  const folder = tempDir("mongo");
  const logFile = path.join(folder, "server.log");
  const launchers = { mongod, ferretdb, secantusdb };
  const launcher = launchers[kind.program]({
    ...{ isReplicaSet: kind.isReplicaSet, hasAuth, folder, logFile },
    ...{ args: options.args ?? [], dataDir: options.dataDir },
  });
  const { setName, dataDir } = launcher;
  const port = await onFreePort(async (candidate) => {
    await launcher.start(candidate);
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
      ...setName === undefined ? {} : { replicaSet: setName },
      ...target.params,
    };
    for (const [name, value] of Object.entries(params)) href.searchParams.set(name, value);
    return href.href;
  };

  let client: MongoClient | undefined;
  const connect = async () => {
    if (client !== undefined) return client;
    // Loaded here, so that tests of other databases do not pay for it.
    const { MongoClient } = await import("mongodb");
    return client = await MongoClient.connect(url());
  };

  return {
    kind,
    can: (capability) => kind.can.has(capability),
    host: "127.0.0.1",
    port,
    replicaSet: setName,
    user: hasAuth ? "root" : undefined,
    password: hasAuth ? hardPassword : undefined,
    dataDir,
    logFile,
    toolsDir: installed().mongotools,
    pid: () => launcher.pids()[0]!,
    pids: () => launcher.pids(),
    url,
    client: connect,
    freshDatabase: freshName,
    async stop(signal = "SIGTERM") {
      await client?.close();
      client = undefined;
      await launcher.stop(signal);
    },
    start: () => launcher.start(port),
  };
}

function kindOf({ kind, can = [] }: MongoWish): MongoKind {
  const found = kind ?? mongoKindFor(can);
  if (found !== undefined) return found;
  throw new Error(`no MongoDB at hand has ${can.join(", ") || "anything"}: see scripts/servers`);
}
