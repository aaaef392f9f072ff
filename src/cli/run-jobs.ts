import type { JobDefinition } from "../config/model.ts";
import { runBackup } from "../jobs/backup/run.ts";
import type { RunResult } from "../jobs/backup/types.ts";
import { BackupError, type ErrorCode, exitStatusOf } from "../core/errors.ts";
import { formatBytes, formatDuration } from "../core/text.ts";
import { rawBytesOf } from "../catalog/seal.ts";
import { storedBytesOf } from "./backups.ts";
import type { Outcome } from "./command.ts";
import { errorJson } from "./errors.ts";
import type { Session } from "./session.ts";

/** Runs jobs one after another; one that fails does not keep the next from running. */
export async function runJobs(
  jobs: readonly JobDefinition[],
  session: Session,
): Promise<Outcome> {
  const results: RunResult[] = [];
  for (const job of jobs) {
    const result = await runBackup(job, session.job(job.name));
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
  const { manifest, job, status } = result;
  const took = formatDuration(result.finishedAt.getTime() - result.startedAt.getTime());
  const lines: string[] = [];
  if (manifest === undefined) {
    lines.push(`${session.paint("red", "failed")}  ${job}, after ${took}`);
  } else {
    const word = status === "success"
      ? session.paint("green", "backed up")
      : session.paint("yellow", "partly backed up");
    const size = `${formatBytes(rawBytesOf(manifest))} → ${formatBytes(storedBytesOf(manifest))}`;
    lines.push(`${word}  ${job} as ${manifest.id}, ${size}, in ${took}`);
  }
  for (const destination of result.destinations) {
    const state = destination.status === "committed"
      ? "has it"
      : session.paint("red", `failed: ${destination.error.message} (${destination.error.code})`);
    const { name, location } = destination;
    // A URL of the command line says it all, but for what stands behind the "?".
    const isSame = name.split("?")[0] === location.split("?")[0];
    const place = isSame ? location : `${name} (${location})`;
    lines.push(`  ${place} ${state}`);
    // The run's own error has the first one's.
    const isTold = destination.status === "failed" && destination.error === result.error?.cause;
    if (destination.status === "failed" && !isTold && destination.error.hint !== undefined) {
      lines.push(`    hint: ${destination.error.hint}`);
    }
  }
  for (const { name, reason } of manifest?.omitted ?? []) {
    lines.push(`  left out, as accepted: ${name}: ${reason}`);
  }
  for (const warning of result.warnings) lines.push(`  warning: ${warning}`);
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
    warnings: result.warnings.map((warning) => session.secrets.redact(warning)),
    error: error === undefined ? null : errorJson(error, session.secrets),
    exitStatus: codesOf(result).map(exitStatusOf)[0] ?? 0,
  };
}
