import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { gzip, type ZlibOptions } from "node:zlib";
import type { Block } from "./blocks.ts";
import { bun } from "../core/bun.ts";

/** Compresses blocks into gzip members off the main thread. */
export interface GzipWorkers {
  /** Takes the block's buffer away and gives it, or its like, back with the result. */
  compress(block: Block): Promise<{ member: Uint8Array; buffer: Uint8Array }>;
  /** Ends the threads, whatever they are at. */
  close(): Promise<void>;
}

/**
 * Opens threads on which Bun's libdeflate runs, which it has only as a blocking call; on other
 * runtimes node:zlib and its own threads do it. A thread starts with the first block that needs it.
 */
export function openGzipWorkers(level: number): GzipWorkers {
  if (bun === undefined) return portable(level);
  const count = Math.min(4, availableParallelism());
  const threads: Thread[] = [];
  let next = 0;
  return {
    async compress(block) {
      // Starting a thread takes longer than this.
      if (block.length <= smallBytes) return await portable(level).compress(block);
      const index = next++ % count;
      threads[index] ??= startThread(level);
      return await threads[index].run(block);
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.stop()));
    },
  };
}

const smallBytes = 256 * 1024;

const gzipAsync = promisify<Uint8Array, ZlibOptions, Uint8Array>(gzip);

function portable(level: number): GzipWorkers {
  return {
    async compress({ buffer, length }) {
      return { member: await gzipAsync(buffer.subarray(0, length), { level }), buffer };
    },
    close: () => Promise.resolve(),
  };
}

// Its text, not its file: a compiled program has no files beside it.
const threadSource = `
const { parentPort, workerData } = require("node:worker_threads");
parentPort.on("message", ({ buffer, length }) => {
  try {
    const options = { level: workerData.level, library: "libdeflate" };
    const member = Bun.gzipSync(buffer.subarray(0, length), options);
    parentPort.postMessage({ member, buffer }, [member.buffer, buffer.buffer]);
  } catch (error) {
    parentPort.postMessage({ error: String(error) });
  }
});
`;

type Answer = { readonly member: Uint8Array; readonly buffer: Uint8Array } | {
  readonly error: string;
};

interface Thread {
  run(block: Block): Promise<{ member: Uint8Array; buffer: Uint8Array }>;
  stop(): Promise<void>;
}

function startThread(level: number): Thread {
  const worker = new Worker(threadSource, { eval: true, workerData: { level } });
  const waiting: { resolve(answer: Answer): void; reject(error: unknown): void }[] = [];
  const fail = (error: unknown) => waiting.splice(0).forEach(({ reject }) => reject(error));
  worker.on("message", (answer: Answer) => waiting.shift()?.resolve(answer));
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error("The compressing thread ended")));
  return {
    async run({ buffer, length }) {
      const answer = await new Promise<Answer>((resolve, reject) => {
        waiting.push({ resolve, reject });
        worker.postMessage({ buffer, length }, [buffer.buffer as ArrayBuffer]);
      });
      if ("error" in answer) throw new Error(answer.error);
      return answer;
    },
    async stop() {
      await worker.terminate();
    },
  };
}
