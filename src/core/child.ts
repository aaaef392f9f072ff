import { Buffer } from "node:buffer";
import process from "node:process";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { type SignOfLife, watchServer } from "./alive.ts";
import type { Abortable, Bytes } from "./bytes.ts";
import { BackupError, systemCode } from "./errors.ts";
import { release } from "./memory.ts";
import type { Runtime } from "./runtime.ts";
import { openSecretFiles } from "./secret-files.ts";
import { openWideInput, openWideOutput, type WideInput, type WideOutput } from "./wide-pipe.ts";

/** What to run. Secrets go into `env` or `secretFiles`, never into `args`, which every user can see. */
export interface ChildSpec {
  /** The program: a path, or a name to look up in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the allow-listed environment. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Contents that the child reads as `/dev/fd/3`, `/dev/fd/4`, … in this order: each is a regular
   * file of mode 0600 that has no name in any folder, so nothing is left after a crash.
   */
  readonly secretFiles?: readonly string[];
  readonly cwd?: string;
  /** Another user to run as, by number; only root may. Default: the same. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Gets standard error as it comes, without secrets. */
  readonly onStderr?: (text: string) => void;
  /** Fed to the child's standard input; without it, standard input is empty. */
  readonly input?: Bytes;
  /**
   * Longest silence in milliseconds while we wait for the child's output; default none. Time in
   * which the consumer holds us back does not count.
   */
  readonly stallMs?: number;
  /**
   * The server that the child works with: it is asked for signs of life while we wait for the child,
   * and where it gives none the child is killed long before its own limits.
   */
  readonly alive?: SignOfLife;
}

/** Options of every function that runs a child. */
export type ChildOptions = Abortable & { readonly runtime: Runtime };

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last 16 KiB of standard error, secrets redacted. */
  readonly stderr: string;
}

/** A child that did not exit 0. Connectors turn it into a {@link BackupError} with a fitting code. */
export class ChildError extends Error {
  override readonly name = "ChildError";
  readonly command: string;
  readonly exit: ChildExit;

  constructor(command: string, exit: ChildExit) {
    super(`${command} ${describeExit(exit)}`);
    this.command = command;
    this.exit = exit;
  }
}

/**
 * Runs a child and streams its standard output. Ends only after the child exited 0: the end of its
 * output alone is not success, so the exit status is awaited after the last byte and before the
 * consumer sees the end.
 *
 * Ending the iteration early stops the child (SIGTERM, then SIGKILL after 5 s).
 *
 * @throws BackupError `dump/tool-missing` when the program cannot be started, `dump/stalled`,
 * `connection/silent`
 * @throws ChildError when it exits with another status or by a signal
 */
export async function* childOutput(spec: ChildSpec, o: ChildOptions): Bytes {
  const child = await start(spec, openWideOutput(), o);
  const feeding = startFeeding(child, spec.input);
  try {
    for await (const chunk of watched(child, spec)) {
      if (o.signal.aborted) break;
      yield chunk;
    }
    await settle(child, feeding, o.signal);
  } finally {
    await stop(child);
    await feeding.catch(() => {});
  }
}

/**
 * Runs a short command to its end and returns what it printed.
 *
 * @param limitBytes longest standard output kept, default 16 MiB; the rest is an error.
 * @throws as {@link childOutput}
 */
export async function childText(
  spec: ChildSpec,
  o: ChildOptions & { limitBytes?: number },
): Promise<{ stdout: string; stderr: string }> {
  const child = await start(spec, undefined, o);
  const feeding = startFeeding(child, spec.input);
  const limitBytes = o.limitBytes ?? 16 * 1024 * 1024;
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of watched(child, spec)) {
      length += chunk.byteLength;
      if (length > limitBytes) throw new RangeError(`${spec.command} printed over ${limitBytes} B`);
      chunks.push(new Uint8Array(chunk));
    }
    await settle(child, feeding, o.signal);
  } finally {
    await stop(child);
    await feeding.catch(() => {});
  }
  return { stdout: new TextDecoder().decode(Buffer.concat(chunks)), stderr: child.stderr() };
}

/** Children that run, or whose own children hold their output. */
const running = new Set<ChildProcess>();

/**
 * Kills every child that still runs, with all that it started: for a process that ends without
 * waiting for its cleaning up, and would leave a tool behind that goes on writing into a database.
 */
export function killChildren(): void {
  for (const child of running) kill(child, "SIGKILL");
}

interface Running {
  readonly spec: ChildSpec;
  readonly process: ChildProcess;
  readonly stdout: Output;
  readonly stdin: Input | undefined;
  readonly exited: Promise<ChildExit>;
  readonly stderr: () => string;
  readonly detach: () => void;
  stalled: boolean;
  /** Why it was killed, when its server gave no sign of life. */
  silence: BackupError | undefined;
}

/** A child's standard output, through a pipe of ours or the stream that the runtime gives. */
type Output = Omit<WideOutput, "childFd">;

/** The same of its standard input. */
type Input = Omit<WideInput, "childFd" | "closed">;

// Only what a tool needs to find its files, its language and the network's proxies.
const allowedVariables =
  /^(PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|SYSTEMROOT|LD_LIBRARY_PATH|DYLD_\w+|KRB5\w*|SSL_CERT_\w+)$/i;

const stderrTailBytes = 16 * 1024;
const killAfterMs = 5_000;

/** @param output for much of it; without one it comes through a stream */
async function start(
  spec: ChildSpec,
  output: WideOutput | undefined,
  o: ChildOptions,
): Promise<Running> {
  const input = spec.input === undefined ? undefined : openWideInput();
  const pipes = [output, input].filter((pipe) => pipe !== undefined);
  const fds = pipes.map(({ childFd }) => childFd);
  try {
    o.signal.throwIfAborted();
    const secretFds = openSecretFiles(spec.secretFiles ?? [], o.runtime.tempDir);
    fds.push(...secretFds);
    const started = spawn(spec.command, [...spec.args], {
      cwd: spec.cwd,
      ...spec.user,
      env: { ...allowed(o.runtime.env), ...spec.env },
      stdio: [
        spec.input === undefined ? "ignore" : input?.childFd ?? "pipe",
        output?.childFd ?? "pipe",
        "pipe",
        ...secretFds,
      ],
      // A session of its own: no terminal to prompt on, and grandchildren can be stopped with it.
      detached: true,
      windowsHide: true,
    });
    await spawned(started, spec);
    running.add(started);
    // Its own children may hold its input for longer, and never read it.
    started.once("exit", () => input?.close());
    const child = observe(started, spec, {
      stdout: output ?? streamed(started.stdout!),
      stdin: input ?? (started.stdin === null ? undefined : streamedInto(started.stdin)),
    }, o);
    Promise.all([child.exited, child.stdout.closed]).then(() => running.delete(started));
    return child;
  } catch (error) {
    pipes.forEach((pipe) => pipe.close());
    throw error;
  } finally {
    fds.forEach((fd) => closeSync(fd));
  }
}

function allowed(environment: Runtime["env"]): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && allowedVariables.test(name)) result[name] = value;
  }
  return result;
}

function spawned(child: ChildProcess, spec: ChildSpec): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (cause) => {
      const what = systemCode(cause) === "ENOENT" ? "is not installed" : `cannot be started`;
      reject(
        new BackupError("dump/tool-missing", `The program "${spec.command}" ${what}`, {
          cause,
          hint:
            "Install it, or make sure that PATH names its folder. `dbbackup doctor` shows more.",
        }),
      );
    });
  });
}

function streamed(stdout: Readable): Output {
  async function* read(): Bytes {
    for await (const chunk of stdout as AsyncIterable<Uint8Array>) {
      yield chunk;
      release(chunk);
    }
  }
  const closed = new Promise<void>((resolve) => void stdout.once("close", resolve));
  return { bytes: read(), closed, close: () => void stdout.destroy() };
}

function streamedInto(stdin: Writable): Input {
  let isBroken = false;
  stdin.on("error", () => isBroken = true);
  return {
    get isBroken() {
      return isBroken || stdin.destroyed;
    },
    // The stream keeps the chunk until it is written, and its producer reuses it: so wait.
    write: (chunk) =>
      new Promise((resolve) => {
        const gone = () => resolve();
        stdin.once("close", gone);
        stdin.write(chunk, () => {
          stdin.off("close", gone);
          resolve();
        });
      }),
    close: () => void stdin.end(),
  };
}

function observe(
  child: ChildProcess,
  spec: ChildSpec,
  { stdout, stdin }: Pick<Running, "stdout" | "stdin">,
  o: ChildOptions,
): Running {
  const { log, secrets } = o.runtime;
  let tail = "";
  child.stderr!.setEncoding("utf8");
  child.stderr!.on("data", (text: string) => {
    const safe = secrets.redact(text);
    tail = (tail + safe).slice(-stderrTailBytes);
    spec.onStderr?.(safe);
    log.debug("{command}: {text}", { command: spec.command, text: safe.trimEnd() });
  });
  // Once more: a secret may have come in two pieces.
  const whole = () => secrets.redact(tail.trim());
  const closed = new Promise<ChildExit>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal, stderr: whole() }));
  });
  let killing: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => {
    kill(child, "SIGTERM");
    killing = setTimeout(() => kill(child, "SIGKILL"), killAfterMs);
  };
  o.signal.addEventListener("abort", onAbort, { once: true });
  return {
    spec,
    process: child,
    stdout,
    stdin,
    exited: closed,
    stderr: whole,
    detach() {
      o.signal.removeEventListener("abort", onAbort);
      clearTimeout(killing);
    },
    stalled: false,
    silence: undefined,
  };
}

/** The child's output, under the stall limit and for as long as its server lives. */
async function* watched(child: Running, spec: ChildSpec): Bytes {
  const iterator = child.stdout.bytes[Symbol.asyncIterator]();
  let waitingSince = 0;
  const limitMs = spec.stallMs;
  const timer = limitMs === undefined ? undefined : setInterval(() => {
    if (waitingSince === 0 || performance.now() - waitingSince < limitMs) return;
    child.stalled = true;
    kill(child.process, "SIGKILL");
  }, Math.max(10, Math.min(1_000, limitMs / 4)));
  const watching = spec.alive === undefined ? undefined : watchServer(
    spec.alive,
    (error) => {
      child.silence = error;
      kill(child.process, "SIGKILL");
    },
    () => waitingSince === 0 ? 0 : performance.now() - waitingSince,
  );
  try {
    while (true) {
      waitingSince = performance.now();
      const next = await iterator.next();
      waitingSince = 0;
      if (next.done) break;
      yield next.value;
    }
    waitingSince = performance.now();
    await child.exited;
  } finally {
    clearInterval(timer);
    watching?.stop();
    child.stdout.close();
  }
}

/** Feeds the child while its output is read; what goes wrong is seen by whoever awaits it. */
function startFeeding(child: Running, input: Bytes | undefined): Promise<void> {
  const feeding = feed(child, input);
  // It may fail long before it is awaited, which must not end the process.
  feeding.catch(() => {});
  return feeding;
}

async function feed(child: Running, input: Bytes | undefined): Promise<void> {
  const stdin = child.stdin;
  if (input === undefined || stdin === undefined) return;
  try {
    for await (const chunk of input) {
      // A child that stops reading (EPIPE) tells why by its exit status, which says more.
      if (stdin.isBroken || child.process.exitCode !== null) {
        // One that has all it wants may stop; the rest is still read, for the checks on its way.
        if ((await child.exited).code === 0) continue;
        break;
      }
      await stdin.write(chunk);
    }
  } catch (error) {
    // The input failed, so what the child has read is incomplete: it must not end well.
    kill(child.process, "SIGTERM");
    throw error;
  } finally {
    stdin.close();
  }
}

/** Waits for the exit, and throws unless it was 0 and the input was sound to its end. */
async function settle(child: Running, feeding: Promise<void>, signal: AbortSignal): Promise<void> {
  const exit = await child.exited;
  signal.throwIfAborted();
  if (child.silence !== undefined) throw child.silence;
  await feeding;
  if (child.stalled) {
    throw new BackupError(
      "dump/stalled",
      `${child.spec.command} sent nothing for ${
        (child.spec.stallMs ?? 0) / 1000
      } s and was stopped`,
      { hint: "Look for locks or an overloaded server, or raise the job's stallTimeout." },
    );
  }
  if (exit.code !== 0) throw new ChildError(child.spec.command, exit);
}

async function stop(child: Running): Promise<void> {
  child.detach();
  if (child.process.exitCode === null && child.process.signalCode === null) {
    kill(child.process, "SIGTERM");
    const timer = setTimeout(() => kill(child.process, "SIGKILL"), killAfterMs);
    child.stdout.close();
    await child.exited;
    clearTimeout(timer);
  }
}

function kill(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined) return;
  try {
    // The whole session, so that a wrapper script's own children end too.
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

function describeExit(exit: ChildExit): string {
  const how = exit.signal === null ? `exited with status ${exit.code}` : `died of ${exit.signal}`;
  const lines = exit.stderr.split("\n").filter((line) => line.trim() !== "");
  // `Try "pg_dump --help"` is what comes last, and not what is wrong.
  const lastLine = lines.findLast((line) => !/\bhint:|--help\b/i.test(line)) ?? lines.at(-1);
  return lastLine === undefined ? how : `${how}: ${lastLine.trim()}`;
}
