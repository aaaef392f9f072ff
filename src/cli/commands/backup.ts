import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { adHocJob, databaseWithSource } from "../../config/adhoc.ts";
import type { JobDefinition } from "../../config/model.ts";
import { changedJob } from "../../config/job.ts";
import { BackupError } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import { databaseUrls, destinationUrls } from "../../registry.ts";
import {
  commonFlags,
  defineCommand,
  listOption,
  merge,
  object,
  plain,
  restArguments,
  textOption,
  toggle,
} from "../command.ts";
import { adHocDestinations, givenDatabase } from "../given.ts";
import { type EncryptionFlags, encryptionFlags, givenEncryption } from "../encryption.ts";
import { changesFor, type JobOptions, jobOptions } from "../job-options.ts";
import { previewJobs } from "../preview-jobs.ts";
import { runJobs } from "../run-jobs.ts";
import { uploadLimitOption, withGivenLimit } from "../upload-limit.ts";
import type { Session } from "../session.ts";

const flags = object({
  jobs: restArguments("JOB", "Jobs of the config."),
  from: textOption(
    "--from",
    "URL",
    `Without a config: the database, as ${databaseUrls()}, env:NAME or command:LINE. ` +
      "No database in the URL means all.",
  ),
  to: listOption(
    "--to",
    "DEST",
    `Where the backup goes: a path, or a URL of ${destinationUrls()}. Several times for several ` +
      "copies.",
  ),
  passwordFile: textOption(
    "--password-file",
    "PATH",
    "The password of --from: a file, env:NAME or command:LINE.",
  ),
  job: textOption("--job", "NAME", "The name of the ad-hoc job. Default: the database's name."),
  source: textOption(
    "--source",
    "NAME",
    "Identifies the database of --from among the backups, where the server has no id of its own. " +
      "Default: its address as written.",
  ),
  kind: optional(
    option("--kind", choice(["full", "differential", "incremental"], { metavar: "KIND" }), {
      description: plain(
        "full, differential or incremental, whatever the job's strategy asks for.",
      ),
    }),
  ),
  dryRun: toggle("--dry-run", "Only say what would be taken, and why."),
  uploadLimit: uploadLimitOption(),
});

/** `backup JOB…`, and `backup --from URL --to DEST` without any config. */
export const backup = defineCommand({
  path: ["backup"],
  brief: "Back up the named jobs, or one database without any config.",
  description:
    "Backs up the named jobs of the config, one after another; the flags apply to each. " +
    "With --from and --to it needs no config and searches for none.",
  examples: [
    "dbbackup backup shop",
    "dbbackup backup --from postgres://app@localhost/shop --to ./backups",
    "dbbackup backup --from sqlite:./data/app.db --to /var/backups --compression zstd",
    "dbbackup backup --from sqlite:app.db --to /mnt/a --recipients-file ./recipients.txt",
    "dbbackup backup --from env:DATABASE_URL --to /mnt/a --to /mnt/b --json",
  ],
  parser: merge(flags, jobOptions, encryptionFlags, commonFlags),
  async run(values, session) {
    const { dryRun, kind } = values;
    const carryOut = (jobs: readonly JobDefinition[]) =>
      dryRun ? previewJobs(jobs, kind, session) : runJobs(jobs, session, { kind });
    if (values.from === undefined) return await carryOut(await configJobs(values, session));
    if (values.jobs.length > 0) {
      throw new BackupError(
        "usage/job-and-from",
        `Job "${values.jobs[0]}" and --from exclude each other`,
        {
          hint: "Name jobs of the config, or a database with --from; --job names an ad-hoc job.",
        },
      );
    }
    if (values.to.length === 0) {
      throw new BackupError("usage/missing-destination", "--from needs a --to", {
        hint: "Say where the backup goes: --to ./backups.",
      });
    }
    const config = await session.namedConfig();
    const given = await givenDatabase(values.from, values.passwordFile, config, session);
    const database = values.source === undefined ? given : databaseWithSource(given, values.source);
    const destinations = (await adHocDestinations(values.to, session))
      .map((one) => withGivenLimit(one, values.uploadLimit));
    const encryption = await givenEncryption(values, session);
    const name = values.job;
    const changes = changesFor({ database, destinations }, values, encryption);
    const job = adHocJob(database, destinations, { name, ...changes });
    return await carryOut([job]);
  },
});

/** The jobs that are named, with what the flags change for this run. */
async function configJobs(
  values: JobOptions & {
    readonly jobs: readonly string[];
    readonly to: readonly string[];
    readonly passwordFile: string | undefined;
    readonly source: string | undefined;
    readonly uploadLimit: string | undefined;
  } & EncryptionFlags,
  session: Session,
): Promise<JobDefinition[]> {
  if (values.passwordFile !== undefined) {
    throw new BackupError("usage/password-file", "--password-file needs a --from", {
      hint: 'In a config the password is an option: password: file("/run/secrets/x").',
    });
  }
  if (values.source !== undefined) {
    throw new BackupError("usage/source", "--source needs a --from", {
      hint: 'In a config it is an option of the database: source: "NAME".',
    });
  }
  if (values.jobs.length === 0) {
    throw new BackupError("usage/missing-job", "No job is named", {
      hint: "Name one or more jobs, use `dbbackup run --once` for all of them, or --from and --to.",
    });
  }
  const config = await session.config();
  const jobs = pickJobs(values.jobs, config.jobs);
  const to = values.to.length === 0 ? undefined : await configDestinations(values.to, session);
  const encryption = await givenEncryption(values, session);
  return jobs.map((job) => {
    const target = {
      ...job,
      destinations: (to ?? job.destinations)
        .map((one) => withGivenLimit(one, values.uploadLimit)),
    };
    const changes = changesFor(target, values, encryption);
    const accept = [...new Set([...job.accept, ...changes.accept ?? []])];
    return changedJob(target, { ...changes, accept });
  });
}

/** A job of the config goes to its own destinations, or to those of them that `--to` names. */
async function configDestinations(names: readonly string[], session: Session) {
  const { destinations } = await session.config();
  return names.map((name) => {
    const found = destinations.get(name);
    if (found !== undefined) return found;
    throw new BackupError(
      "usage/unknown-destination",
      `There is no destination "${name}" in the config`,
      {
        hint: suggestion(name, [...destinations.keys()]),
      },
    );
  });
}

/**
 * Looks jobs up by name, each once.
 *
 * @throws BackupError `usage/unknown-job`
 */
export function pickJobs(
  names: readonly string[],
  jobs: ReadonlyMap<string, JobDefinition>,
): JobDefinition[] {
  return [...new Set(names)].map((name) => {
    const job = jobs.get(name);
    if (job !== undefined) return job;
    throw new BackupError("usage/unknown-job", `There is no job "${name}" in the config`, {
      hint: suggestion(name, [...jobs.keys()]),
    });
  });
}
