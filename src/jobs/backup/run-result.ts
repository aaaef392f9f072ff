import type { JobDefinition } from "../../config/model.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import { shellQuote } from "../../core/text.ts";
import type { DestinationOutcome, RunResult } from "../../contracts/run.ts";
import type { JobContext } from "../shared/context.ts";
import type { FailedDestination } from "../shared/destinations.ts";

/** A run, as far as its result tells of it. */
export interface EndedRun {
  readonly job: JobDefinition;
  readonly id: string;
  readonly startedAt: Date;
}

/** The result of a run that has a backup at one destination at least. */
export function committedResult(
  { job, id: run, startedAt }: EndedRun,
  manifest: Manifest,
  destinations: readonly DestinationOutcome[],
  warnings: readonly string[],
  o: JobContext,
): RunResult {
  const failures = destinations.filter((outcome) => outcome.status === "failed");
  const base = { run, job: job.name, startedAt, finishedAt: o.runtime.now(), manifest, pruned: [] };
  if (failures.length === 0) return { ...base, status: "success", destinations, warnings };
  const names = failures.map(({ name }) => `"${name}"`).join(", ");
  const error = new BackupError(
    "partial/destinations",
    `Backup ${run} is missing at ${failures.length} of ${destinations.length} destinations: ${names}`,
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
  { job, id, startedAt }: EndedRun,
  reason: unknown,
  outcomes: readonly DestinationOutcome[],
  o: JobContext,
): RunResult {
  const error = toBackupError(reason);
  return {
    run: id,
    job: job.name,
    status: "failure",
    startedAt,
    finishedAt: o.runtime.now(),
    destinations: outcomes,
    pruned: [],
    warnings: [],
    error,
  };
}

/** How destinations fare before anything is written: those that cannot be used have failed. */
export function outcomesBefore(
  { destinations }: JobDefinition,
  failed: readonly FailedDestination[],
): DestinationOutcome[] {
  return destinations.map(({ name, kind }) => {
    const error = failed.find((one) => one.name === name)?.error;
    const base = { name, location: kind.kind };
    return error === undefined
      ? { ...base, status: "not-tried" }
      : { ...base, status: "failed", error };
  });
}

/** A backup that is committed stands, whatever goes wrong on the way out. */
export function withWarning(result: RunResult, reason: unknown): RunResult {
  const { message, code } = toBackupError(reason);
  const warning = `The backup is complete, but the run did not end cleanly: ${message} (${code})`;
  return { ...result, warnings: [...result.warnings, warning] };
}
