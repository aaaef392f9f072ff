import { formatBytes, formatDuration } from "../core/text.ts";
import type { ProgressEvent } from "../contracts/run.ts";
import type { Output } from "./host.ts";

/** One line on the terminal that is rewritten as the work goes on. */
export interface ProgressLine {
  update(progress: Omit<ProgressEvent, "type">): void;
  /** Takes the line away, so that something else can be written. */
  clear(): void;
}

/** A line that never shows. */
export const noProgress: ProgressLine = { update() {}, clear() {} };

// Faster than this nobody reads, and a slow terminal would hold the work back.
const redrawEveryMs = 200;
const idleEveryMs = 1_000;
// The time that is left is guessed from here on.
const settledAfterMs = 2_000;

/**
 * Makes the progress line of one piece of work; in a pipe it stays quiet.
 *
 * @param label what is worked on, such as the job's name
 */
export function createProgressLine(output: Output, label: string): ProgressLine {
  if (!output.isTerminal) return noProgress;
  const startedMs = performance.now();
  let stage = "";
  let stageStartedMs = startedMs;
  let stageStart = 0;
  let drawnMs = -Infinity;
  let isShown = false;
  let last: Omit<ProgressEvent, "type"> | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;

  function draw(progress: Omit<ProgressEvent, "type">, nowMs: number): void {
    drawnMs = nowMs;
    const line = formatProgress(label, progress, {
      elapsedMs: nowMs - startedMs,
      stageMs: nowMs - stageStartedMs,
      stageBytes: progress.rawBytes - stageStart,
    });
    isShown = true;
    output.write(`\r\x1b[K${line.slice(0, Math.max(10, output.columns - 1))}`);
  }

  /** Work that tells nothing for a while still goes on. */
  function tick(): void {
    const nowMs = performance.now();
    if (last !== undefined && nowMs - drawnMs >= idleEveryMs) draw(last, nowMs);
  }

  return {
    update(progress) {
      const nowMs = performance.now();
      last = progress;
      timer ??= setInterval(tick, idleEveryMs).unref();
      const isNewStage = progress.stage !== stage;
      if (isNewStage) {
        stage = progress.stage;
        stageStartedMs = nowMs;
        stageStart = progress.rawBytes;
      }
      if (isNewStage || nowMs - drawnMs >= redrawEveryMs) draw(progress, nowMs);
    },
    clear() {
      if (isShown) output.write("\r\x1b[K");
      isShown = false;
      clearInterval(timer);
      timer = undefined;
    },
  };
}

/** The words of the line: stage, bytes in and out, rate, time, and the rest where it is known. */
export function formatProgress(
  label: string,
  { stage, rawBytes, storedBytes, totalBytes }: Omit<ProgressEvent, "type">,
  times: { elapsedMs: number; stageMs: number; stageBytes: number },
): string {
  const rate = times.stageMs > 0 ? times.stageBytes / (times.stageMs / 1000) : 0;
  const parts = [
    stage === "" || stage.startsWith(label) ? stage || label : `${label}: ${stage}`,
    ...(rawBytes === 0 ? [] : [`${formatBytes(rawBytes)} raw`]),
    ...(storedBytes === 0 ? [] : [`${formatBytes(storedBytes)} stored`]),
    ...(times.stageBytes <= 0 ? [] : [`${formatBytes(Math.round(rate))}/s`]),
    formatDuration(times.elapsedMs),
  ];
  if (totalBytes !== undefined && totalBytes > 0) {
    // An estimate can be too low: then it says nothing more.
    const done = Math.min(0.99, times.stageBytes / totalBytes);
    const leftMs = rate > 0 ? (totalBytes - times.stageBytes) / rate * 1000 : undefined;
    // The first moments say little about the rest.
    const isTooSoon = times.stageMs < settledAfterMs;
    const left = isTooSoon || leftMs === undefined || leftMs < 0
      ? ""
      : `, ${formatDuration(leftMs)} left`;
    parts.push(`about ${Math.floor(done * 100)}%${left}`);
  }
  return parts.join("  ");
}
