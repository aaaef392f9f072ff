import type { JobDefinition } from "../config/model.ts";
import { reportRun } from "../jobs/backup/report.ts";
import { runBackup } from "../jobs/backup/run.ts";
import type { Kind } from "../contracts/manifest.ts";
import type { RunResult } from "../contracts/run.ts";
import { BackupError, type ErrorCode, exitStatusOf } from "../core/errors.ts";
import { rawBytesOf } from "../catalog/seal.ts";
import { storedBytesOf } from "../catalog/sizes.ts";
import type { Outcome } from "./command.ts";
import { errorJson } from "./errors.ts";
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
      session.complain(named(result.error, jobs, job.name), { isLogged: true });
    }
    // What was interrupted has told so; the jobs that were done are in the outcome.
    if (session.host.signal.aborted) break;
  }
  const codes = results.flatMap((result) => codesOf(result));
  return { json: { runs: results.map((result) => runJson(result, session)) }, codes };
}

/** With several jobs, an error says whose it is. */
function named(error: BackupError, { length }: { length: number }, job: string): BackupError {
  if (length === 1) return error;
  const { code, message, hint } = error;
  return new BackupError(code, `Job "${job}": ${message}`, { hint, cause: error });
}

function codesOf(result: RunResult): ErrorCode[] {
  if (result.status === "success") return [];
  if (result.status === "partial") {
    return [result.error?.code ?? "partial/destination"]
      .map((code) => code.startsWith("partial/") ? code : "partial/destination");
  }
  return [result.error?.code ?? "internal/no-reason"];
}

function describeRun(result: RunResult, session: Session): string {
  const { verdict, summary, kind, places, omitted, warnings } = reportRun(result);
  const colour = { success: "green", partial: "yellow", failure: "red" } as const;
  const lines = [`${session.paint(colour[result.status], verdict)}  ${summary}`];
  if (kind !== undefined) lines.push(`  ${kind}`);
  for (const { place, state, isFailure, hint } of places) {
    lines.push(`  ${place} ${isFailure ? session.paint("red", state) : state}`);
    if (hint !== undefined) lines.push(`    hint: ${hint}`);
  }
  for (const one of omitted) lines.push(`  left out, as accepted: ${one}`);
  for (const warning of warnings) lines.push(`  warning: ${warning}`);
  return lines.join("\n");
}

function runJson(result: RunResult, session: Session): unknown {
  const { manifest, error } = result;
  return {
    run: result.run,
    job: result.job,
    status: result.status,
    startedAt: result.startedAt.toISOString(),
    finishedAt: result.finishedAt.toISOString(),
    backup: manifest === undefined ? null : {
      id: manifest.id,
      kind: manifest.kind,
      parent: manifest.parent?.id ?? null,
      strategy: manifest.strategy ?? null,
      consistentAt: manifest.consistentAt,
      rawBytes: rawBytesOf(manifest),
      storedBytes: storedBytesOf(manifest),
      omitted: manifest.omitted,
    },
    destinations: result.destinations.map((one) => ({
      name: one.name,
      location: one.location,
      status: one.status,
      error: one.status === "failed" ? errorJson(one.error, session.secrets) : null,
    })),
    pruned: result.pruned.map(({ name, location, dropped, error }) => ({
      name,
      location,
      dropped,
      error: error === undefined ? null : errorJson(error, session.secrets),
    })),
    warnings: result.warnings.map((warning) => session.secrets.redact(warning)),
    error: error === undefined ? null : errorJson(error, session.secrets),
    exitStatus: codesOf(result).map(exitStatusOf)[0] ?? 0,
  };
}
