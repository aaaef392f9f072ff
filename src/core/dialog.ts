import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import type { Abortable } from "./bytes.ts";
import type { Environment } from "./environment.ts";

/** A program that answers line by line, for as long as somebody writes to it. */
export interface Dialog {
  write(text: string): void;
  /**
   * The next line, without its end; undefined when the program has closed its output.
   *
   * @param o.limitMs longest time that it may take
   * @throws Error when that is over; the system's error (`ENOENT`) when it cannot be started; the
   * signal's reason
   */
  readLine(o: { readonly limitMs: number }): Promise<string | undefined>;
  /** The last 2,000 characters of its standard error. */
  stderr(): string;
  /** Closes its input, gives it a moment to end by itself, and kills it. Never throws. */
  close(): Promise<void>;
}

const stderrTail = 2_000;
const endWithinMs = 1_000;
// A line of keys; more is no dialog.
const longestLine = 1024 * 1024;

const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/**
 * Starts a program to talk with. It gets this process's environment and stays in its session, so
 * that it may ask on the terminal by itself.
 */
export function openDialog(
  { command, args, env }: {
    readonly command: string;
    readonly args: readonly string[];
    readonly env: Environment;
  },
  { signal }: Abortable,
): Dialog {
  const child = spawn(command, args, { env, stdio: "pipe", windowsHide: true });
  running.add(child);
  let received = "";
  let told = "";
  let failure: unknown;
  let isOver = false;
  let wake = () => {};
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const end = (reason?: unknown) => {
    failure ??= reason;
    isOver = true;
    wake();
  };
  child.once("error", end);
  child.stdin.on("error", () => {}); // It is gone; its output tells how far it came.
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    received += text;
    if (received.length > longestLine) end(new Error("it wrote a line without an end"));
    wake();
  }).once("close", () => end());
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    told = (told + text).slice(-stderrTail);
  });
  const onAbort = () => {
    end(signal.reason);
    child.kill("SIGTERM");
  };
  signal.addEventListener("abort", onAbort, { once: true });

  return {
    write(text) {
      if (!child.stdin.destroyed) child.stdin.write(text);
    },
    async readLine({ limitMs }) {
      const deadline = performance.now() + limitMs;
      while (true) {
        signal.throwIfAborted();
        const at = received.indexOf("\n");
        if (at >= 0) {
          const line = received.slice(0, at);
          received = received.slice(at + 1);
          return line;
        }
        if (failure !== undefined) throw failure;
        if (isOver) return undefined;
        const left = deadline - performance.now();
        if (left <= 0) throw new Error(`it said nothing for ${limitMs / 1000} s`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    stderr: () => told.trim(),
    async close() {
      signal.removeEventListener("abort", onAbort);
      child.stdin.end();
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        // What it has started may hold them for as long as it likes, an agent for days.
        child.stdout.destroy();
        child.stderr.destroy();
      }, endWithinMs);
      await ended;
      clearTimeout(timer);
      running.delete(child);
    },
  };
}
