import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { adHocJob, assertOmission, databaseWithSource } from "../../config/adhoc.ts";
import type { EncryptionSettings, JobDefinition } from "../../config/model.ts";
import { parseDuration, parseSize, smallestVolumeBytes } from "../../config/units.ts";
import { BackupError } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import {
  commonFlags,
  countOption,
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
import { previewJobs } from "../preview-jobs.ts";
import { runJobs } from "../run-jobs.ts";
import { uploadLimitOption, withGivenLimit } from "../upload-limit.ts";
import type { Session } from "../session.ts";

const flags = object({
  jobs: restArguments("JOB", "Jobs of the config."),
  from: textOption(
    "--from",
    "URL",
    "Without a config: the database, as postgres://, mysql://, mariadb://, mongodb://, " +
      "mongodb+srv://, sqlite:PATH, env:NAME or command:LINE. No database in the URL means all.",
  ),
  to: listOption(
    "--to",
    "DEST",
    "Where the backup goes: a path, or a URL of file:, s3:, gs: or az:. Several times for several " +
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
  compression: optional(
    option("--compression", choice(["gzip", "zstd", "none"], { metavar: "CODEC" }), {
      description: plain("gzip (the default), zstd or none."),
    }),
  ),
  level: countOption("--compression-level", "N", "The codec's level."),
  accept: listOption("--accept", "NAME", "Something that the dump leaves out and may."),
  exclude: listOption("--exclude", "NAME", "An object to leave out, as the tool names it."),
  excludeData: listOption("--exclude-data", "NAME", "A table to back up without its rows."),
  schemaOnly: toggle("--schema-only", "Only definitions, no rows."),
  dumpArgs: listOption("--dump-arg", "ARG", "One more argument for the dump tool: --dump-arg=-v."),
  timeout: textOption("--timeout", "TIME", 'The longest the run may take, such as "2h".'),
  stallTimeout: textOption(
    "--stall-timeout",
    "TIME",
    'The tool\'s longest silence. Default "10m".',
  ),
  retryTimeout: textOption(
    "--retry-timeout",
    "TIME",
    'How long a destination that does not answer is tried again. Default "5m".',
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
  volumeSize: textOption("--volume-size", "SIZE", 'Where files are cut. Default "100GiB".'),
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
  parser: merge(flags, encryptionFlags, commonFlags),
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
    const destinations = withGivenLimit(
      await adHocDestinations(values.to, session),
      values.uploadLimit,
    );
    const encryption = await givenEncryption(values, session);
    const job = adHocJob(database, destinations, { ...adHocFlags(values), encryption });
    return await carryOut([job]);
  },
});

type Values = Parameters<typeof adHocFlags>[0];

/** The jobs that are named, with what the flags change for this run. */
async function configJobs(
  values: Values & {
    readonly jobs: readonly string[];
    readonly to: readonly string[];
    readonly passwordFile: string | undefined;
    readonly source: string | undefined;
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
  return jobs.map((job) => withFlags(job, values, to, encryption));
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

function withFlags(
  job: JobDefinition,
  values: Values,
  to: JobDefinition["destinations"] | undefined,
  encryption: EncryptionSettings | undefined,
): JobDefinition {
  const { kind } = job.database;
  for (const name of values.accept) assertOmission(name, kind);
  const changed = adHocFlags(values);
  const destinations = withGivenLimit(to ?? job.destinations, values.uploadLimit);
  const accept = [...new Set([...job.accept, ...values.accept])];
  const isCompressed = values.compression !== undefined || values.level !== undefined;
  // What only some kinds of database have is checked as that of an ad-hoc job is.
  const { settings, destinationStallTimeoutMs } = adHocJob(job.database, destinations, {
    ...job.settings,
    ...defined(changed),
    compression: changed.compression,
    accept,
  });
  return {
    ...job,
    destinations,
    accept,
    settings,
    ...isCompressed ? { compression: changed.compression } : {},
    ...defined({ encryption }),
    ...defined({
      timeoutMs: changed.timeoutMs,
      stallTimeoutMs: changed.stallTimeoutMs,
      retryTimeoutMs: changed.retryTimeoutMs,
      volumeBytes: changed.volumeBytes,
    }),
    ...changed.retryTimeoutMs === undefined ? {} : {
      destinationStallTimeoutMs: Math.max(job.destinationStallTimeoutMs, destinationStallTimeoutMs),
    },
  };
}

function defined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, one]) => one !== undefined),
  ) as Partial<T>;
}

function adHocFlags(values: {
  readonly job: string | undefined;
  readonly compression: "gzip" | "zstd" | "none" | undefined;
  readonly level: number | undefined;
  readonly accept: readonly string[];
  readonly exclude: readonly string[];
  readonly excludeData: readonly string[];
  readonly schemaOnly: boolean;
  readonly dumpArgs: readonly string[];
  readonly timeout: string | undefined;
  readonly stallTimeout: string | undefined;
  readonly retryTimeout: string | undefined;
  readonly volumeSize: string | undefined;
  readonly uploadLimit: string | undefined;
}) {
  const codec = values.compression ?? "gzip";
  const list = (given: readonly string[]) => given.length === 0 ? undefined : given;
  return {
    name: values.job,
    compression: values.level === undefined ? { codec } : { codec, level: values.level },
    accept: values.accept,
    exclude: list(values.exclude),
    excludeData: list(values.excludeData),
    schemaOnly: values.schemaOnly ? true : undefined,
    dumpArgs: list(values.dumpArgs),
    timeoutMs: unit("--timeout", values.timeout, parseDuration, "90s, 10m or 2h30m"),
    stallTimeoutMs: unit("--stall-timeout", values.stallTimeout, parseDuration, "90s or 10m"),
    retryTimeoutMs: unit("--retry-timeout", values.retryTimeout, parseDuration, "90s or 30m"),
    volumeBytes: volumeBytes(values.volumeSize),
  };
}

function volumeBytes(text: string | undefined): number | undefined {
  const bytes = unit("--volume-size", text, parseSize, "512MiB or 100GiB");
  if (bytes === undefined || bytes >= smallestVolumeBytes) return bytes;
  throw new BackupError("usage/bad-value", `--volume-size "${text}" is below 32KiB`, {
    hint: "Give at least 32KiB; a number without a unit is bytes. The default is 100GiB.",
  });
}

function unit(
  flag: string,
  text: string | undefined,
  parse: (text: string) => number | undefined,
  examples: string,
): number | undefined {
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value !== undefined) return value;
  throw new BackupError("usage/bad-value", `Cannot read ${flag} "${text}"`, {
    hint: /^\d+(\.\d+)?$/.test(text)
      ? `A number needs its unit: ${text}s, ${text}m or ${text}h. Write it like ${examples}.`
      : `Write it like ${examples}.`,
  });
}
