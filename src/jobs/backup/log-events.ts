import type { RunEvent, RunResult } from "../../contracts/run.ts";
import type { Runtime } from "../../core/runtime.ts";
import { counted } from "../../core/text.ts";

/**
 * Writes a run's event to the log. What is told with the result, too, has `isOutcome`: a person at a
 * terminal needs it once.
 *
 * @param log of the run: its lines have the run, the job and the database
 */
export function logEvent(event: RunEvent, log: Runtime["log"]): void {
  switch (event.type) {
    case "started":
      return log.info("Run {run} of job {job} started");
    case "waiting":
      return log.info("Waiting for {who}, which uses the same database", { who: event.for });
    case "healing":
      return log.info("Copying {backups} to destination {destination}, which lacks them", {
        destination: event.destination,
        backups: event.backups.join(", "),
      });
    case "planned":
      return logPlan(event, log);
    case "destination": {
      const { outcome } = event;
      if (outcome.status !== "failed") return;
      return log.error(
        "Destination {destination} failed and was excluded from this run: {message} ({code})",
        {
          destination: outcome.name,
          code: outcome.error.code,
          message: outcome.error.message,
        },
      );
    }
    case "warning":
      // It is in the result, too, which is logged as a whole.
      return;
    case "pruned": {
      const { dropped, location } = event.place;
      if (dropped.length === 0) return;
      return log.info("Pruned {dropped} at {location}", {
        dropped: counted(dropped.length, "folder"),
        location,
      });
    }
    case "finished":
      return logResult(event.result, log);
  }
}

function logPlan(
  { strategy, kind, wanted, reason }: Extract<RunEvent, { type: "planned" }>,
  log: Runtime["log"],
): void {
  // Of a job whose every backup is a full one there is nothing to say.
  if (strategy === "full") return;
  if (wanted === undefined) return log.info("The backup is {kind}: {reason}", { kind, reason });
  log.warn("The backup is full instead of {wanted}: {reason}", { wanted, reason });
}

function logResult(result: RunResult, log: Runtime["log"]): void {
  const seconds = (result.finishedAt.getTime() - result.startedAt.getTime()) / 1000;
  for (const warning of result.warnings) log.warn("{warning}", { warning, isOutcome: true });
  if (result.error === undefined) {
    return log.info("Run {run} of job {job} finished successfully in {seconds} s", { seconds });
  }
  const { code, message, hint } = result.error;
  // A destination that failed has said the same a line before.
  const isTold = result.destinations.some((one) =>
    one.status === "failed" && message.includes(one.error.message)
  );
  const how = result.status === "partial" ? "was only partly successful" : "failed";
  log.error(`Run {run} of job {job} ${how}${isTold ? " ({code})" : ": {message} ({code})"}`, {
    code,
    message,
    hint,
    seconds,
    isOutcome: true,
  });
}
