import { pathToFileURL } from "node:url";
import type { Worker } from "node:worker_threads";
import type { Abortable } from "../../core/bytes.ts";
import { type Answer, type Request, workerSource } from "./worker.ts";

/** A row, by column; numbers, texts and nulls are all that this connector asks for. */
export type Row = Readonly<Record<string, string | number | null>>;

/** A connection to one SQLite file, on a thread of its own. */
export interface Database {
  exec(sql: string): Promise<void>;
  all(sql: string): Promise<Row[]>;
  /**
   * Copies all pages over the database at `path`, in one transaction of that one. While this
   * connection is inside a read transaction, the copy shows its snapshot and never starts again.
   *
   * @param onCopied told now and then which part of the pages, from 0 to 1, is copied
   * @throws SqliteError with number 5 (busy) when the other one is locked
   */
  backupTo(path: string, onCopied?: (part: number) => void): Promise<void>;
  /** Closes the connection and ends the thread. */
  close(): Promise<void>;
}

/** What SQLite says, with its result code, https://www.sqlite.org/rescode.html */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  /** The primary result code: 5 is busy, 26 is not a database. */
  readonly code: number;

  constructor(message: string, number: number) {
    super(message);
    this.code = number & 0xff; // extended codes add to the primary one from bit 8 on
  }
}

/** The primary result codes that decisions hang on. */
export const sqliteCodes = {
  error: 1,
  permission: 3,
  busy: 5,
  readOnly: 8,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

/**
 * How to open: `ro` and `rw` never create a file; `immutable` takes no locks and ignores a log, for
 * a folder in which neither can be made.
 */
export type OpenMode = "ro" | "rw" | "immutable";

/** 8 MiB at the usual page size: often enough to stop, seldom enough to cost nothing. */
const pagesPerStep = 2048;
const tellEveryMs = 200;

/**
 * Opens a database file.
 *
 * When the signal aborts, every call rejects at once; a call that SQLite cannot interrupt goes on by
 * itself on its thread, and the connection closes after it.
 *
 * @throws SqliteError
 */
export async function openDatabase(
  path: string,
  mode: OpenMode,
  { signal }: Abortable,
): Promise<Database> {
  signal.throwIfAborted();
  // Lazy: only a job on SQLite pays for it.
  const { Worker } = await import("node:worker_threads");
  const worker = new Worker(workerSource, { eval: true });
  const call = caller(worker, signal);
  let isAbandoned = false;
  const ask = async (request: Request) => {
    try {
      return await call(request);
    } catch (error) {
      isAbandoned ||= !(error instanceof SqliteError);
      throw error;
    }
  };
  const database: Database = {
    exec: async (sql) => void await ask({ operation: "exec", sql }),
    all: async (sql) => await ask({ operation: "all", sql }) as Row[],
    async backupTo(path, onCopied) {
      const state = new Int32Array(new SharedArrayBuffer(3 * 4));
      const onAbort = () => void Atomics.store(state, 0, 1);
      const tell = () => onCopied?.(Atomics.load(state, 1) / (Atomics.load(state, 2) || 1));
      const timer = onCopied === undefined ? undefined : setInterval(tell, tellEveryMs);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        // It stops within a step, and is waited for, so that no lock outlives the abort.
        await caller(worker, undefined)({ operation: "backup", path, pagesPerStep, state });
        tell();
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      } finally {
        clearInterval(timer);
        signal.removeEventListener("abort", onAbort);
      }
    },
    async close() {
      const closed = caller(worker, undefined)({ operation: "close" });
      if (!isAbandoned) await closed;
      else closed.catch(() => {});
    },
  };
  try {
    // As a URL, a path may hold any character, and the mode keeps SQLite from making a file.
    const query = mode === "immutable" ? "mode=ro&immutable=1" : `mode=${mode}`;
    const url = `${pathToFileURL(path).href}?${query}`;
    await ask({ operation: "open", url, isReadOnly: mode !== "rw" });
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

let lastId = 0;

function caller(worker: Worker, signal: AbortSignal | undefined) {
  return (request: Request): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      const settle = (end: () => void) => {
        worker.off("message", onMessage);
        worker.off("error", onError);
        signal?.removeEventListener("abort", onAbort);
        worker.unref();
        end();
      };
      const onMessage = (answer: Answer) => {
        if (answer.id !== id) return;
        const { error } = answer;
        settle(() => error === undefined ? resolve(answer.value) : reject(readError(error)));
      };
      const onError = (error: unknown) => settle(() => reject(error));
      const onAbort = () => settle(() => reject(signal?.reason));
      worker.on("message", onMessage);
      worker.on("error", onError);
      signal?.addEventListener("abort", onAbort, { once: true });
      worker.ref();
      worker.postMessage({ ...request, id });
    });
}

function readError(error: NonNullable<Answer["error"]>): SqliteError {
  // Bun's backup into a locked database ends with "not an error", number 0, instead of busy.
  return error.number === 0
    ? new SqliteError("database is locked", sqliteCodes.busy)
    : new SqliteError(error.message, error.number ?? sqliteCodes.error);
}
