import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import type { Environment } from "./environment.ts";
import { BackupError, systemCode } from "./errors.ts";

/** A command that prints a secret. */
export interface SecretCommand {
  /** A line for the shell, or a program and its arguments. Other users can see it while it runs. */
  readonly command: string | readonly string[];
  /** Longest time in milliseconds that it may take, default 60,000. */
  readonly timeoutMs?: number;
  /** Where it runs; default the working directory. */
  readonly cwd?: string;
}

const defaultTimeoutMs = 60_000;
// A key or a password; more is a wrong command, such as one that prints a manual.
const longestBytes = 1024 * 1024;
const stderrTail = 2_000;
const toldLines = 5;

const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach(stop));

/** The command for people, without its arguments, which may be secret: `pass …`. */
export function describeCommand({ command }: SecretCommand): string {
  const [program = "", ...others] = typeof command === "string"
    ? command.trim().split(/\s+/)
    : command;
  return others.length === 0 ? program : `${program} …`;
}

/**
 * Runs a command and returns what it printed, without one last line break. It gets this process's
 * environment, an empty standard input, and no terminal: it can ask nobody.
 *
 * @throws BackupError `config/secret-command`, with the last lines of its standard error
 */
export async function readSecretCommand(
  spec: SecretCommand,
  environment: Environment,
): Promise<string> {
  const name = describeCommand(spec);
  const timeoutMs = spec.timeoutMs ?? defaultTimeoutMs;
  const { child, ended } = start(spec, environment);
  running.add(child);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const seconds = timeoutMs / 1000;
      reject(failed(name, `has printed no secret within ${seconds} s and was stopped`));
    }, timeoutMs);
  });
  try {
    const { stdout, stderr, how } = await Promise.race([ended, late]);
    if (how !== undefined) throw failed(name, how, stderr);
    const value = stdout.replace(/\r?\n$/, "");
    if (value === "") throw failed(name, "printed nothing", stderr);
    return value;
  } catch (error) {
    if (error instanceof BackupError) throw error;
    const isMissing = systemCode(error) === "ENOENT";
    throw failed(name, isMissing ? "is not installed" : "cannot be started", "", error);
  } finally {
    clearTimeout(timer);
    stop(child);
    running.delete(child);
  }
}

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** How it failed; undefined where it did not. */
  readonly how: string | undefined;
}

function start(
  { command, cwd }: SecretCommand,
  environment: Environment,
): { child: ChildProcess; ended: Promise<Ended> } {
  const [program = "", ...args] = typeof command === "string" ? [command] : command;
  const child = spawn(program, args, {
    shell: typeof command === "string",
    env: environment,
    ...(cwd === undefined ? {} : { cwd }),
    stdio: ["ignore", "pipe", "pipe"],
    // A session of its own, so that all that it starts can be stopped with it.
    detached: true,
    windowsHide: true,
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      if (stdout.length > longestBytes) {
        resolve({ stdout: "", stderr, how: "printed more than 1 MiB" });
      }
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-stderrTail);
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const how = signal === null ? `exited with status ${code}` : `died of ${signal}`;
      resolve({ stdout, stderr, how: code === 0 ? undefined : how });
    });
  });
  ended.catch(() => {});
  return { child, ended };
}

function stop(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
}

function failed(name: string, how: string, stderr = "", cause?: unknown): BackupError {
  const lines = stderr.split("\n").map((line) => line.trimEnd()).filter((line) => line !== "");
  const told = lines.slice(-toldLines).map((line) => `\n  ${line}`).join("");
  return new BackupError(
    "config/secret-command",
    `The command "${name}", which is to print a secret, ${how}${told === "" ? "" : `:${told}`}`,
    {
      cause,
      hint: "Run it by hand as this user: it has to print the secret, end well, and ask nothing.",
    },
  );
}
