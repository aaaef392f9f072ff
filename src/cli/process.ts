import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import process from "node:process";
import { isDoing, runCli } from "./cli.ts";
import { guardGuests } from "./guest-code.ts";
import type { ByteOutput, Host } from "./host.ts";
import { askOnTerminal } from "./prompt.ts";
import { killChildren } from "../core/child.ts";
import { BackupError, exitStatusOf } from "../core/errors.ts";
import { ownHome, ownUid } from "../core/user.ts";

/**
 * Runs the command line of this process.
 *
 * Returns when all output is written, by ending the process.
 */
export async function runProcess(): Promise<never> {
  const controller = new AbortController();
  const [stdout, stderr] = [output(process.stdout), output(process.stderr)];
  const { exit } = guardGuests((error) => controller.abort(error));
  const withDefaultSignals = listenForSignals(controller, exit);
  // `dbbackup list | head` closes the pipe early, and that is no failure; a full disk is one.
  let lost: Error | undefined;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EBADF") lost = error;
  });
  const host: Host = {
    env: process.env,
    cwd: process.cwd(),
    home: ownHome(process.env),
    uid: ownUid(),
    tempDir: tmpdir(),
    stdout,
    stderr,
    ...(process.stdin.isTTY && process.stderr.isTTY
      ? { ask: (question, o) => askOnTerminal(question, { ...o, signal: controller.signal }) }
      : {}),
    now: () => new Date(),
    random: (length) => new Uint8Array(randomBytes(length)),
    signal: controller.signal,
    withDefaultSignals,
  };
  const argv = process.argv.slice(2);
  const status = await runCli(argv, host);
  killChildren(); // of what was given up
  await Promise.all([stdout.flush(), stderr.flush()]);
  if (lost === undefined) return exit(status);
  // A backup that was made stands, though nobody could be told of it; a list that was lost is none.
  const isDeed = isDoing(argv);
  const word = isDeed ? "warning" : "error";
  stderr.write(`${word}: Cannot write standard output: ${lost.message} (usage/output)\n`);
  await stderr.flush();
  return exit(status === 0 && !isDeed ? exitStatusOf("usage/output") : status);
}

/** @returns what runs something with the system's own handling of signals, and ours after it */
function listenForSignals(
  controller: AbortController,
  exit: (status: number) => never,
): NonNullable<Host["withDefaultSignals"]> {
  let hasCome = false;
  const listeners = (["SIGINT", "SIGTERM"] as const).map((name) => {
    const listener = () => {
      // Who signals twice does not want to wait for the cleaning up. The tools are in sessions of
      // their own, which the terminal's ctrl-C does not reach.
      if (hasCome) {
        killChildren();
        exit(exitStatusOf("interrupted/signal"));
      }
      hasCome = true;
      controller.abort(
        new BackupError("interrupted/signal", `Stopped by ${name}`, {
          hint: "An unfinished backup is removed and never listed. Start again what was stopped.",
        }),
      );
    };
    return { name, listener };
  });
  const listen = () => listeners.forEach(({ name, listener }) => process.on(name, listener));
  listen();
  return async (use) => {
    for (const { name, listener } of listeners) process.off(name, listener);
    try {
      return await use();
    } finally {
      listen();
    }
  };
}

/** A {@link ByteOutput} that knows when all of it has left the process. */
interface FlushableOutput extends ByteOutput {
  /** Waits until everything written so far is out, or the reader is gone. */
  flush(): Promise<void>;
}

function output(stream: NodeJS.WriteStream): FlushableOutput {
  // Standard output's own way is closed to the code of a config; see guardGuests.
  const write = stream.write.bind(stream);
  let unwritten = 0;
  let wake: (() => void) | undefined;
  const settle = (left: number) => {
    unwritten = left;
    if (left === 0) wake?.();
  };
  let isBroken = false;
  stream.on("error", () => {
    isBroken = true;
    settle(0);
  });
  return {
    writeBytes(chunk) {
      if (isBroken || chunk.byteLength === 0) return Promise.resolve(!isBroken);
      return new Promise((resolve) => {
        const gone = () => resolve(false);
        stream.once("error", gone);
        write(chunk, (error) => {
          // An error is told after the callback, which may not know of it.
          setImmediate(() => {
            stream.off("error", gone);
            resolve(!isBroken && (error === undefined || error === null));
          });
        });
      });
    },
    // Bun calls back an empty write at once, whatever waits before it: so each write is followed.
    write(text) {
      unwritten++;
      write(text, () => settle(Math.max(0, unwritten - 1)));
    },
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns || 100;
    },
    async flush() {
      if (unwritten > 0) await new Promise<void>((resolve) => wake = resolve);
      // An error is told after the callback.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
