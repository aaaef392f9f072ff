import type { ProgressEvent } from "../../contracts/run.ts";
import type { JobContext } from "./context.ts";

const reportEveryMs = 200;

/** Collects byte counts from anywhere in a job and reports them at most five times a second. */
export interface Meter {
  stage(name: string, totalBytes?: number): void;
  /** So many bytes in all were made ready, before any of them goes by; the count begins anew then. */
  prepared(bytes: number): void;
  /** All of that is ready, and is checked. */
  checking(): void;
  /** Bytes of the database's own side went by. */
  raw(bytes: number): void;
  /** Bytes of the destination's side went by. */
  stored(bytes: number): void;
}

/** A job's context with its meter. */
export interface MeteredContext extends JobContext {
  readonly meter: Meter;
}

/** Makes the meter of one job; without a listener it costs nothing. */
export function createMeter({ onEvent }: Pick<JobContext, "onEvent">): Meter {
  if (onEvent === undefined) {
    return { stage() {}, prepared() {}, checking() {}, raw() {}, stored() {} };
  }
  let state: Omit<ProgressEvent, "type"> = { stage: "", rawBytes: 0, storedBytes: 0 };
  let preparedFor: Omit<ProgressEvent, "type"> | undefined;
  let reportedAt = 0;

  function change(next: Omit<ProgressEvent, "type">, type: ProgressEvent["type"]): void {
    state = next;
    const now = performance.now();
    if (type === "progress" && now - reportedAt < reportEveryMs) return;
    reportedAt = now;
    onEvent!({ type, ...state });
  }

  return {
    stage(stage, totalBytes) {
      preparedFor = undefined;
      change({ ...state, stage, totalBytes }, "stage");
    },
    prepared(bytes) {
      if (preparedFor === undefined) {
        preparedFor = state;
        change({ ...state, stage: "copy", rawBytes: 0 }, "stage");
      }
      change({ ...state, rawBytes: bytes }, "progress");
    },
    checking() {
      preparedFor ??= state;
      change({ ...state, stage: "check", totalBytes: undefined }, "stage");
    },
    raw(bytes) {
      // What was made ready goes by now, and is counted from the beginning.
      if (preparedFor !== undefined) change(preparedFor, "stage");
      preparedFor = undefined;
      change({ ...state, rawBytes: state.rawBytes + bytes }, "progress");
    },
    stored: (bytes) => change({ ...state, storedBytes: state.storedBytes + bytes }, "progress"),
  };
}
