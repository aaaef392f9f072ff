import type { JobDefinition } from "../../config/model.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import { shellQuote } from "../../core/text.ts";
import type { DestinationOutcome, RunResult } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** A run, as far as its result tells of it. */
export interface EndedRun {
  readonly job: JobDefinition;
  readonly run: string;
  readonly startedAt: Date;
}

/** The result of a run that has a backup at one destination at least. */
export function committedResult(
  { job, run, startedAt }: EndedRun,
  manifest: Manifest,
  destinations: readonly DestinationOutcome[],
  warnings: readonly string[],
  o: JobContext,
): RunResult {
  const failures = destinations.filter((outcome) => outcome.status === "failed");
  const base = { run, job: job.name, startedAt, finishedAt: o.runtime.now(), manifest };
  if (failures.length === 0) return { ...base, status: "success", destinations, warnings };
  const names = failures.map(({ name }) => `"${name}"`).join(", ");
  const error = new BackupError(
    "partial/destinations",
    `Backup ${run} is missing at ${failures.length} of ${destinations.length} destinations: ${names}` +
      ` (${failures[0]!.error.message})`,
    { cause: failures[0]!.error, hint: healingHint(run, job, destinations, o) },
  );
  return { ...base, status: "partial", destinations, warnings, error };
}

/** What to mend first, and the command that then brings the backup to where it is missing. */
function healingHint(
  run: string,
  job: JobDefinition,
  destinations: readonly DestinationOutcome[],
  { configFlags = [] }: JobContext,
): string {
  const argument = (name: string) =>
    shellQuote(job.destinations.find((one) => one.name === name)?.argument ?? name);
  const flags = configFlags.map((flag) => ` ${shellQuote(flag)}`).join("");
  const source = destinations.find(({ status }) => status === "committed");
  const failures = destinations.filter((outcome) => outcome.status === "failed");
  const first = failures[0]?.error.hint;
  // A copy to where the backup is already would not help.
  const healable = failures.filter(({ error }) => error.code !== "config/same-place");
  if (healable.length === 0) return first ?? "Mend that.";
  const commands = healable.map(({ name }) =>
    `\`dbbackup copy ${run}${source === undefined ? "" : ` --from ${argument(source.name)}`}` +
    ` --to ${argument(name)}${flags}\``
  );
  return `${first === undefined ? "Mend that." : first} Then: ${commands.join(", ")}.`;
}

/** The result of a run that has no backup anywhere. */
export function failedResult(
  { job, run, startedAt }: EndedRun,
  reason: unknown,
  outcomes: readonly DestinationOutcome[],
  o: JobContext,
): RunResult {
  const error = toBackupError(reason);
  return {
    run,
    job: job.name,
    status: "failure",
    startedAt,
    finishedAt: o.runtime.now(),
    // Where several failed each for a reason of its own, each is told; else the error says it all.
    destinations: outcomes.length > 1 ? outcomes.filter(({ status }) => status === "failed") : [],
    warnings: [],
    error,
  };
}

/** A backup that is committed stands, whatever goes wrong on the way out. */
export function withWarning(result: RunResult, reason: unknown): RunResult {
  const { message, code } = toBackupError(reason);
  const warning = `The backup is complete, but the run did not end cleanly: ${message} (${code})`;
  return { ...result, warnings: [...result.warnings, warning] };
}

/** What is told with the result, too, has `isOutcome`: a person at a terminal needs it once. */
export function logResult(result: RunResult, o: JobContext): void {
  const { log } = o.runtime;
  const seconds = (result.finishedAt.getTime() - result.startedAt.getTime()) / 1000;
  for (const warning of result.warnings) {
    log.warn("{warning}", { warning, isOutcome: true });
  }
  if (result.error === undefined) {
    log.info("Run {run} of job {job} ended well after {seconds} s", { seconds });
  } else {
    const { code, message, hint } = result.error;
    log.error("Run {run} of job {job} ended with {code}: {message}", {
      code,
      message,
      hint,
      seconds,
      isOutcome: true,
    });
  }
}
