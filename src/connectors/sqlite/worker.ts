/**
 * A worker thread that owns one SQLite connection and does what it is told. SQLite's calls do not
 * return until they are done, and Bun runs even `backup` on the calling thread: on the main thread,
 * a check of some gigabytes would keep SIGTERM, progress and every other job waiting.
 *
 * It is a text, not a module, so that the compiled binary needs no second entry point. Messages are
 * {@link Request}s, answers carry the same `id`.
 */
export const workerSource = `
"use strict";
const { parentPort } = require("node:worker_threads");
const { DatabaseSync, backup } = require("node:sqlite");
let database;
const operations = {
  open: ({ url, isReadOnly }) => { database = new DatabaseSync(url, { readOnly: isReadOnly }); },
  exec: ({ sql }) => { database.exec(sql); },
  all: ({ sql }) => database.prepare(sql).all(),
  backup: ({ path, pagesPerStep, state }) => backup(database, path, {
    rate: pagesPerStep,
    progress({ totalPages, remainingPages }) {
      if (Atomics.load(state, 0) === 1) throw new Error("stopped");
      Atomics.store(state, 1, totalPages - remainingPages);
      Atomics.store(state, 2, totalPages);
    },
  }),
  close: () => { database?.close(); },
};
parentPort.on("message", async (request) => {
  const { id, operation } = request;
  try {
    parentPort.postMessage({ id, value: await operations[operation](request) });
  } catch (error) {
    parentPort.postMessage({ id, error: { message: error.message, number: error.errcode } });
  }
  if (operation === "close") parentPort.close();
});
`;

/** What the worker is asked to do. */
export type Request =
  | { readonly operation: "open"; readonly url: string; readonly isReadOnly: boolean }
  | { readonly operation: "exec" | "all"; readonly sql: string }
  | {
    readonly operation: "backup";
    readonly path: string;
    readonly pagesPerStep: number;
    /**
     * Set element 0 to 1 to stop it at its next step. It sets element 1 to the pages that are copied,
     * and 2 to those that there are.
     */
    readonly state: Int32Array;
  }
  | { readonly operation: "close" };

/** What the worker answers. */
export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly number?: number };
}
