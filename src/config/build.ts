import { resolve } from "node:path";
import { isRecipient, isSecretLooking, recipientForm, whyNoRecipient } from "../codecs/age-keys.ts";
import { findCodec } from "../codecs/mod.ts";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import { hasCode } from "../core/errors.ts";
import type { DatabaseDeclaration, DestinationDeclaration } from "../contracts/declare.ts";
import { kindSettings, type ParsedJob, readJob } from "./job.ts";
import { strategyOf } from "./job-keys.ts";
import type {
  Config,
  DatabaseDefinition,
  DestinationDefinition,
  JobDefinition,
  LogSettings,
} from "./model.ts";
import {
  type ConfigPath,
  describeFound,
  type Problem,
  problemsOf,
  unknownName,
} from "./problems.ts";
import { besideConfig, isPlainObject, withFilesIn } from "./references.ts";
import { configSchema, type ParsedConfig } from "./schema.ts";
import { parseRate, parseSize } from "./units.ts";

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
    const known = { databases, destinations, base: o.base };
    const built = buildJob(name, job, written, known, problems);
    if (built !== undefined) jobs.set(name, built);
  }
  checkDefaults(parsed, databases, destinations, problems);
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

function buildJob(
  name: string,
  job: ParsedJob,
  written: ParsedJob,
  known: {
    databases: ReadonlyMap<string, DatabaseDefinition>;
    destinations: ReadonlyMap<string, DestinationDefinition>;
    base: string;
  },
  problems: Problem[],
): JobDefinition | undefined {
  const path = ["jobs", name];
  const database = known.databases.get(job.database);
  if (database === undefined) {
    const names = [...known.databases.keys()];
    problems.push(unknownName([...path, "database"], job.database, "a declared database", names));
  }
  const destinations = findDestinations(job, path, known.destinations, problems);
  if (database === undefined || destinations === undefined) return undefined;
  checkKindSettings(written, path, database.kind, problems);
  checkLevel(job, [...path, "compression", "level"], problems);
  checkEncryption(written.encryption, [...path, "encryption"], problems);
  checkRetention(written, path, destinations, problems);
  checkStrategy(job, path, database.kind, problems);
  return readJob(name, job, { database, destinations, base: known.base });
}

/** Every kind of backup that a strategy takes is one that the kind of database has. */
function checkStrategy(
  job: ParsedJob,
  path: ConfigPath,
  { title, kinds = ["full"] }: ConnectorKind,
  problems: Problem[],
): void {
  const strategy = strategyOf(job.strategy);
  const lacking = strategy.kinds.find((kind) => !kinds.includes(kind));
  if (lacking !== undefined) {
    problems.push({
      path: [...path, "strategy"],
      found: `"${strategy.id}", and ${title} has no ${lacking} backups here`,
      expected: `a strategy of ${kinds.join(" and ")} backups`,
    });
  }
  const options = typeof job.strategy === "object" ? job.strategy : undefined;
  if (options?.type !== "full" || options.fullEvery === undefined) return;
  problems.push({
    path: [...path, "strategy", "fullEvery"],
    found: "a time between full backups",
    expected: 'none, as every backup of "full" is one',
  });
}

/** A destination with rules of its own must be one of the job's. */
function checkRetention(
  { retention }: ParsedJob,
  path: ConfigPath,
  destinations: readonly DestinationDefinition[],
  problems: Problem[],
): void {
  const names = destinations.map(({ name }) => name);
  for (const name of Object.keys(retention?.destinations ?? {})) {
    if (names.includes(name)) continue;
    const here = [...path, "retention", "destinations", name];
    problems.push(unknownName(here, name, "a destination of this job", names));
  }
}

function findDestinations(
  job: ParsedJob,
  path: ConfigPath,
  known: ReadonlyMap<string, DestinationDefinition>,
  problems: Problem[],
): DestinationDefinition[] | undefined {
  const before = problems.length;
  const names = job.destinations ?? [];
  if (job.destinations === undefined) {
    problems.push({
      path: [...path, "destinations"],
      found: "nothing",
      expected: "a list of destinations, here or in defaults",
    });
  }
  const found = names.flatMap((name, index) => {
    const here = [...path, "destinations", index];
    const destination = known.get(name);
    if (destination === undefined) {
      problems.push(unknownName(here, name, "a declared destination", [...known.keys()]));
      return [];
    }
    if (names.indexOf(name) !== index) {
      problems.push({ path: here, found: `"${name}" a second time`, expected: "each name once" });
    }
    return [destination];
  });
  return problems.length === before ? found : undefined;
}

/** What a job itself sets must be something that its kind of database has. */
function checkKindSettings(
  written: ParsedJob,
  path: ConfigPath,
  kind: ConnectorKind,
  problems: Problem[],
): void {
  for (const setting of kindSettings) {
    if (written[setting] === undefined || kind.settings.includes(setting)) continue;
    problems.push({
      path: [...path, setting],
      found: `a setting that ${kind.title} does not have`,
      expected: kind.settings.length === 0
        ? "none of these settings"
        : `one of ${kind.settings.join(", ")}`,
    });
  }
  for (const [index, name] of (written.accept ?? []).entries()) {
    if (kind.omissions.includes(name)) continue;
    const what = `something that a dump of ${kind.title} can leave out`;
    problems.push(unknownName([...path, "accept", index], name, what, kind.omissions));
  }
}

/** Each codec knows its own levels. */
function checkLevel({ compression }: ParsedJob, path: ConfigPath, problems: Problem[]): void {
  if (typeof compression !== "object" || compression.level === undefined) return;
  const { codec, level } = compression;
  try {
    findCodec(codec).open({ level });
  } catch (error) {
    if (!hasCode(error, "config/compression-level")) throw error;
    const expected = (error.hint ?? "").replace(/^Use /, "").replace(/\.$/, "");
    problems.push({ path, found: `the number ${level}`, expected });
  }
}

/** Each recipient must be one, and there is one way to decrypt, not two. */
function checkEncryption(
  encryption: ParsedJob["encryption"],
  path: ConfigPath,
  problems: Problem[],
): void {
  if (encryption === undefined || encryption === "none") return;
  const { recipients, passphrase } = encryption;
  if ((recipients === undefined) === (passphrase === undefined)) {
    const found = recipients === undefined ? "an empty object" : "both recipients and passphrase";
    problems.push({ path, found, expected: "either recipients or passphrase" });
  }
  for (const [index, text] of (recipients ?? []).entries()) {
    // What a reference leads to is looked at when it is followed.
    if (typeof text !== "string" || isRecipient(text)) continue;
    const why = whyNoRecipient(text);
    problems.push({
      path: [...path, "recipients", index],
      found: isSecretLooking(text) ? "a secret identity" : JSON.stringify(text),
      expected: why === undefined ? recipientForm : `${recipientForm}. ${why}`,
    });
  }
}

/** Defaults serve jobs of several kinds: each must make sense for at least one of them. */
function checkDefaults(
  { defaults, databases: declared }: ParsedConfig,
  databases: ReadonlyMap<string, DatabaseDefinition>,
  destinations: ReadonlyMap<string, DestinationDefinition>,
  problems: Problem[],
): void {
  if (defaults === undefined) return;
  checkEncryption(defaults.encryption, ["defaults", "encryption"], problems);
  const kinds = Object.values(declared).map(({ kind }) => kind);
  if (defaults.database !== undefined && !databases.has(defaults.database)) {
    const names = [...databases.keys()];
    const path = ["defaults", "database"];
    problems.push(unknownName(path, defaults.database, "a declared database", names));
  }
  for (const [index, name] of (defaults.destinations ?? []).entries()) {
    if (destinations.has(name)) continue;
    const path = ["defaults", "destinations", index];
    problems.push(unknownName(path, name, "a declared destination", [...destinations.keys()]));
  }
  for (const name of Object.keys(defaults.retention?.destinations ?? {})) {
    if (destinations.has(name)) continue;
    const path = ["defaults", "retention", "destinations", name];
    problems.push(unknownName(path, name, "a declared destination", [...destinations.keys()]));
  }
  const omissions = [...new Set(kinds.flatMap((kind) => kind.omissions))];
  for (const [index, name] of (defaults.accept ?? []).entries()) {
    if (omissions.includes(name)) continue;
    const path = ["defaults", "accept", index];
    problems.push(unknownName(path, name, "something that a dump can leave out", omissions));
  }
  for (const setting of kindSettings) {
    if (defaults[setting] === undefined) continue;
    if (kinds.some((kind) => kind.settings.includes(setting))) continue;
    problems.push({
      path: ["defaults", setting],
      found: "a setting that no declared database has",
      expected: "no such setting",
    });
  }
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
  return Object.entries(jobs).flatMap(([name, job]) => {
    if (!isObject(job)) return [];
    const problems: Problem[] = [];
    const database: unknown = Reflect.get(job, "database");
    if (databases !== undefined && typeof database === "string" && !databases.includes(database)) {
      const path = ["jobs", name, "database"];
      problems.push(unknownName(path, database, "a declared database", databases));
    }
    const named: unknown = Reflect.get(job, "destinations");
    if (destinations === undefined || !Array.isArray(named)) return problems;
    for (const [index, one] of named.entries()) {
      if (typeof one !== "string" || destinations.includes(one)) continue;
      const path = ["jobs", name, "destinations", index];
      problems.push(unknownName(path, one, "a declared destination", destinations));
    }
    return problems;
  });
}

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
