import { chmodSync, mkdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { type Daemon, startDaemon } from "./daemon.ts";
import { hardPassword } from "./hardPassword.ts";
import { installed } from "./installed.ts";
import type { MongoLauncher, MongoLaunchOptions } from "./mongo.ts";
import { output } from "./run.ts";
import { giveTo, serverUser } from "./user.ts";

/**
 * FerretDB 2 on PostgreSQL 18 with DocumentDB. It takes documents and indexes for what they are, and
 * answers ok to much that it ignores: every option of `create`, roles, `abortTransaction`.
 */
export function ferretdb({ folder, hasAuth, logFile, args }: MongoLaunchOptions): MongoLauncher {
  const { server, binDir, template } = installed().ferretdb!;
  const [dataDir, socketDir, stateDir] = ["data", "socket", "state"]
    .map((name) => path.join(folder, name)) as [string, string, string];
  const user = serverUser();
  const owner = { uid: user?.uid, gid: user?.gid };
  let postgres: Daemon | undefined;
  let daemon: Daemon;
  let isMade = false;

  async function make(): Promise<void> {
    await output("cp", ["-R", template, dataDir]);
    chmodSync(dataDir, 0o700);
    for (const name of [socketDir, stateDir]) mkdirSync(name);
    for (const name of [folder, dataDir, socketDir]) await giveTo(user, name, true);
  }

  return {
    setName: undefined,
    dataDir,
    async start(port) {
      if (!isMade) await make();
      // The port is only a part of the socket's name.
      postgres = await startDaemon({
        command: path.join(binDir, "postgres"),
        args: [
          ...["-D", dataDir, "-p", String(port)],
          ...Object.entries(settings(socketDir)).flatMap(([name, value]) => [
            ...["-c", `${name}=${value}`],
          ]),
        ],
        logFile: path.join(folder, "postgres.log"),
        ready: /database system is ready to accept connections/,
        env: { ...process.env, LC_ALL: "C" },
        endSignal: "QUIT", // KILL would leave its children behind
        ...owner,
      });
      if (hasAuth && !isMade) {
        await output(path.join(binDir, "psql"), [
          ...["-X", "-h", socketDir, "-p", String(port), "-U", "postgres", "-d", "postgres"],
          ...["-v", "ON_ERROR_STOP=1"],
        ], {
          input: `SET password_encryption = 'scram-sha-256';
            CREATE ROLE root SUPERUSER LOGIN PASSWORD '${hardPassword.replaceAll("'", "''")}';`,
        });
      }
      isMade = true;
      try {
        daemon = await startDaemon({
          command: server,
          args: [
            `--listen-addr=127.0.0.1:${port}`,
            `--postgresql-url=postgres://postgres@/postgres?host=${
              encodeURIComponent(socketDir)
            }&port=${port}`,
            ...["--debug-addr=-", `--state-dir=${stateDir}`, "--telemetry=disable"],
            ...hasAuth ? [] : ["--no-auth"],
            ...args,
          ],
          logFile,
          ready: /Listening on TCP/,
        });
      } catch (error) {
        await postgres.stop("SIGQUIT");
        throw error;
      }
    },
    pids: () => [daemon.pid, postgres!.pid],
    async stop(signal) {
      await daemon.stop(signal);
      // A killed postmaster would leave its children behind.
      await postgres!.stop(signal === "SIGKILL" ? "SIGQUIT" : "SIGINT");
    },
  };
}

function settings(socketDir: string): Record<string, string | number> {
  return {
    listen_addresses: "",
    unix_socket_directories: socketDir,
    fsync: "off",
    shared_buffers: "32MB",
    max_connections: 60,
    // The default's /dev/shm is small in containers and keeps the segments of a killed server.
    dynamic_shared_memory_type: "mmap",
    io_method: "sync",
    shared_preload_libraries: "pg_cron,pg_documentdb_core,pg_documentdb",
    "cron.database_name": "postgres",
    "documentdb.localhost_connection_string": `host=${socketDir}`,
    "documentdb_core.enableCollation": "on",
    "documentdb.enableCollationWithNonUniqueOrderedIndexes": "on",
  };
}
