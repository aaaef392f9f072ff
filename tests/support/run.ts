import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";

/** How {@link run} runs a command. */
export interface RunOptions {
  /** The whole environment. @default {process.env} */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What the command reads on its standard input. @default {""} */
  readonly input?: string | Uint8Array;
  /** The working directory. @default {process.cwd()} */
  readonly cwd?: string;
  /** After so many milliseconds the command is killed. @default {60_000} */
  readonly timeoutMs?: number;
  /** User and group that the command runs as; only root may set these. */
  readonly uid?: number;
  readonly gid?: number;
}

/** How a command ended and what it wrote. */
export interface RunResult {
  /** The exit status, or null when a signal ended it. */
  readonly code: number | null;
  /** The signal that ended it, or null. */
  readonly signal: string | null;
  /** Its standard output, as UTF-8. */
  readonly stdout: string;
  /** Its standard output, as it is. */
  readonly stdoutBytes: Buffer;
  /** Its standard error, as UTF-8. */
  readonly stderr: string;
}

/**
 * Runs a command to its end. A status other than 0 is a result, not an error.
 *
 * @throws {Error} `ENOENT` for a missing command; "timed out" when `timeoutMs` have passed.
 */
export function run(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  const { input = "", timeoutMs = 60_000, ...spawnOptions } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: "pipe", ...spawnOptions });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      const errorText = Buffer.concat(stderr).toString("utf8");
      if (isLate) {
        reject(new Error(`${command} timed out after ${timeoutMs} ms: ${errorText}`));
        return;
      }
      const bytes = Buffer.concat(stdout);
      resolve({
        code,
        signal,
        stdout: bytes.toString("utf8"),
        stdoutBytes: bytes,
        stderr: errorText,
      });
    });
    // A command that does not read to the end closes the pipe; its status tells the rest.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/**
 * Runs a command that has to succeed, and returns its standard output.
 *
 * @throws {Error} with the command's standard error when it ends otherwise than with 0.
 */
export async function output(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ended with ${signal ?? code}: ${stderr.trim()}`);
  return stdout;
}
