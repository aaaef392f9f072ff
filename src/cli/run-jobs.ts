import type { JobDefinition } from "../config/model.ts";
import { codesOf, runFacts } from "../jobs/backup/facts.ts";
import { reportRun } from "../jobs/backup/report.ts";
import { runBackup } from "../jobs/backup/run.ts";
import type { Kind } from "../contracts/manifest.ts";
import type { RunResult } from "../contracts/run.ts";
import { BackupError } from "../core/errors.ts";
import type { Outcome } from "./command.ts";
import type { Session } from "./session.ts";

/** Runs jobs one after another; one that fails does not keep the next from running. */
export async function runJobs(
  jobs: readonly JobDefinition[],
  session: Session,
  { kind }: { readonly kind?: Kind | undefined } = {},
): Promise<Outcome> {
  const forced = kind === undefined ? {} : { kind };
  const results: RunResult[] = [];
  for (const job of jobs) {
    const result = await runBackup(job, { ...session.job(job.name), ...forced });
    session.clearProgress();
    results.push(result);
    session.print(describeRun(result, session));
    // The job's name is in the log and on standard output; mail from cron may show only this.
    if (result.error !== undefined) {
      const error = session.flags.quiet ? withReasons(result.error, result) : result.error;
      session.complain(named(error, jobs, job.name), { isLogged: true });
    }
    // What was interrupted has told so; the jobs that were done are in the outcome.
    if (session.host.signal.aborted) break;
  }
  const codes = results.flatMap((result) => codesOf(result));
  return { json: { runs: results.map((result) => runFacts(result, session.secrets)) }, codes };
}

/** Without the list of destinations, the error of a partial run says why they failed. */
function withReasons(error: BackupError, { status, destinations }: RunResult): BackupError {
  if (status !== "partial") return error;
  const reasons = destinations.flatMap((one) => one.status === "failed" ? [one.error.message] : []);
  const { code, message, hint } = error;
  if (reasons.length === 0) return error;
  return new BackupError(code, `${message}: ${reasons.join("; ")}`, { hint, cause: error });
}

/** With several jobs, an error says whose it is. */
function named(error: BackupError, { length }: { length: number }, job: string): BackupError {
  if (length === 1) return error;
  const { code, message, hint } = error;
  return new BackupError(code, `Job "${job}": ${message}`, { hint, cause: error });
}

function describeRun(result: RunResult, session: Session): string {
  const { verdict, summary, kind, places, omitted, warnings } = reportRun(result);
  const colour = { success: "green", partial: "yellow", failure: "red" } as const;
  const lines = [`${session.paint(colour[result.status], verdict)}  ${summary}`];
  if (kind !== undefined) lines.push(`  ${kind}`);
  for (const { place, state, isFailure, hint } of places) {
    lines.push(`  ${place}: ${isFailure ? session.paint("red", state) : state}`);
    if (hint !== undefined) lines.push(`    hint: ${hint}`);
  }
  for (const one of omitted) lines.push(`  left out, as accepted: ${one}`);
  for (const warning of warnings) lines.push(`  warning: ${warning}`);
  return lines.join("\n");
}
