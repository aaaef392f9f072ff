import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { killAtEnd } from "./workspace.ts";

/** How {@link startDaemon} starts a server. */
export interface DaemonOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Its output is appended here. */
  readonly logFile: string;
  /** What the server logs once it takes connections. */
  readonly ready: RegExp;
  /** How long it may take to get ready. @default {60_000} */
  readonly timeoutMs?: number;
  /** The whole environment. @default {process.env} */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What ends it when the tests end. @default {"KILL"} */
  readonly endSignal?: "KILL" | "QUIT";
  /** User and group that it runs as; only root may set these. */
  readonly uid?: number;
  readonly gid?: number;
}

/** A server process. */
export interface Daemon {
  readonly pid: number;
  /** Becomes the exit status, null after a signal. */
  readonly exited: Promise<number | null>;
  /** Signals it and waits for its end. After 30 seconds it is killed. Does nothing when it has ended. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

/**
 * Starts a server and waits until it is ready.
 *
 * @throws {Error} with the end of its log when it ends before that, or is not ready in time.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { command, args, logFile, ready, timeoutMs = 60_000 } = options;
  const log = openSync(logFile, "a");
  const logStart = statSync(logFile).size;
  // Detached, so that ctrl-C leaves its end to the reaper.
  const child = spawn(command, [...args], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
    env: options.env ?? process.env,
    uid: options.uid,
    gid: options.gid,
  });
  closeSync(log);
  const started = Promise.withResolvers<number>();
  child.once("spawn", () => started.resolve(child.pid ?? -1));
  child.once("error", started.reject);
  const pid = await started.promise;

  const forget = killAtEnd(pid, options.endSignal);
  let hasExited = false;
  const exited = new Promise<number | null>((resolve) =>
    child.once("exit", (code) => {
      hasExited = true;
      forget();
      resolve(code);
    })
  );
  child.unref();

  const stop = async (signal: NodeJS.Signals) => {
    if (hasExited) return;
    child.ref();
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await exited;
    clearTimeout(late);
  };

  const logged = () => readFileSync(logFile).subarray(logStart).toString("utf8");
  const deadline = Date.now() + timeoutMs;
  while (!ready.test(logged())) {
    if (hasExited) throw new Error(`${command} did not start:\n${logged().slice(-4000)}`);
    if (Date.now() > deadline) {
      await stop("SIGKILL");
      throw new Error(
        `${command} was not ready in ${timeoutMs} ms:\n${logged().slice(-4000)}`,
      );
    }
    await sleep(50);
  }
  return { pid, exited, stop };
}

/**
 * Calls `start` with a TCP port of 127.0.0.1 that nobody listens on, up to three times, for
 * somebody else may take the port meanwhile.
 */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (tries === 3 || !/in use/i.test(String(error))) throw error;
    }
  }
}

/** A TCP port of 127.0.0.1 that nobody listens on, ever: a free one may be somebody's next moment. */
export const deadPort = 1;

/** A TCP port of 127.0.0.1 that nobody listens on just now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
