import { resetJob, type ResetResult } from "../../jobs/reset/reset.ts";
import { commonFlags, defineCommand, merge, object, requiredArgument } from "../command.ts";
import { pickJobs } from "./backup.ts";

/** `reset JOB`. */
export const reset = defineCommand({
  path: ["reset"],
  brief: "Drop what a job's database keeps for it.",
  description:
    "Drops what the database keeps back for the job's next increment, such as replication slots, so " +
    "that its disk does not fill for a job that runs no more. Backups stay as they are; the next one " +
    "of the job is a full one.",
  examples: ["dbbackup reset shop"],
  parser: merge(
    object({ job: requiredArgument("JOB", "A job of the config.") }),
    commonFlags,
  ),
  async run({ job: name }, session) {
    const config = await session.config();
    const [job] = pickJobs([name], config.jobs);
    const result = await resetJob(job!, session.job("reset"));
    session.clearProgress();
    session.print(textOf(result));
    return { json: { job: name, dropped: result.dropped } };
  },
});

function textOf({ job, location, dropped, keepsAnything }: ResetResult): string {
  if (!keepsAnything) return `Nothing to do: ${location} keeps nothing for a job`;
  if (dropped.length === 0) return `Nothing to do: ${location} keeps nothing for job ${job}`;
  return dropped.map((one) => `dropped ${one} at ${location}`).join("\n");
}
