import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { openStateDatabase, type StateDatabase } from "./state-database.ts";
import type { RunResult } from "../../contracts/run.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { JobContext } from "./context.ts";

/** A run that began and never ended: its process was killed, or the machine went down. */
export interface UnfinishedRun {
  readonly run: string;
  /** Where it was writing. */
  readonly destination: string;
  /** The folder's key on that destination, ending in "/". */
  readonly prefix: string;
}

/**
 * The local record of runs. It serves the clean-up after a crash and the history; losing it loses no
 * backup. So nothing here throws: what cannot be recorded is logged as a warning.
 */
export interface History {
  /** Notes, before anything is written or deleted, which folder is going to be incomplete. */
  begin(run: string, job: string, destination: string, prefix: string, at: Date): void;
  /** Runs of this job at this destination that never ended. Call it while holding the job's lock. */
  unfinished(job: string, destination: string): UnfinishedRun[];
  /** Notes that nothing of a run is left to clean up at a destination. */
  settle(run: string, destination: string): void;
  /** Notes how a run ended. */
  finish(result: RunResult): void;
  close(): void;
}

/** Opens the record in the state folder, making it where needed. */
export async function openHistory(o: JobContext): Promise<History> {
  const database = await openDatabase(o);

  function attempt<T>(what: string, fallback: T, use: (database: DatabaseSync) => T): T {
    if (database === undefined) return fallback;
    try {
      return database.use(use);
    } catch (error) {
      warn(o, what, error);
      return fallback;
    }
  }

  return {
    begin(run, job, destination, prefix, at) {
      attempt("note the start of the run", undefined, (db) => {
        db.prepare(
          "INSERT OR REPLACE INTO writes (run, job, destination, prefix, at) VALUES (?, ?, ?, ?, ?)",
        )
          .run(run, job, destination, prefix, at.toISOString());
      });
    },
    unfinished(job, destination) {
      return attempt(
        "read the record of runs",
        [],
        (db) =>
          db.prepare(
            "SELECT run, destination, prefix FROM writes WHERE job = ? AND destination = ?",
          )
            .all(job, destination).map((row) => ({
              run: String(row["run"]),
              destination: String(row["destination"]),
              prefix: String(row["prefix"]),
            })),
      );
    },
    settle(run, destination) {
      attempt("note the end of the run", undefined, (db) => {
        db.prepare("DELETE FROM writes WHERE run = ? AND destination = ?").run(run, destination);
      });
    },
    finish(result) {
      attempt("note how the run ended", undefined, (db) => {
        db.prepare(
          "INSERT OR REPLACE INTO runs (run, job, status, code, started, finished) " +
            "VALUES (?, ?, ?, ?, ?, ?)",
        ).run(
          result.run,
          result.job,
          result.status,
          result.error?.code ?? null,
          result.startedAt.toISOString(),
          result.finishedAt.toISOString(),
        );
      });
    },
    close: () => database?.close(),
  };
}

const tables = `
  PRAGMA journal_mode = WAL;
  PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS writes (
    run TEXT NOT NULL, job TEXT NOT NULL, destination TEXT NOT NULL, prefix TEXT NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (run, destination)
  );
  CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, job TEXT NOT NULL, status TEXT NOT NULL, code TEXT,
    started TEXT NOT NULL, finished TEXT NOT NULL
  );
`;

const unopened = new WeakSet<Runtime>();

async function openDatabase(o: JobContext): Promise<StateDatabase | undefined> {
  try {
    return await openStateDatabase(join(o.stateDir, "state.db"), {
      tables,
      onDamaged: (aside) =>
        o.runtime.log.warn(
          "The record of runs was damaged: it is now {aside}, and a new one begins",
          { aside },
        ),
    });
  } catch (error) {
    // Each part of a run that needs it opens it.
    if (!unopened.has(o.runtime)) warn(o, "open the record of runs", error);
    unopened.add(o.runtime);
    return undefined;
  }
}

function warn(o: JobContext, what: string, error: unknown): void {
  o.runtime.log.warn("Cannot {what} in {stateDir}: {error}. The backup goes on without.", {
    what,
    stateDir: o.stateDir,
    error: error instanceof Error ? error.message : String(error),
  });
}
