import { Console } from "node:console";
import { writeSync } from "node:fs";
import process from "node:process";
import { BackupError, exitStatusOf, toBackupError } from "../core/errors.ts";

/** What keeps the code of a config and its plugins, which runs in this process, from ending it. */
export interface GuestGuard {
  /** Ends the process, as nothing else can any more. */
  exit(status: number): never;
}

/**
 * A config is a program, and shares this process. What it writes to standard output goes to standard
 * error, because standard output is the command's; `process.exit`, and errors that nobody waits for,
 * end the command with an error instead of ending it as a success.
 *
 * @param fail ends what is under way with an error, cleaning up
 */
export function guardGuests(fail: (error: BackupError) => void): GuestGuard {
  const exit = process.exit.bind(process);
  let isEnding = false;

  globalThis.console = new Console({ stdout: process.stderr, stderr: process.stderr });
  process.stdout.write = process.stderr.write.bind(process.stderr);
  process.exit = (status) => {
    const error = new BackupError(
      "config/exited",
      `The config, or a plugin, called process.exit(${status ?? ""})`,
      { hint: "Let it throw an error, or return: the command ends by itself." },
    );
    fail(error);
    throw error;
  };
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (reason: unknown) => {
      if (!isEnding) fail(strayError(reason));
    });
  }
  // A config that waits for what never comes lets the event loop run dry.
  process.on("exit", () => {
    if (isEnding) return;
    writeSync(2, "error: The config, or a plugin, waits for what never comes (config/waits)\n");
    process.exitCode = exitStatusOf("config/waits");
  });
  return {
    exit(status) {
      isEnding = true;
      return exit(status);
    },
  };
}

/** An error that was thrown where nobody waits for it. */
function strayError(reason: unknown): BackupError {
  const { message, code } = toBackupError(reason);
  const place = guestPlace(reason);
  if (place === undefined) {
    return new BackupError("internal/unhandled", message, {
      cause: reason,
      hint: "Please report this with the log of --log-level debug.",
    });
  }
  const known = reason instanceof BackupError ? ` (${code})` : "";
  return new BackupError(
    "config/stray-error",
    `The config, or a plugin, failed where nobody waits for it, at ${place}: ${message}${known}`,
    { cause: reason, hint: "Await every promise there, and catch what a timer's function throws." },
  );
}

/** The first place of a stack that is not inside this program: `FILE, line N`. */
function guestPlace(reason: unknown): string | undefined {
  const stack = reason instanceof Error ? reason.stack ?? "" : "";
  for (
    const [, file, line] of stack.matchAll(/((?:file:\/\/)?(?:\/|[A-Z]:\\)[^\s()]*):(\d+):\d+/g)
  ) {
    if (!/\$bunfs|~BUN/.test(file!)) return `${file!.replace(/^file:\/\//, "")}, line ${line}`;
  }
  return undefined;
}
