import { z } from "zod";
import { Secret } from "../core/secret.ts";
import { type StrategyName, strategyNames } from "../registry.ts";
import { isTimeZone, timeZones } from "../catalog/periods.ts";
import { DatabaseDeclaration, DestinationDeclaration } from "./declare.ts";
import {
  durationExamples,
  durationPattern,
  parseDuration,
  parseSize,
  sizePattern,
  smallestVolumeBytes,
} from "./units.ts";

/** The codecs that a job can name; `none` stores the dump as it is. */
export const codecNames = ["gzip", "zstd"] as const;

const durationError = ({ input }: { readonly input?: unknown }) =>
  `expected a duration such as ${durationExamples(input)}`;
const duration = z.string({ error: durationError }).regex(durationPattern, {
  error: durationError,
  abort: true,
})
  .refine((text) => parseDuration(text) !== undefined, { error: durationError });

const sizeError = 'expected a size such as "512MiB" or "100GiB"';
const size = z.string({ error: sizeError }).regex(sizePattern, { error: sizeError, abort: true })
  .refine((text) => parseSize(text) !== undefined, sizeError);

const compression = z.union([
  z.enum([...codecNames, "none"]),
  z.strictObject({ codec: z.enum(codecNames), level: z.number().int().optional() }),
], { error: 'expected "gzip", "zstd", "none" or { codec, level }' });

// A key written into a config would go wherever the config goes, so only a reference will do.
const reference = z.instanceof(Secret, {
  error: "expected a reference: env(…) or file(…), in YAML ${X} or ${file:…}",
}).meta({ type: "string", pattern: "\\$\\{.+\\}" });

const encryption = z.union([
  z.literal("none"),
  z.strictObject({
    recipients: z.array(z.string().min(1).meta({ pattern: "^age1[a-z0-9]{58}$" })).min(1).optional()
      .describe("Public keys, age1…; each of their owners can read the backups."),
    passphrase: reference.optional().describe("Who knows it can read the backups: ${X}."),
  }),
], { error: 'expected "none", { recipients: ["age1…"] } or { passphrase }' });

const texts = z.array(z.string().min(1));

const count = z.number().int().nonnegative();

const retentionRules = {
  last: count.optional().describe("The newest so many."),
  hourly: count.optional().describe("The last of so many hours that have a backup."),
  daily: count.optional().describe("The last of so many days that have a backup."),
  weekly: count.optional().describe("The last of so many weeks that have a backup."),
  monthly: count.optional().describe("The last of so many months that have a backup."),
  yearly: count.optional().describe("The last of so many years that have a backup."),
  maxAge: duration.optional().describe('Older ones are dropped, whatever rule keeps them: "90d".'),
  minKeep: count.optional().describe("So many of the newest are kept, however old they are."),
};

const retentionPolicy = z.strictObject(retentionRules);
/** See {@link retentionRules}. */
export type ParsedRetentionPolicy = z.infer<typeof retentionPolicy>;

const retention = z.strictObject({
  ...retentionRules,
  destinations: z.record(z.string(), retentionPolicy).optional()
    .describe("Destinations with other rules, by name: each replaces all of the rules above."),
});

const strategyName = z.enum(strategyNames as readonly [StrategyName, ...StrategyName[]]);
const strategy = z.union([
  strategyName,
  z.strictObject({
    type: strategyName,
    fullEvery: duration.optional()
      .describe('From the start of one full backup to that of the next. Default "7d".'),
  }),
], { error: 'expected "full", "incremental", "differential" or { type, fullEvery }' });

const timezoneError = 'expected the name of a time zone such as "Europe/Berlin" or "UTC"';

/** A job as it is written. Durations and sizes are still texts: {@link parseDuration}. */
export const jobSchema = z.strictObject({
  database: z.string().describe("The name of one of the databases."),
  destinations: z.array(z.string()).min(1).optional()
    .describe(
      "Names of destinations; the database is read once for all of them. Here or in defaults.",
    ),
  compression: compression.optional().describe('How artifacts are compressed. Default "gzip".'),
  encryption: encryption.optional().describe("For whom artifacts are encrypted. Default nobody."),
  timeout: duration.optional().describe('The longest a run may take: "2h". Default none.'),
  stallTimeout: duration.optional()
    .describe('The longest silence of the dump tool. Default "10m".'),
  destinationStallTimeout: duration.optional()
    .describe('How long a destination may take no byte before it is dropped. Default "10m".'),
  retryTimeout: duration.optional()
    .describe('How long a destination that does not answer is tried again. Default "5m".'),
  accept: texts.optional().describe("Names of what a dump leaves out and may."),
  exclude: texts.optional().describe(
    "Objects to leave out, as the database's own tool names them.",
  ),
  excludeData: texts.optional().describe("Tables or collections to back up without their rows."),
  schemaOnly: z.boolean().optional().describe("Only definitions, no rows."),
  dumpArgs: texts.optional().describe("More arguments for the dump tool."),
  restoreArgs: texts.optional().describe("More arguments for the restore tool."),
  volumeSize: size.refine((text) => (parseSize(text) ?? Infinity) >= smallestVolumeBytes, {
    error: "expected a size of at least 32KiB",
  }).optional()
    .describe(
      'The size at which an artifact is cut into volumes, at least 32KiB. Default "100GiB".',
    ),
  strategy: strategy.optional().describe('What each run takes. Default "full".'),
  retention: retention.optional().describe("Which backups are kept. Default: all of them."),
  timezone: z.string({ error: timezoneError }).refine(isTimeZone, {
    error: timezoneError,
    params: { known: timeZones },
  }).optional()
    .describe("The time zone whose days and weeks retention counts. Default: the system's."),
  abandonedAfter: duration.optional().describe(
    'When what an unfinished run of another machine left may be removed. Default "7d".',
  ),
});
/** See {@link jobSchema}. */
export type ParsedJob = z.infer<typeof jobSchema>;

/** `defaults`: any field of a job. */
export const defaultsSchema = jobSchema.partial();

/** `log`. */
export const logSchema = z.strictObject({
  level: z.enum(["debug", "info", "warning", "error"]).optional().describe('Default "info".'),
  format: z.enum(["text", "json"]).optional().describe('Default "text".'),
  file: z.union([
    z.string().min(1),
    z.strictObject({
      path: z.string().min(1),
      maxSize: size.optional().describe('Default "10MiB".'),
      keep: z.number().int().min(1).optional().describe("How many files are kept. Default 5."),
    }),
  ], { error: "expected a path or { path, maxSize, keep }" }).optional()
    .describe("A file that is rotated. Default standard error."),
});

const database = z.instanceof(DatabaseDeclaration, { error: "expected a database" });
const destination = z.instanceof(DestinationDeclaration, { error: "expected a destination" });

/** A whole config, from TypeScript or YAML; what YAML keeps for its anchors is not in it any more. */
export const configSchema = z.strictObject({
  databases: z.record(z.string().min(1), database),
  destinations: z.record(z.string().min(1), destination),
  jobs: z.record(z.string().min(1), jobSchema),
  defaults: defaultsSchema.optional().describe("Any field of a job, for jobs that do not set it."),
  identities: z.array(reference).optional()
    .describe("Contents of age identity files, to read encrypted backups with: ${file:PATH}."),
  stateDir: z.string().min(1).optional().describe("Locks and the record of runs."),
  tempDir: z.string().min(1).optional().describe("Temporary files."),
  log: logSchema.optional(),
});
/** See {@link configSchema}. */
export type ParsedConfig = z.infer<typeof configSchema>;
