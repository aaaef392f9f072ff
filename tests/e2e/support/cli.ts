import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { run, type RunResult } from "../../support/run.ts";
import { killAtEnd, tempDir } from "../../support/workspace.ts";

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** The compiled binary, as users have it. */
export const binary = join(root, "dist", "dbbackup");

/** A folder to work in, with a state folder of its own beside it. */
export interface Place {
  /** The working directory of the commands. */
  readonly folder: string;
  /** The environment of the commands. */
  readonly env: Record<string, string | undefined>;
  readonly stateDir: string;
}

/** Makes an empty {@link Place}. */
export function place(name: string, env: Record<string, string | undefined> = {}): Place {
  const home = tempDir(name);
  const state = join(home, "state");
  const folder = join(home, "work");
  mkdirSync(folder);
  mkdirSync(join(home, "home"));
  mkdirSync(join(home, "tmp"));
  return {
    folder,
    stateDir: join(state, "dbbackup"),
    env: {
      PATH: process.env["PATH"],
      HOME: join(home, "home"),
      XDG_STATE_HOME: state,
      TMPDIR: join(home, "tmp"), // whoever tests at the same time has another
      XDG_CONFIG_HOME: join(home, "home", ".config"),
      ...env,
    },
  };
}

/** How a command ended, with what `--json` printed. */
export interface CliResult extends RunResult {
  /** The parsed standard output. @throws when it is not one JSON document. */
  json(): unknown;
}

/** Runs the binary to its end. */
export async function dbbackup(
  at: Place,
  args: readonly string[],
  options: { env?: Record<string, string | undefined>; input?: string; timeoutMs?: number } = {},
): Promise<CliResult> {
  const result = await run(binary, args, {
    cwd: at.folder,
    env: { ...at.env, ...options.env },
    input: options.input,
    timeoutMs: options.timeoutMs ?? 60_000,
  });
  return { ...result, json: () => JSON.parse(result.stdout) };
}

/** Runs the binary, which has to succeed. */
export async function succeeds(
  at: Place,
  args: readonly string[],
  options: Parameters<typeof dbbackup>[2] = {},
): Promise<CliResult> {
  const result = await dbbackup(at, args, options);
  assert.equal(result.code, 0, `dbbackup ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
  return result;
}

/**
 * Runs the binary, which has to fail with this code, told on standard error or in its results, and
 * with this exit status.
 */
export async function fails(
  at: Place,
  args: readonly string[],
  code: string,
  status: number,
  options: Parameters<typeof dbbackup>[2] = {},
): Promise<CliResult> {
  const result = await dbbackup(at, args, options);
  const printed = `dbbackup ${args.join(" ")}\n${result.stdout}\n${result.stderr}`;
  assert.ok(`${result.stdout}${result.stderr}`.includes(code), `expected ${code}:\n${printed}`);
  assert.equal(result.code, status, printed);
  return result;
}

/** Starts the binary and leaves it running; its output is collected. */
export function starts(at: Place, args: readonly string[]): {
  child: ChildProcess;
  /** What it has written to standard error so far. */
  stderr(): string;
  ended: Promise<{ code: number | null; signal: string | null; stderr: string }>;
} {
  const child = spawn(binary, [...args], {
    cwd: at.folder,
    env: at.env as NodeJS.ProcessEnv,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const forget = killAtEnd(child.pid!);
  let stderr = "";
  child.stdout!.resume();
  child.stderr!.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const ended = new Promise<{ code: number | null; signal: string | null; stderr: string }>(
    (resolve) =>
      child.once("close", (code, signal) => {
        forget();
        resolve({ code, signal, stderr });
      }),
  );
  return { child, stderr: () => stderr, ended };
}

/** Every file below a folder, relative to it; none when it does not exist. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Asserts that a destination holds nothing: no backup, and nothing that looks like one. */
export function assertNothingLeft(folder: string): void {
  assert.deepEqual(filesBelow(folder), []);
}

/** Waits until a condition holds. @throws after 20 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One listed backup, as `list --json` prints it. */
export interface ListedJson {
  readonly id: string;
  readonly job: string;
  readonly kind: string;
  readonly parent: string | null;
  readonly createdAt: string;
  readonly rawBytes: number;
  readonly storedBytes: number;
}

/** `list --json` of a destination. */
export async function listed(at: Place, destination: string): Promise<ListedJson[]> {
  return (await succeeds(at, ["list", "--from", destination, "--json"])).json() as ListedJson[];
}
