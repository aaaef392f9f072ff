import { z } from "zod";
import { systemTimeZone } from "../catalog/periods.ts";
import type { RetentionPolicy } from "../catalog/retention.ts";
import { textSchema } from "../contracts/connection.ts";
import type { DumpSettings } from "../contracts/connector.ts";
import type { Strategy } from "../contracts/strategy.ts";
import { BackupError } from "../core/errors.ts";
import { defaultRetryMs } from "../core/retry.ts";
import { strategies, type StrategyName, strategyNames } from "../registry.ts";
import {
  type Compression,
  type DatabaseDefinition,
  defaultAbandonedAfterMs,
  defaultStallTimeoutMs,
  defaultVolumeBytes,
  type DestinationDefinition,
  destinationStallMs,
  type DrillSettings,
  type EncryptionSettings,
  type JobRetention,
} from "./definitions.ts";
import { besideConfig } from "./references.ts";
import {
  count,
  databaseName,
  destinationName,
  duration,
  reference,
  size,
  texts,
  timezone,
} from "./schema-parts.ts";
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  smallestVolumeBytes,
} from "./units.ts";

/** What a key's value may depend on besides what is written. */
export interface Reading {
  readonly database: DatabaseDefinition;
  readonly destinations: readonly DestinationDefinition[];
  /** The folder that relative paths start from. */
  readonly base: string;
  /** What is written of the job's other keys. */
  readonly written: { readonly retryTimeout?: string | undefined };
}

/** A flag of `backup` that sets a key, or a part of one, for one run. */
export type JobFlag =
  & { readonly flag: `--${string}`; readonly description: string }
  & (
    /** A text that the key's schema checks; `examples` say how it is written. */
    | { readonly form: "text"; readonly metavar: "TIME" | "SIZE"; readonly examples: string }
    /** May be given several times. */
    | { readonly form: "list"; readonly metavar: "NAME" | "ARG" }
    | { readonly form: "choice"; readonly metavar: "CODEC"; readonly values: readonly string[] }
    | { readonly form: "count"; readonly metavar: "N" }
    | { readonly form: "toggle" }
  );

/** What a flag may add to of the job that it changes; an ad-hoc job has nothing of it yet. */
export interface FlaggedJob {
  readonly compression?: Compression;
}

/** All there is to know about a key of a job: everything else about it is made from this. */
export interface JobKey<
  S extends z.ZodType = z.ZodType,
  As extends string = string,
  V = unknown,
> {
  /** What may be written, with what the key means and its default in `.describe()`. */
  readonly schema: S;
  /** Its name in the model, with its unit. */
  readonly as: As;
  /** The value, with its default filled in. */
  read(written: z.output<S> | undefined, o: Reading): V;
  /** As `config show` prints it; undefined where it does not. */
  show(value: V): unknown;
  /** True for {@link DumpSettings}, which only some kinds of database have. */
  readonly isSetting?: boolean;
  /** Its flags, by the names of their values. */
  readonly flags?: Readonly<Record<string, JobFlag>>;
  /**
   * What its flags write, where that is not the value of the one named like the key.
   *
   * @throws BackupError `usage/bad-value` for flags that do not go together, or with the job
   */
  fromFlags?(values: Readonly<Record<string, unknown>>, job: FlaggedJob): unknown;
}

/** The codecs that a job can name; `none` stores the dump as it is. */
export const codecNames = ["gzip", "zstd"] as const;

/** How artifacts are compressed. */
export const compressionSchema = z.union([
  z.enum([...codecNames, "none"]),
  z.strictObject({ codec: z.enum(codecNames), level: z.number().int().optional() }),
], { error: 'expected "gzip", "zstd", "none" or { codec, level }' });

/** For whom artifacts are encrypted. */
export const encryptionSchema = z.union([
  z.literal("none"),
  z.strictObject({
    recipients: z.array(textSchema).min(1).optional().describe(
      "Public keys, age1… or of SSH; each of their owners can read the backups. ${file:PATH} has one " +
        "a line.",
    ),
    passphrase: reference.optional().describe("Who knows it can read the backups: ${X}."),
  }),
], { error: 'expected "none", { recipients: ["age1…"] } or { passphrase }' });

const retentionRules = {
  last: count.optional().describe("The newest so many."),
  hourly: count.optional().describe("The last of so many hours that have a backup."),
  daily: count.optional().describe("The last of so many days that have a backup."),
  weekly: count.optional().describe("The last of so many weeks that have a backup."),
  monthly: count.optional().describe("The last of so many months that have a backup."),
  yearly: count.optional().describe("The last of so many years that have a backup."),
  maxAge: duration.optional().describe('Older ones are dropped, whatever rule keeps them: "90d".'),
  minKeep: count.optional().describe("So many of the newest are kept, however old they are."),
  minChains: count.optional()
    .describe("Of so many of the newest full backups the newest chain is kept. Default 1."),
};

/** Which backups are kept. */
export const retentionRulesSchema = z.strictObject(retentionRules);
const retention = z.strictObject({
  ...retentionRules,
  destinations: z.record(destinationName, retentionRulesSchema).optional()
    .describe("Destinations with other rules, by name: each replaces all of the rules above."),
});

const sql = z.string().min(1).describe("The first column of its first row is compared.");
const drillAssertion = z.union([
  z.strictObject({ sql, equals: z.union([z.string(), z.number(), z.boolean()]) }),
  z.strictObject({ sql, atLeast: z.number() }),
  z.strictObject({ sql, newerThan: duration.describe('It is a time, at most so long ago: "2h".') }),
  z.strictObject({
    command: z.string().min(1)
      .describe("A line for sh, which must exit 0; $DBBACKUP_DRILL_TARGET is what was restored."),
  }),
], {
  error: "expected { sql, equals }, { sql, atLeast }, { sql, newerThan } or { command }",
});
/** What a restored database must answer. */
export const drillSchema = z.strictObject({
  assert: z.array(drillAssertion).describe("What must hold of the restored database."),
});

const strategyName = z.enum(strategyNames as readonly [StrategyName, ...StrategyName[]]);
/** What each run takes. */
export const strategySchema = z.union([
  strategyName,
  z.strictObject({
    type: strategyName,
    fullEvery: duration.optional()
      .describe('From the start of one full backup to that of the next. Default "7d".'),
  }),
], { error: 'expected "full", "incremental", "differential" or { type, fullEvery }' });

/** Every key of a job, in the order in which users read of them. */
export const jobKeys = {
  database: key({
    schema: databaseName.describe("The name of one of the databases."),
    as: "database",
    read: (_, { database }) => database,
    show: ({ name }) => name,
  }),
  destinations: key({
    schema: z.array(destinationName).min(1).optional().describe(
      "Names of destinations; the database is read once for all of them. Here or in defaults.",
    ),
    as: "destinations",
    read: (_, { destinations }) => destinations,
    show: (destinations) => destinations.map(({ name }) => name),
  }),
  compression: key({
    schema: compressionSchema.optional().describe('How artifacts are compressed. Default "gzip".'),
    as: "compression",
    read: compressionOf,
    show: (compression) => compression.level === undefined ? compression.codec : compression,
    flags: {
      compression: {
        flag: "--compression",
        form: "choice",
        metavar: "CODEC",
        values: [...codecNames, "none"],
        description: "gzip (the default), zstd or none.",
      },
      level: {
        flag: "--compression-level",
        form: "count",
        metavar: "N",
        description: "The codec's level.",
      },
    },
    fromFlags({ compression, level }, job) {
      if (level === undefined) return compression;
      const codec = compression ?? job.compression?.codec ?? "gzip";
      if (codec !== "none") return { codec, level };
      throw new BackupError("usage/bad-value", "--compression-level needs a compression", {
        hint: "The compression is none: name a codec, --compression zstd, or leave the level out.",
      });
    },
  }),
  encryption: key({
    schema: encryptionSchema.optional().describe(
      "For whom artifacts are encrypted. Default nobody.",
    ),
    as: "encryption",
    read: encryptionOf,
    // Shown by what shows every reference.
    show: (encryption) => encryption ?? "none",
  }),
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
  strategy: key({
    schema: strategySchema.optional().describe('What each run takes. Default "full".'),
    as: "strategy",
    read: strategyOf,
    show: ({ id }) => id,
  }),
  drill: key({
    schema: drillSchema.optional()
      .describe("What `verify --drill` asks of the database that it restores."),
    as: "drill",
    read: drillOf,
    show: shownDrill,
  }),
  retention: key({
    schema: retention.optional().describe("Which backups are kept. Default: all of them."),
    as: "retention",
    read: retentionOf,
    show: shownRetention,
  }),
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
/** The shape of a job as it is written. */
export type JobShape = { [K in JobKeyName]: Keys[K]["schema"] };

/** Only for its types. */
function key<S extends z.ZodType, const As extends string, V>(
  entry: JobKey<S, As, V>,
): JobKey<S, As, V> {
  return entry;
}

/** A key that some kinds of database have: it goes to the dump as it is written. */
function setting<const N extends keyof DumpSettings, S extends z.ZodType<DumpSettings[N]>>(
  name: N,
  { schema, flag }: { readonly schema: S; readonly flag?: JobFlag },
): JobKey<S, "settings", z.output<S> | undefined> {
  return {
    schema,
    as: "settings",
    isSetting: true,
    read: (written, { database }) => database.kind.settings.includes(name) ? written : undefined,
    show: (value) => value,
    ...(flag === undefined ? {} : { flags: { [name]: flag } }),
  };
}

function drillOf(written: z.output<typeof drillSchema> | undefined): DrillSettings | undefined {
  return written && {
    assert: written.assert.map((one) =>
      "newerThan" in one ? { sql: one.sql, newerThanMs: parseDuration(one.newerThan)! } : one
    ),
  };
}

function shownDrill(drill: DrillSettings | undefined): unknown {
  return drill && {
    assert: drill.assert.map((one) =>
      "newerThanMs" in one ? { sql: one.sql, newerThan: formatDuration(one.newerThanMs) } : one
    ),
  };
}

/** The compression of a job; gzip where it says nothing, since every machine can read it. */
function compressionOf(written: z.output<typeof compressionSchema> | undefined): Compression {
  if (written === undefined) return { codec: "gzip" };
  if (typeof written === "string") return { codec: written };
  const { codec, level } = written;
  return level === undefined ? { codec } : { codec, level };
}

/** The encryption of a job, which is checked already. */
function encryptionOf(
  written: z.output<typeof encryptionSchema> | undefined,
  { base }: Reading,
): EncryptionSettings | undefined {
  if (written === undefined || written === "none") return undefined;
  const { recipients = [], passphrase } = written;
  if (passphrase !== undefined) return { passphrase: besideConfig(passphrase, base) };
  return {
    recipients: recipients.map((one) => typeof one === "string" ? one : besideConfig(one, base)),
  };
}

/** The strategy of a job; full backups where it says nothing. */
export function strategyOf(written: z.output<typeof strategySchema> | undefined): Strategy {
  const { type = "full", fullEvery } = typeof written === "string"
    ? { type: written }
    : written ?? {};
  const fullEveryMs = parseDuration(fullEvery ?? "");
  return strategies[type](fullEveryMs === undefined ? {} : { fullEveryMs });
}

function retentionOf(written: z.output<typeof retention> | undefined): JobRetention | undefined {
  if (written === undefined) return undefined;
  const { destinations = {}, ...rules } = written;
  return {
    policy: policyOf(rules),
    destinations: new Map(
      Object.entries(destinations).map(([name, own]) => [name, policyOf(own)]),
    ),
  };
}

/** Rules with their durations read. */
function policyOf({ maxAge, ...counts }: z.output<typeof retentionRulesSchema>): RetentionPolicy {
  return maxAge === undefined ? counts : { ...counts, maxAgeMs: parseDuration(maxAge) };
}

function shownRetention(retention: JobRetention | undefined): unknown {
  if (retention === undefined) return undefined;
  const { policy, destinations } = retention;
  if (destinations.size === 0) return shownRules(policy);
  const own = [...destinations].map(([name, one]) => [name, shownRules(one)]);
  return { ...shownRules(policy), destinations: Object.fromEntries(own) };
}

function shownRules({ maxAgeMs, ...counts }: RetentionPolicy): Record<string, unknown> {
  return maxAgeMs === undefined ? counts : { ...counts, maxAge: formatDuration(maxAgeMs) };
}
