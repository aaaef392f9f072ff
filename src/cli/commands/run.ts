import { BackupError } from "../../core/errors.ts";
import { commonFlags, defineCommand, merge, object, restArguments, toggle } from "../command.ts";
import { runJobs } from "../run-jobs.ts";
import { pickJobs } from "./backup.ts";

/** `run --once [JOB…]`. */
export const run = defineCommand({
  path: ["run"],
  brief: "Run all or the named jobs of the config now.",
  description: "Runs all or the named jobs of the config now, one after another, and exits with " +
    "the worst outcome. One that fails does not keep the next from running.",
  examples: ["dbbackup run --once", "dbbackup run --once shop blog --json"],
  parser: merge(
    object({
      jobs: restArguments("JOB", "Jobs of the config. Default: all."),
      once: toggle("--once", "Run now and exit. Required: there is no scheduler in this version."),
    }),
    commonFlags,
  ),
  async run({ jobs: names, once }, session) {
    if (!once) {
      throw new BackupError("usage/no-scheduler", "run needs --once in this version", {
        hint: "It has no scheduler yet: start `dbbackup run --once` from cron or a systemd timer.",
      });
    }
    const { jobs, path } = await session.config();
    if (jobs.size === 0) {
      throw new BackupError("config/no-jobs", `The config "${path}" has no jobs`, {
        hint: "Declare one under jobs, with a database and its destinations.",
      });
    }
    return await runJobs(names.length === 0 ? [...jobs.values()] : pickJobs(names, jobs), session);
  },
});
