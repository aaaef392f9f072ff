import type { Worker } from "node:worker_threads";
import { watchServer } from "../../core/alive.ts";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError, systemCode } from "../../core/errors.ts";
import { timed } from "../../core/retry.ts";
import { fileError } from "./files.ts";

/** A file's disk, which may hang: a mount whose server is gone keeps everybody waiting for ever. */
export interface Disk {
  /**
   * Runs something that uses the file, for as long as the disk gives signs of life: a check may take
   * hours. What hangs when it is given up is left behind. An abort is passed on, and what it ends may
   * clean up first.
   *
   * @throws BackupError `connection/silent`; what the system says of the file, as {@link fileError}
   */
  watch<T>(o: Abortable, run: (signal: AbortSignal) => Promise<T>): Promise<T>;
  close(): void;
}

/**
 * The disk of a file. It is asked on a thread of its own: one that hangs would be missing for all
 * other files of this process.
 */
export function diskOf(path: string, answerTimeoutMs: number): Disk {
  let asker: Worker | undefined;
  let asking: Promise<void> | undefined;

  async function ask(): Promise<void> {
    // Lazy: only a job on SQLite pays for it.
    const { Worker } = await import("node:worker_threads");
    asker ??= new Worker(askerSource, { eval: true });
    const worker = asker;
    worker.ref();
    await new Promise<void>((resolve, reject) => {
      worker.once("message", () => resolve());
      worker.once("error", reject);
      worker.postMessage(path);
    }).finally(() => worker.unref());
  }

  /** One question at a time: behind one that hangs, others would hang, too. */
  const asked = () =>
    asking ??= ask().finally(() => {
      asking = undefined;
    });

  return {
    async watch({ signal }, run) {
      const late = () => silent(path, answerTimeoutMs);
      await timed(asked, answerTimeoutMs, signal, late);
      const ending = new AbortController();
      const watching = watchServer(
        { label: path, ask: asked, limitMs: answerTimeoutMs },
        () => ending.abort(late()),
      );
      const silence = new Promise<never>((_, reject) => {
        ending.signal.addEventListener("abort", () => reject(ending.signal.reason));
      });
      const running = run(AbortSignal.any([signal, ending.signal]));
      // Whoever comes second is heard by nobody.
      for (const one of [running, silence]) one.catch(() => {});
      try {
        return await Promise.race([running, silence]);
      } catch (error) {
        const isNamed = error instanceof BackupError || systemCode(error) === undefined;
        throw isNamed ? error : fileError(path, error);
      } finally {
        watching.stop();
      }
    },
    close() {
      // Who ends one that hangs waits for it; it ends with the process.
      if (asking === undefined) void asker?.terminate();
    },
  };
}

/** Never opens the file: closing any descriptor of it drops the locks that SQLite has on it. */
const askerSource = `
"use strict";
const { parentPort } = require("node:worker_threads");
const { statSync } = require("node:fs");
parentPort.on("message", (path) => {
  try { statSync(path); } catch {}
  parentPort.postMessage("answered");
});
`;

function silent(path: string, limitMs: number): BackupError {
  return new BackupError(
    "connection/silent",
    `The disk of "${path}" has not answered for ${limitMs / 1000} s`,
    {
      hint:
        "It is a mount whose server is gone, or a disk that fails: look at it, then run again. " +
        "How long is waited is the database's answerTimeoutMs.",
    },
  );
}
