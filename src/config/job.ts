import { z } from "zod";
import type { DumpSettings } from "../contracts/source.ts";
import type { Checking, FlaggedJob, JobFlag, JobKey, Reading } from "./job-key.ts";
import {
  type DefaultName,
  type JobKeyName,
  jobKeys,
  type JobShape,
  type JobValues,
  type SettingName,
} from "./job-keys.ts";
import { destinationStallMs, type JobDefinition } from "./model.ts";
import type { ConfigPath, Problem } from "./problems.ts";

/** What a flag sets, or a config: some of a job's values. */
export type JobChanges = Partial<JobValues> & { readonly settings?: DumpSettings };

// What is made of all keys alike has the type that `job-keys.ts` says: these are the only casts.
const entries = Object.entries(jobKeys) as unknown as readonly (readonly [JobKeyName, JobKey])[];
const shape = Object.fromEntries(entries.map(([name, { schema }]) => [name, schema])) as JobShape;

/** A job as it is written. Durations and sizes are still texts: {@link parseDuration}. */
export const jobSchema = z.strictObject(shape);
/** See {@link jobSchema}. */
export type ParsedJob = z.output<typeof jobSchema>;

/** `defaults`: the keys of a job that make sense for several. */
export const defaultsSchema = z.strictObject(
  Object.fromEntries(
    entries.filter(([, { isOnlyOfJobs }]) => isOnlyOfJobs !== true)
      .map(([name, { schema }]) => [name, schema]),
  ) as Pick<JobShape, DefaultName>,
).partial();

/** The settings of a dump that only some kinds of database have. */
export const kindSettings = entries.filter(([, { isSetting }]) => isSetting)
  .map(([name]) => name as SettingName);

/**
 * The problems of what a job, or `defaults`, say: each key with others, and with what is declared.
 *
 * @param written by the job, or in `defaults`
 * @param o.path of the job, or of `defaults`
 * @param o.job with its defaults; absent for `defaults` themselves
 * @param o.only some keys; default all
 */
export function checkKeys(
  written: Partial<ParsedJob>,
  { path, job, only, ...o }: Omit<Checking, "path" | "isDefault"> & {
    readonly path: ConfigPath;
    readonly job?: Partial<ParsedJob>;
    readonly only?: readonly JobKeyName[];
  },
): Problem[] {
  // What is named comes first, then what the kind of database does not have at all.
  const rank = ([name, { isSetting }]: (typeof entries)[number]) =>
    name === "database" || name === "destinations" ? 0 : isSetting === true ? 1 : 2;
  const ordered = [...entries].sort((a, b) => rank(a) - rank(b));
  const checked = ordered.filter(([name]) => only === undefined || only.includes(name));
  return checked.flatMap(([name, { check, isCheckedInEachJob }]) => {
    const isOfJob = job !== undefined && isCheckedInEachJob === true;
    const value = isOfJob ? job[name] : written[name];
    if (check === undefined || (value === undefined && !isOfJob)) return [];
    return check(value, { ...o, path: [...path, name], isDefault: job === undefined });
  });
}

/** A job of what is written, with the defaults filled in. */
export function readJob(name: string, written: Partial<ParsedJob>, o: Omit<Reading, "written">) {
  return { name, settings: {}, ...readKeys(entries, written, o) } as JobDefinition;
}

/** The values of the keys that are written, and of no other. */
export function readChanges(
  written: Partial<ParsedJob>,
  o: Omit<Reading, "written">,
): JobChanges {
  return readKeys(entries.filter(([name]) => written[name] !== undefined), written, o);
}

function readKeys(
  keys: typeof entries,
  written: Partial<ParsedJob>,
  o: Omit<Reading, "written">,
): JobChanges {
  const values: Record<string, unknown> = {};
  const settings: Record<string, unknown> = {};
  for (const [name, key] of keys) {
    const value = key.read(written[name], { ...o, written });
    if (key.isSetting !== true) values[key.as] = value;
    else if (value !== undefined) settings[name] = value;
  }
  return Object.keys(settings).length === 0 ? values : { ...values, settings };
}

/** A job with other values for one run; settings that are not given stay. */
export function changedJob(job: JobDefinition, { settings, ...values }: JobChanges): JobDefinition {
  const { retryTimeoutMs } = values;
  const changed = { ...job, ...values, settings: { ...job.settings, ...settings } };
  if (retryTimeoutMs === undefined) return changed;
  const stallMs = destinationStallMs(undefined, retryTimeoutMs);
  const destinationStallTimeoutMs = Math.max(changed.destinationStallTimeoutMs, stallMs);
  return { ...changed, destinationStallTimeoutMs };
}

/** A job as `config show` prints it: by its keys, references not yet written out. */
export function shownJob(job: JobDefinition): Record<string, unknown> {
  return Object.fromEntries(entries.map(([name, key]) => {
    const from: object = key.isSetting === true ? job.settings : job;
    return [name, key.show(Reflect.get(from, key.isSetting === true ? name : key.as))];
  }));
}

/** Every flag that sets a key of a job, by the name of its value. */
export function jobFlags(): [name: string, flag: JobFlag][] {
  return entries.flatMap(([, { flags }]) => Object.entries(flags ?? {}));
}

/** The flag that sets a key; undefined for keys without one. */
export function flagOf(name: JobKeyName): string | undefined {
  const flags: JobKey["flags"] = jobKeys[name].flags;
  return flags?.[name]?.flag;
}

/**
 * What flags write of a job, as a config would.
 *
 * @param onWrong is called for a value that the key does not take
 * @throws BackupError `usage/bad-value` for flags that do not go together, or with the job
 */
export function writtenByFlags(
  values: Readonly<Record<string, unknown>>,
  job: FlaggedJob,
  onWrong: (flag: JobFlag, value: unknown) => never,
): Partial<ParsedJob> {
  return Object.fromEntries(entries.flatMap(([name, { schema, flags, fromFlags }]) => {
    if (flags === undefined) return [];
    const given = fromFlags === undefined ? values[name] : fromFlags(values, job);
    const isGiven = given !== undefined && given !== false &&
      !(Array.isArray(given) && given.length === 0);
    if (!isGiven) return [];
    const result = schema.safeParse(given);
    if (!result.success) onWrong(flags[name]!, given);
    return [[name, result.data]];
  }));
}
