import type { JobContext, Progress } from "./context.ts";

const reportEveryMs = 200;

/** Collects byte counts from anywhere in a job and reports them at most five times a second. */
export interface Meter {
  stage(name: string, totalBytes?: number): void;
  /** Bytes of the database's own side went by. */
  raw(bytes: number): void;
  /** Bytes of the destination's side went by. */
  stored(bytes: number): void;
}

/** Makes the meter of one job; without a listener it costs nothing. */
export function createMeter(o: JobContext): Meter {
  const { onProgress } = o;
  if (onProgress === undefined) return { stage() {}, raw() {}, stored() {} };
  let state: Progress = { stage: "", rawBytes: 0, storedBytes: 0 };
  let reportedAt = 0;

  function change(next: Progress, isUrgent = false): void {
    state = next;
    const now = performance.now();
    if (!isUrgent && now - reportedAt < reportEveryMs) return;
    reportedAt = now;
    onProgress!(state);
  }

  return {
    stage: (stage, totalBytes) => change({ ...state, stage, totalBytes }, true),
    raw: (bytes) => change({ ...state, rawBytes: state.rawBytes + bytes }),
    stored: (bytes) => change({ ...state, storedBytes: state.storedBytes + bytes }),
  };
}
