import type { DatabaseSync } from "node:sqlite";
import { openState, warnOfState } from "./state.ts";
import type { RunEvent } from "../../contracts/run.ts";
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
  /** Notes what a run tells: how it ended. */
  note(event: RunEvent): void;
  close(): void;
}

/** Opens the record in the state folder, making it where needed. */
export async function openHistory(o: JobContext): Promise<History> {
  const database = await openState(o);

  function attempt<T>(what: string, fallback: T, use: (database: DatabaseSync) => T): T {
    if (database === undefined) return fallback;
    try {
      return database.use(use);
    } catch (error) {
      warnOfState(o, what, error);
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
    note(event) {
      if (event.type !== "finished") return;
      const { result } = event;
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
