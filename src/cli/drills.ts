import { BackupError, type ErrorCode } from "../core/errors.ts";
import { counted, formatBytes } from "../core/text.ts";
import { drillJob } from "../jobs/drill/drill.ts";
import type { DrillResult } from "../jobs/drill/types.ts";
import type { Outcome } from "./command.ts";
import { pickJobs } from "./commands/backup.ts";
import { errorJson } from "./errors.ts";
import type { KeyFlags } from "./flags.ts";
import type { Session } from "./session.ts";
import { formatTook } from "./times.ts";

/** `verify --drill [JOB…]`: the named jobs of the config, or all that can. */
export async function runDrills(
  { what, from, others }: {
    readonly what: readonly string[];
    readonly from: readonly string[];
    /** Whether flags were given that a drill has no use for. */
    readonly others: boolean;
  },
  keys: KeyFlags,
  session: Session,
): Promise<Outcome> {
  if (others) {
    throw new BackupError("usage/drill", "--drill goes with neither --deep nor --latest", {
      hint: "A drill reads and restores the newest backup; check the others with another verify.",
    });
  }
  const { jobs } = await session.config();
  const destinations = from.length === 0 ? undefined : await session.destinations(from);
  const results: DrillResult[] = [];
  const codes: ErrorCode[] = [];
  for (const job of pickJobs(what.length === 0 ? [...jobs.keys()] : what, jobs)) {
    const request = { job, ...destinations === undefined ? {} : { destinations } };
    const result = await drillJob(request, session.job(`drill of ${job.name}`, keys));
    session.clearProgress();
    results.push(result);
    session.print(describe(result, session));
    if (result.error !== undefined) {
      session.complain(named(result.job, result.error));
      codes.push(result.error.code);
    }
    if (session.host.signal.aborted) break;
  }
  return { json: { drills: results.map((result) => resultJson(result, session)) }, codes };
}

function named(job: string, { code, message, hint, cause, details }: BackupError): BackupError {
  return new BackupError(code, `The drill of job "${job}" failed: ${message}`, {
    cause,
    ...hint === undefined ? {} : { hint },
    ...details === undefined ? {} : { details },
  });
}

function describe(result: DrillResult, session: Session): string {
  const { job, backup, links, location, steps, checks, fetchedBytes, warnings, error } = result;
  const word = error === undefined
    ? session.paint("green", "restored".padEnd(9))
    : session.paint("red", "FAILED".padEnd(9));
  const which = backup === undefined
    ? ""
    : `  ${backup}, ${counted(links, "backup")}, ${formatBytes(fetchedBytes)} fetched`;
  return [
    `${word}  ${job}${which}`,
    ...location === undefined ? [] : [`  into ${location}, removed`],
    ...steps.map(({ what, tookMs }) => `  ${what.padEnd(8)}  ${formatTook(tookMs)}`),
    ...checks.map(({ what, isMet, found }) =>
      `  ${
        session.paint(isMet ? "green" : "red", isMet ? "holds" : "DOES NOT HOLD")
      }  ${what}: ${found}`
    ),
    ...warnings.map((warning) => `  warning: ${warning}`),
  ].join("\n");
}

function resultJson({ error, ...result }: DrillResult, session: Session): unknown {
  return {
    ...result,
    backup: result.backup ?? null,
    location: result.location ?? null,
    steps: result.steps.map(({ what, tookMs }) => ({ what, tookMs: Math.round(tookMs) })),
    error: error === undefined ? null : errorJson(error, session.secrets),
  };
}
