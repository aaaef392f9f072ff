import path from "node:path";
import { type Daemon, startDaemon } from "./daemon.ts";
import { hardPassword } from "./hardPassword.ts";
import { installed } from "./installed.ts";
import type { MongoLauncher, MongoLaunchOptions } from "./mongo.ts";
import { withMongoClient } from "./mongoClient.ts";

/**
 * secantusdb, whose set of one node is named `secantus`. It has views, options of collections, roles
 * and an oplog that mongodump takes along; its entries are of another shape than a real server's and
 * it has no applyOps, so nothing about replay can be proved on it.
 */
export function secantusdb(options: MongoLaunchOptions): MongoLauncher {
  const { isReplicaSet, hasAuth, folder, logFile, args } = options;
  const command = installed().secantusdb!;
  const dataDir = path.join(folder, "data");
  let daemon: Daemon;
  let isMade = false;
  const launch = (port: number, more: readonly string[]) =>
    startDaemon({
      command,
      args: [
        ...["--host", "127.0.0.1", "--port", String(port), "--storage-path", dataDir],
        // Killed, it comes back with what was written; its own way to end takes seconds.
        ...["--cache-size", "128M", "--sync-on-commit"],
        ...isReplicaSet ? [] : ["--standalone"],
        ...more,
        ...args,
      ],
      logFile,
      ready: /secantus listening on/,
    });
  return {
    setName: isReplicaSet ? "secantus" : undefined,
    dataDir,
    async start(port) {
      if (hasAuth && !isMade) {
        daemon = await launch(port, []);
        await withMongoClient(
          `mongodb://127.0.0.1:${port}/?directConnection=true`,
          (client) =>
            client.db("admin").command({ createUser: "root", pwd: hardPassword, roles: ["root"] }),
        );
        await daemon.stop("SIGKILL");
      }
      isMade = true;
      daemon = await launch(port, hasAuth ? ["--auth"] : []);
    },
    pids: () => [daemon.pid],
    stop: () => daemon.stop("SIGKILL"),
  };
}
