import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Daemon, startDaemon } from "./daemon.ts";
import { hardPassword } from "./hardPassword.ts";
import { installed } from "./installed.ts";
import type { MongoLauncher, MongoLaunchOptions } from "./mongo.ts";
import { withMongoClient } from "./mongoClient.ts";

/** The real thing, 4.4 or newer; a set of one node is named `rs0`. */
export function mongod(options: MongoLaunchOptions): MongoLauncher {
  const { isReplicaSet, hasAuth, folder } = options;
  const command = installed().mongod!;
  const isNew = options.dataDir === undefined;
  const dataDir = options.dataDir ?? path.join(folder, "data");
  mkdirSync(dataDir, { recursive: true });
  const keyFile = path.join(folder, "key");
  writeFileSync(keyFile, randomBytes(48).toString("base64"), { mode: 0o600 });
  let daemon: Daemon;
  let isMade = !isNew;
  return {
    setName: isReplicaSet ? "rs0" : undefined,
    dataDir,
    async start(port) {
      daemon = await startDaemon({
        command,
        args: [
          ...["--dbpath", dataDir, "--port", String(port), "--bind_ip", "127.0.0.1"],
          ...["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"],
          ...["--setParameter", "diagnosticDataCollectionEnabled=false"],
          ...isReplicaSet ? ["--replSet", "rs0", "--oplogSize", "64"] : [],
          ...hasAuth ? ["--auth"] : [],
          ...hasAuth && isReplicaSet ? ["--keyFile", keyFile] : [],
          ...options.args,
        ],
        logFile: options.logFile,
        ready: /Waiting for connections/,
      });
      if (!isMade) await initialise(port, isReplicaSet, hasAuth);
      else if (isReplicaSet) await waitForPrimary(port);
      isMade = true;
    },
    pids: () => [daemon.pid],
    stop: (signal) => daemon.stop(signal),
  };
}

/** Makes the replica set and its root user, over the exception for localhost. */
async function initialise(port: number, isReplicaSet: boolean, hasAuth: boolean) {
  await withMongoClient(directUrl(port), async (client) => {
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
  if (!isReplicaSet) return;
  const login = hasAuth ? `root:${encodeURIComponent(hardPassword)}@` : "";
  const url = `mongodb://${login}127.0.0.1:${port}/?directConnection=true&authSource=admin`;
  await withMongoClient(url, (client) => client.db("admin").command({ fsync: 1 }));
}

async function waitForPrimary(port: number) {
  await withMongoClient(directUrl(port), async (client) => {
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
