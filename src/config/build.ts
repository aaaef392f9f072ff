import { resolve } from "node:path";
import { z } from "zod";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import type { DatabaseDeclaration, DestinationDeclaration } from "../contracts/declare.ts";
import { checkKeys, jobSchema, type ParsedJob, readJob } from "./job.ts";
import type {
  Config,
  DatabaseDefinition,
  DestinationDefinition,
  JobDefinition,
  LogSettings,
} from "./model.ts";
import { type ConfigPath, describeFound, type Problem, problemsOf } from "./problems.ts";
import { besideConfig, isPlainObject, withFilesIn } from "./references.ts";
import { configSchema, type ParsedConfig } from "./schema.ts";
import { parseRate, parseSize } from "../core/units.ts";

/** What a config is built on. */
export interface BuildOptions {
  /** The config's path; undefined for one that came from no file. */
  readonly path: string | undefined;
  /** The folder that relative paths start from. */
  readonly base: string;
  /** Where state goes when the config does not say. */
  readonly stateDir: string;
  /** Where temporary files go when the config does not say. */
  readonly tempDir: string;
}

/**
 * Checks what a config exports, looks up its names and fills in its defaults. Every problem is
 * reported, not only the first; a config comes back only where there is none.
 */
export function buildConfig(
  value: unknown,
  o: BuildOptions,
): { config: Config | undefined; problems: Problem[] } {
  const result = configSchema.safeParse(value);
  if (!result.success) {
    // What can be checked all the same is: one run shows as much as possible.
    const problems = problemsOf(result.error, configSchema, value, [], false)
      .map((problem) => wordDeclarations(problem));
    problems.push(...optionProblems(value), ...nameProblems(value));
    return { config: undefined, problems };
  }
  const problems: Problem[] = [];
  const config = assemble(result.data, o, problems);
  return { config: problems.length === 0 ? config : undefined, problems };
}

function assemble(parsed: ParsedConfig, o: BuildOptions, problems: Problem[]): Config {
  const databases = new Map<string, DatabaseDefinition>();
  for (const [name, declaration] of Object.entries(parsed.databases)) {
    const options = checkOptions(declaration, ["databases", name], o.base, problems);
    databases.set(name, { name, kind: declaration.kind, ...options });
  }
  const destinations = new Map<string, DestinationDefinition>();
  for (const [name, declaration] of Object.entries(parsed.destinations)) {
    const options = checkOptions(declaration, ["destinations", name], o.base, problems);
    const limit = uploadLimitOf(declaration.options, ["destinations", name], problems);
    destinations.set(name, {
      name,
      kind: declaration.kind,
      options: options.options,
      ...limit === undefined ? {} : { uploadBytesPerSecond: limit },
    });
  }
  const jobs = new Map<string, JobDefinition>();
  for (const [name, written] of Object.entries(parsed.jobs)) {
    const job = { ...parsed.defaults, ...written };
    const known = { databases, destinations };
    const built = buildJob(name, { job, written, known, base: o.base }, problems);
    if (built !== undefined) jobs.set(name, built);
  }
  problems.push(...defaultProblems(parsed, { databases, destinations }));
  return {
    path: o.path,
    databases,
    destinations,
    jobs,
    identities: (parsed.identities ?? []).map((one) => besideConfig(one, o.base)),
    stateDir: parsed.stateDir === undefined ? o.stateDir : resolve(o.base, parsed.stateDir),
    tempDir: parsed.tempDir === undefined ? o.tempDir : resolve(o.base, parsed.tempDir),
    log: logSettings(parsed.log, o.base),
  };
}

/** The kind's own check of its options, with paths put beside the config, and as they were written. */
function checkOptions(
  declaration: DatabaseDeclaration | DestinationDeclaration,
  path: ConfigPath,
  base: string,
  problems: Problem[],
): { options: unknown; written: unknown } {
  const { options: schema, paths } = declaration.kind;
  const own = declaration.declares === "destination"
    ? withoutUploadLimit(declaration.options)
    : declaration.options;
  const result = schema.safeParse(own);
  if (!result.success) {
    problems.push(...problemsOf(result.error, schema, own, path, true));
    return { options: own, written: own };
  }
  const written = withFilesIn(base, result.data);
  const options = (paths ?? []).reduce<unknown>(
    (options, name) => withPath(options, name.split("."), base),
    written,
  );
  return { options, written };
}

/** The options that the kind itself knows. */
function withoutUploadLimit(options: unknown): unknown {
  if (!isPlainObject(options)) return options;
  const { uploadLimit: _, ...own } = options;
  return own;
}

function uploadLimitOf(
  options: unknown,
  path: ConfigPath,
  problems: Problem[],
): number | undefined {
  const limit = isPlainObject(options) ? options["uploadLimit"] : undefined;
  if (limit === undefined) return undefined;
  const bytes = typeof limit === "string" ? parseRate(limit) : undefined;
  if (bytes === undefined) {
    problems.push({
      path: [...path, "uploadLimit"],
      found: typeof limit === "string" ? `"${limit}"` : describeFound(limit, false),
      expected: 'a rate such as "512KiB/s" or "20MiB/s"',
    });
  }
  return bytes;
}

/** Resolves the path at `keys`; a reference in its place is left to say an absolute path itself. */
function withPath(options: unknown, keys: readonly string[], base: string): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return typeof options === "string" ? resolve(base, options) : options;
  if (typeof options !== "object" || options === null) return options;
  const value: unknown = Reflect.get(options, key);
  return value === undefined ? options : { ...options, [key]: withPath(value, rest, base) };
}

/** What is declared, by name. */
interface Declared {
  readonly databases: ReadonlyMap<string, DatabaseDefinition>;
  readonly destinations: ReadonlyMap<string, DestinationDefinition>;
}

function namesOf({ databases, destinations }: Declared) {
  return { databases: [...databases.keys()], destinations: [...destinations.keys()] };
}

/** Defaults serve jobs of several kinds: each must make sense for at least one of them. */
function defaultProblems({ defaults, databases }: ParsedConfig, known: Declared): Problem[] {
  if (defaults === undefined) return [];
  const declared = namesOf(known);
  return checkKeys(defaults, {
    path: ["defaults"],
    kinds: Object.values(databases).map(({ kind }) => kind),
    destinations: declared.destinations,
    declared,
  });
}

function buildJob(
  name: string,
  { job, written, known, base }: {
    readonly job: ParsedJob;
    readonly written: ParsedJob;
    readonly known: Declared;
    readonly base: string;
  },
  problems: Problem[],
): JobDefinition | undefined {
  const database = known.databases.get(job.database);
  const names = job.destinations ?? [];
  const destinations = names.flatMap((one) => known.destinations.get(one) ?? []);
  const isFound = database !== undefined && names.length > 0 &&
    destinations.length === names.length;
  problems.push(...checkKeys(written, {
    path: ["jobs", name],
    job,
    kinds: database === undefined ? [] : [database.kind],
    destinations: names,
    declared: namesOf(known),
    // Of a job without a database nobody can tell what else is right.
    ...isFound ? {} : { only: ["database", "destinations"] },
  }));
  return isFound ? readJob(name, job, { database, destinations, base }) : undefined;
}

function logSettings(log: ParsedConfig["log"], base: string): LogSettings {
  const written = typeof log?.file === "string" ? { path: log.file } : log?.file;
  const file = written === undefined ? undefined : {
    path: resolve(base, written.path),
    maxBytes: parseSize(written.maxSize ?? "") ?? 10 * 1024 ** 2,
    keep: written.keep ?? 5,
  };
  const level = log?.level === undefined ? {} : { level: log.level };
  const common = { ...level, format: log?.format ?? "text" } as const;
  return file === undefined ? common : { ...common, file };
}

/** Says what to write in the place of a wrong database or destination. */
function wordDeclarations(problem: Problem): Problem {
  const { expected } = problem;
  if (expected === "a database") {
    return { ...problem, expected: "a database, such as postgres({ … })" };
  }
  if (expected === "a destination") {
    return { ...problem, expected: "a destination, such as local({ … })" };
  }
  return problem;
}

/** The problems inside the declarations of a config that is wrong elsewhere. */
function optionProblems(value: unknown): Problem[] {
  const sections: readonly ["databases" | "destinations", "database" | "destination"][] = [
    ["databases", "database"],
    ["destinations", "destination"],
  ];
  return sections.flatMap(([section, role]) => {
    const entries: unknown = isObject(value) ? Reflect.get(value, section) : undefined;
    if (!isObject(entries)) return [];
    return Object.entries(entries).flatMap(([name, entry]) => {
      const problems: Problem[] = [];
      if (isDeclaration(entry, role)) checkOptions(entry, [section, name], ".", problems);
      return problems;
    });
  });
}

/** The unknown names in the jobs of a config that is wrong elsewhere. */
function nameProblems(value: unknown): Problem[] {
  const databases = keysOf(value, "databases");
  const destinations = keysOf(value, "destinations");
  const jobs: unknown = isObject(value) ? Reflect.get(value, "jobs") : undefined;
  if (!isObject(jobs)) return [];
  const only = [
    ...databases === undefined ? [] : ["database" as const],
    ...destinations === undefined ? [] : ["destinations" as const],
  ];
  const declared = { databases: databases ?? [], destinations: destinations ?? [] };
  return Object.entries(jobs).flatMap(([name, job]) => {
    const written = namesSchema.safeParse(job).data ?? {};
    const path = ["jobs", name];
    return checkKeys(written, { path, kinds: [], destinations: [], declared, only });
  });
}

// A name that is no text is told of already.
const namesSchema = z.object({
  database: jobSchema.shape.database.optional().catch(undefined),
  destinations: jobSchema.shape.destinations.catch(undefined),
});

function keysOf(value: unknown, section: string): string[] | undefined {
  const entries: unknown = isObject(value) ? Reflect.get(value, section) : undefined;
  return isObject(entries) ? Object.keys(entries) : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isDeclaration(
  value: unknown,
  role: string,
): value is DatabaseDeclaration | DestinationDeclaration {
  return isObject(value) && Reflect.get(value, "declares") === role;
}

/** The kinds that a config brings along, built in or not. */
export function kindsOf(
  config: Config,
): { connectors: ConnectorKind[]; storages: StorageKind[] } {
  return {
    connectors: [...config.databases.values()].map(({ kind }) => kind),
    storages: [...config.destinations.values()].map(({ kind }) => kind),
  };
}
