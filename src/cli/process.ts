import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import process from "node:process";
import { runCli } from "./cli.ts";
import type { Host, Output } from "./host.ts";
import { askOnTerminal } from "./prompt.ts";
import { killChildren } from "../core/child.ts";
import { BackupError, exitStatusOf } from "../core/errors.ts";
import { ownHome, ownUid } from "../core/user.ts";

/**
 * Runs the command line of this process.
 *
 * @param exit ends the process; called once, when all output is written
 */
export async function runProcess(exit: (status: number) => never): Promise<void> {
  const controller = new AbortController();
  listenForSignals(controller, exit);
  // `dbbackup list | head` closes the pipe early, and that is no failure; a full disk is one.
  let lost: Error | undefined;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") lost = error;
  });
  const [stdout, stderr] = [output(process.stdout), output(process.stderr)];
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
  };
  const status = await runCli(process.argv.slice(2), host);
  killChildren(); // of what was given up
  await Promise.all([stdout.flush(), stderr.flush()]);
  if (lost === undefined) return exit(status);
  stderr.write(`error: Cannot write standard output: ${lost.message} (usage/output)\n`);
  await stderr.flush();
  exit(status === 0 ? exitStatusOf("usage/output") : status);
}

function listenForSignals(controller: AbortController, exit: (status: number) => never): void {
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      // Who signals twice does not want to wait for the cleaning up. The tools are in sessions of
      // their own, which the terminal's ctrl-C does not reach.
      if (controller.signal.aborted) {
        killChildren();
        exit(exitStatusOf("interrupted/signal"));
      }
      controller.abort(
        new BackupError("interrupted/signal", `Stopped by ${name}`, {
          hint: "An unfinished backup is removed and never listed. Start again what was stopped.",
        }),
      );
    });
  }
}

/** An {@link Output} that knows when all of it has left the process. */
interface FlushableOutput extends Output {
  /** Waits until everything written so far is out, or the reader is gone. */
  flush(): Promise<void>;
}

function output(stream: NodeJS.WriteStream): FlushableOutput {
  let unwritten = 0;
  let wake: (() => void) | undefined;
  const settle = (left: number) => {
    unwritten = left;
    if (left === 0) wake?.();
  };
  stream.on("error", () => settle(0));
  return {
    // Bun calls back an empty write at once, whatever waits before it: so each write is followed.
    write(text) {
      unwritten++;
      stream.write(text, () => settle(Math.max(0, unwritten - 1)));
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
