import type { RunEvent } from "../../contracts/run.ts";
import type { JobContext } from "../shared/context.ts";
import type { History } from "../shared/history.ts";
import { logEvent } from "./log-events.ts";

/** A run's event, without what every event of the run has. */
export type RunFact = RunEvent extends infer E
  ? E extends RunEvent ? Omit<E, "at" | "run" | "job"> : never
  : never;

/** Tells everybody who listens what has happened. */
export type Tell = (fact: RunFact) => void;

/**
 * The one way out of a run for what happens in it: the log, the record of runs, and whoever listens
 * are readers of the same events.
 */
export function createTeller(
  run: { readonly run: string; readonly job: string },
  history: Pick<History, "note">,
  o: JobContext,
): Tell {
  return (fact) => {
    const event: RunEvent = { ...fact, ...run, at: o.runtime.now() };
    history.note(event);
    logEvent(event, o.runtime.log);
    o.onEvent?.(event);
  };
}
