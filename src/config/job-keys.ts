import { z } from "zod";
import { systemTimeZone } from "../catalog/periods.ts";
import { duration } from "../contracts/duration.ts";
import { defaultRetryMs } from "../core/retry.ts";
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  smallestVolumeBytes,
} from "../core/units.ts";
import {
  defaultAbandonedAfterMs,
  defaultStallTimeoutMs,
  defaultVolumeBytes,
  destinationStallMs,
} from "./definitions.ts";
import { key, setting, unknownNames } from "./job-key.ts";
import { compressionKey } from "./keys/compression.ts";
import { drillKey } from "./keys/drill.ts";
import { encryptionKey } from "./keys/encryption.ts";
import { retentionKey } from "./keys/retention.ts";
import { strategyKey } from "./keys/strategy.ts";
import { unknownName } from "./problems.ts";
import { databaseName, destinationName, size, texts, timezone } from "./schema-parts.ts";

/** Every key of a job, in the order in which users read of them. */
export const jobKeys = {
  database: key({
    schema: databaseName.describe("The name of one of the databases."),
    as: "database",
    read: (_, { database }) => database,
    show: ({ name }) => name,
    check(name, { path, declared: { databases } }) {
      if (databases.includes(name)) return [];
      return [unknownName(path, name, "a declared database", databases)];
    },
    // Every job names its own.
    isOnlyOfJobs: true,
  }),
  destinations: key({
    schema: z.array(destinationName).min(1).optional().describe(
      "Names of destinations; the database is read once for all of them. Here or in defaults.",
    ),
    as: "destinations",
    read: (_, { destinations }) => destinations,
    show: (destinations) => destinations.map(({ name }) => name),
    check(names, { path, declared }) {
      if (names === undefined) {
        const expected = "a list of destinations, here or in defaults";
        return [{ path, found: "nothing", expected }];
      }
      const known = declared.destinations;
      const twice = names.flatMap((name, index) => {
        const isFirst = names.indexOf(name) === index || !known.includes(name);
        const found = `"${name}" a second time`;
        return isFirst ? [] : [{ path: [...path, index], found, expected: "each name once" }];
      });
      return [...unknownNames(names, { path, what: "a declared destination", known }), ...twice];
    },
    isCheckedInEachJob: true,
  }),
  compression: compressionKey,
  encryption: encryptionKey,
  timeout: key({
    schema: duration.optional().describe('The longest a run may take: "2h". Default none.'),
    as: "timeoutMs",
    read: (text) => text === undefined ? undefined : parseDuration(text),
    show: (ms) => ms === undefined ? undefined : formatDuration(ms),
    flags: {
      timeout: {
        flag: "--timeout",
        form: "text",
        metavar: "TIME",
        examples: "90s, 10m or 2h30m",
        description: 'The longest the run may take, such as "2h".',
      },
    },
  }),
  stallTimeout: key({
    schema: duration.optional().describe('The longest silence of the dump tool. Default "10m".'),
    as: "stallTimeoutMs",
    read: (text) => parseDuration(text ?? "") ?? defaultStallTimeoutMs,
    show: formatDuration,
    flags: {
      stallTimeout: {
        flag: "--stall-timeout",
        form: "text",
        metavar: "TIME",
        examples: "90s or 10m",
        description: 'The tool\'s longest silence. Default "10m".',
      },
    },
  }),
  destinationStallTimeout: key({
    schema: duration.optional()
      .describe('How long a destination may take no byte before it is dropped. Default "10m".'),
    as: "destinationStallTimeoutMs",
    // Long enough, where nothing is said, for a destination to be tried again for its time.
    read: (text, { written }) =>
      destinationStallMs(
        parseDuration(text ?? ""),
        parseDuration(written.retryTimeout ?? "") ?? defaultRetryMs,
      ),
    show: formatDuration,
  }),
  retryTimeout: key({
    schema: duration.optional()
      .describe('How long a destination that does not answer is tried again. Default "5m".'),
    as: "retryTimeoutMs",
    read: (text) => parseDuration(text ?? "") ?? defaultRetryMs,
    show: formatDuration,
    flags: {
      retryTimeout: {
        flag: "--retry-timeout",
        form: "text",
        metavar: "TIME",
        examples: "90s or 30m",
        description: 'How long a destination that does not answer is tried again. Default "5m".',
      },
    },
  }),
  accept: key({
    schema: texts.optional()
      .describe("Names of what a dump leaves out and may: a run fails on any other omission."),
    as: "accept",
    // A default that this kind does not know is meant for the jobs of another kind.
    read: (names, { database }): readonly string[] =>
      (names ?? []).filter((name) => database.kind.omissions.includes(name)),
    show: (names) => names,
    check(names = [], { path, isDefault, kinds }) {
      const known = [...new Set(kinds.flatMap((kind) => kind.omissions))];
      const dump = isDefault ? "a dump" : `a dump of ${kinds.map(({ title }) => title).join()}`;
      return unknownNames(names, { path, what: `something that ${dump} can leave out`, known });
    },
    flags: {
      accept: {
        flag: "--accept",
        form: "list",
        metavar: "NAME",
        description: "Something that the dump leaves out and may.",
      },
    },
  }),
  exclude: setting("exclude", {
    schema: texts.optional()
      .describe("Objects to leave out, as the database's own tool names them."),
    flag: {
      flag: "--exclude",
      form: "list",
      metavar: "NAME",
      description: "An object to leave out, as the tool names it.",
    },
  }),
  excludeData: setting("excludeData", {
    schema: texts.optional().describe("Tables or collections to back up without their rows."),
    flag: {
      flag: "--exclude-data",
      form: "list",
      metavar: "NAME",
      description: "A table to back up without its rows.",
    },
  }),
  schemaOnly: setting("schemaOnly", {
    schema: z.boolean().optional().describe("Only definitions, no rows."),
    flag: { flag: "--schema-only", form: "toggle", description: "Only definitions, no rows." },
  }),
  dumpArgs: setting("dumpArgs", {
    schema: texts.optional().describe(
      "More arguments for the dump tool. Every user of the machine can see them.",
    ),
    flag: {
      flag: "--dump-arg",
      form: "list",
      metavar: "ARG",
      description: "One more argument for the dump tool: --dump-arg=-v.",
    },
  }),
  restoreArgs: setting("restoreArgs", {
    schema: texts.optional().describe(
      "More arguments for the restore tool. Every user of the machine can see them.",
    ),
  }),
  volumeSize: key({
    schema: size.refine((text) => (parseSize(text) ?? Infinity) >= smallestVolumeBytes, {
      error: "expected a size of at least 32KiB",
    }).optional().describe(
      'The size at which an artifact is cut into volumes, at least 32KiB. Default "100GiB".',
    ),
    as: "volumeBytes",
    read: (text) => parseSize(text ?? "") ?? defaultVolumeBytes,
    show: formatSize,
    flags: {
      volumeSize: {
        flag: "--volume-size",
        form: "text",
        metavar: "SIZE",
        examples: "512MiB or 100GiB",
        description: 'Where files are cut. Default "100GiB".',
      },
    },
  }),
  strategy: strategyKey,
  drill: drillKey,
  retention: retentionKey,
  timezone: key({
    schema: timezone.optional().describe(
      "The time zone whose days and weeks retention counts. Default: the system's.",
    ),
    as: "timezone",
    read: (name) => name ?? systemTimeZone(),
    show: (name) => name,
  }),
  abandonedAfter: key({
    schema: duration.optional().describe(
      'When what an unfinished run of another machine left may be removed. Default "7d".',
    ),
    as: "abandonedAfterMs",
    read: (text) => parseDuration(text ?? "") ?? defaultAbandonedAfterMs,
    show: formatDuration,
  }),
};

type Keys = typeof jobKeys;
/** The name of a key of a job. */
export type JobKeyName = keyof Keys;
/** The name of a key that only some kinds of database have. */
export type SettingName = {
  [K in JobKeyName]: Keys[K]["as"] extends "settings" ? K : never;
}[JobKeyName];
/** What the model has of every key, but of the settings of kinds. */
export type JobValues = {
  readonly [K in Exclude<JobKeyName, SettingName> as Keys[K]["as"]]: ReturnType<Keys[K]["read"]>;
};
/** The name of a key that `defaults` have, too. */
export type DefaultName = {
  [K in JobKeyName]: Keys[K] extends { readonly isOnlyOfJobs?: false } ? K : never;
}[JobKeyName];
/** The shape of a job as it is written. */
export type JobShape = { [K in JobKeyName]: Keys[K]["schema"] };
