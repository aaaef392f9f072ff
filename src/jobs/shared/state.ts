import { join } from "node:path";
import type { Runtime } from "../../core/runtime.ts";
import type { JobContext } from "./context.ts";
import { openStateDatabase, type StateDatabase } from "./state-database.ts";

/**
 * What this machine remembers between runs, in `state.db` of the state folder. It may be lost: that
 * loses and fails no backup. Its tables are each behind an interface of their own, such as History.
 */
export type State = StateDatabase;

/**
 * The schema, a version each, oldest first. What stands here is never changed: a new table or column is
 * one more entry.
 */
const migrations = [
  `
  CREATE TABLE IF NOT EXISTS writes (
    run TEXT NOT NULL, job TEXT NOT NULL, destination TEXT NOT NULL, prefix TEXT NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (run, destination)
  );
  CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, job TEXT NOT NULL, status TEXT NOT NULL, code TEXT,
    started TEXT NOT NULL, finished TEXT NOT NULL
  );
  `,
];

const pragmas = `
  PRAGMA busy_timeout = 5000;
  PRAGMA journal_mode = WAL;
`;

const unopened = new WeakSet<Runtime>();

/** Opens the state; undefined, with a warning once a run, where that cannot be done. */
export async function openState(o: JobContext): Promise<State | undefined> {
  try {
    return await openStateDatabase(join(o.stateDir, "state.db"), {
      pragmas,
      migrations,
      onDamaged: (aside) =>
        o.runtime.log.warn(
          "The record of runs was damaged: it is now {aside}, and a new one begins",
          { aside },
        ),
    });
  } catch (error) {
    // Each part of a run that needs it opens it.
    if (!unopened.has(o.runtime)) warnOfState(o, "open the record of runs", error);
    unopened.add(o.runtime);
    return undefined;
  }
}

/** Warns of state that cannot be used: nothing fails because of it. */
export function warnOfState(o: JobContext, what: string, error: unknown): void {
  o.runtime.log.warn("Cannot {what} in {stateDir}: {error}. The backup goes on without.", {
    what,
    stateDir: o.stateDir,
    error: error instanceof Error ? error.message : String(error),
  });
}
