import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { assertOmission, assertSettings } from "../config/adhoc.ts";
import type { FlaggedJob, JobFlag } from "../config/job-key.ts";
import { type JobChanges, jobFlags, readChanges, writtenByFlags } from "../config/job.ts";
import type { EncryptionSettings, JobDefinition } from "../config/model.ts";
import { parseSize } from "../core/units.ts";
import { BackupError } from "../core/errors.ts";
import { countOption, listOption, object, plain, textOption, toggle } from "./command.ts";

/** The values of the flags of a job's keys, as they were given. */
export type JobOptions = Readonly<Record<string, unknown>>;

/** The flags that a job's keys have, to be merged into a command's own. */
export const jobOptions = object(
  Object.fromEntries(jobFlags().map(([name, flag]) => [name, optionOf(flag)])),
);

function optionOf(flag: JobFlag): Parser<"sync", unknown, unknown> {
  const { flag: name, description } = flag;
  switch (flag.form) {
    case "text":
      return textOption(name, flag.metavar, description);
    case "list":
      return listOption(name, flag.metavar, description);
    case "count":
      return countOption(name, flag.metavar, description);
    case "toggle":
      return toggle(name, description);
    case "choice": {
      const parser = choice(flag.values, { metavar: flag.metavar });
      return optional(option(name, parser, { description: plain(description) }));
    }
  }
}

/**
 * What the flags change in a job for one run.
 *
 * @throws BackupError `usage/bad-value`, `usage/unknown-omission`, `usage/setting-unsupported`
 */
export function changesFor(
  job: Pick<JobDefinition, "database" | "destinations"> & FlaggedJob,
  values: JobOptions,
  encryption: EncryptionSettings | undefined,
): JobChanges {
  const { database, destinations } = job;
  const written = writtenByFlags(values, job, badValue);
  for (const name of written.accept ?? []) assertOmission(name, database.kind);
  assertSettings(written, database.kind);
  const changes = readChanges(written, { database, destinations, base: "." });
  return encryption === undefined ? changes : { ...changes, encryption };
}

function badValue(flag: JobFlag, value: unknown): never {
  const text = String(value);
  const isTooSmall = flag.form === "text" && flag.metavar === "SIZE" &&
    parseSize(text) !== undefined;
  if (isTooSmall) {
    throw new BackupError("usage/bad-value", `${flag.flag} "${text}" is below 32KiB`, {
      hint: "Give at least 32KiB; a number without a unit is bytes. The default is 100GiB.",
    });
  }
  const examples = flag.form === "text" ? `Write it like ${flag.examples}.` : "See --help.";
  throw new BackupError("usage/bad-value", `Cannot read ${flag.flag} "${text}"`, {
    hint: /^\d+(\.\d+)?$/.test(text)
      ? `A number needs its unit: ${text}s, ${text}m or ${text}h. ${examples}`
      : examples,
  });
}
