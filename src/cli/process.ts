import { randomBytes } from "node:crypto";
import { homedir, tmpdir } from "node:os";
import process from "node:process";
import { runCli } from "./cli.ts";
import type { Host, Output } from "./host.ts";
import { askOnTerminal } from "./prompt.ts";
import { BackupError, exitStatusOf } from "../core/errors.ts";

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
  process.stderr.on("error", () => {});
  const host: Host = {
    env: process.env,
    cwd: process.cwd(),
    home: process.env["HOME"] || homedir(),
    uid: process.geteuid?.(),
    tempDir: tmpdir(),
    stdout: output(process.stdout),
    stderr: output(process.stderr),
    ...(process.stdin.isTTY && process.stderr.isTTY
      ? { ask: (question, o) => askOnTerminal(question, { ...o, signal: controller.signal }) }
      : {}),
    now: () => new Date(),
    random: (length) => new Uint8Array(randomBytes(length)),
    signal: controller.signal,
  };
  const status = await runCli(process.argv.slice(2), host);
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
  if (lost === undefined) return exit(status);
  process.stderr.write(`error: Cannot write standard output: ${lost.message} (usage/output)\n`);
  await flush(process.stderr);
  exit(status === 0 ? exitStatusOf("usage/output") : status);
}

function listenForSignals(controller: AbortController, exit: (status: number) => never): void {
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      // Who signals twice does not want to wait for the cleaning up.
      if (controller.signal.aborted) exit(exitStatusOf("interrupted/signal"));
      controller.abort(
        new BackupError("interrupted/signal", `Stopped by ${name}`, {
          hint: "Nothing that was not finished is listed as a backup. Start it again.",
        }),
      );
    });
  }
}

function output(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns || 100;
    },
  };
}

/** Waits until everything written so far has left the process, or the reader is gone. */
function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("error", () => resolve());
    // An error is told after the callback.
    stream.write("", () => setImmediate(resolve));
  });
}
