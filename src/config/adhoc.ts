import { resolve } from "node:path";
import type { ConnectorKind } from "../contracts/connector.ts";
import { safeUrl } from "../core/url.ts";
import type { StorageKind } from "../contracts/storage.ts";
import { BackupError } from "../core/errors.ts";
import type { Environment } from "../core/runtime.ts";
import { command, env, file, type Secret, type Secrets } from "../core/secret.ts";
import { nearest } from "../core/text.ts";
import { kindOfUrl, schemeOf } from "../registry.ts";
import {
  changedJob,
  flagOf,
  type JobChanges,
  kindSettings,
  type ParsedJob,
  readJob,
} from "./job.ts";
import type { DatabaseDefinition, DestinationDefinition, JobDefinition } from "./model.ts";

/** A URL of the command line, looked up. */
export interface GivenUrl {
  readonly url: string;
  /** True when it stood on the command line with a password, where other users can see it. */
  readonly isExposed: boolean;
}

/**
 * Takes a `--from` or `--to`: as it is, `env:NAME` for the content of a variable, or `command:LINE` for
 * what a command prints. A password in
 * it is known to the redactor from here on.
 *
 * @throws BackupError `config/env-missing`, `config/env-empty`
 */
export async function givenUrl(
  text: string,
  o: { readonly env: Environment; readonly secrets: Secrets },
): Promise<GivenUrl> {
  const name = /^env:(.+)$/.exec(text)?.[1];
  const line = /^command:(.+)$/s.exec(text)?.[1];
  const url = line !== undefined
    ? await o.secrets.resolve(command(line), { isPublic: true })
    : name === undefined
    ? text
    : variable(o.env, name);
  const password = passwordIn(url);
  if (password !== undefined) {
    o.secrets.hide(password);
    o.secrets.hide(decoded(password));
  }
  return { url, isExposed: url === text && password !== undefined };
}

/** The secret of a flag that names a file: its content, `env:NAME`, or what `command:LINE` prints. */
export function givenSecret(text: string, cwd: string): Secret {
  const [, notation, rest = ""] = /^(env|file|command):(.+)$/s.exec(text) ?? [];
  if (notation === "env") return env(rest);
  if (notation === "command") return command(rest);
  return file(resolve(cwd, notation === "file" ? rest : text));
}

/**
 * A database by its URL.
 *
 * @param password given apart from the URL; it wins
 * @throws BackupError `usage/unknown-scheme`, `usage/bad-url`, `usage/no-password-here`
 */
export function databaseFromUrl(
  url: string,
  kinds: readonly ConnectorKind[],
  password?: Secret,
): DatabaseDefinition {
  const kind = kindOfUrl(url, kinds);
  if (kind === undefined) throw unknownScheme(url, "database", kinds);
  const options = kind.fromUrl(url);
  const whole = password === undefined ? options : withPassword(options, password, kind);
  return { name: kind.jobName(whole), kind, options: whole };
}

/** True for kinds whose options have a password. */
export function takesPassword({ kind, options }: DatabaseDefinition, password: Secret): boolean {
  return kind.options.safeParse({ ...asObject(options), password }).success;
}

/**
 * The same database with a `source`, which identifies it among the backups.
 *
 * @throws BackupError `usage/no-source-here`
 */
export function databaseWithSource(
  database: DatabaseDefinition,
  source: string,
): DatabaseDefinition {
  const { kind, options, written } = database;
  const result = kind.options.safeParse({ ...asObject(written ?? options), source });
  if (result.success) return { ...database, written: result.data };
  throw new BackupError("usage/no-source-here", `${kind.title} takes no source`, {
    hint: "Leave --source out.",
  });
}

/** The same database with a password that was asked for. */
export function databaseWithPassword(
  database: DatabaseDefinition,
  password: Secret,
): DatabaseDefinition {
  return { ...database, options: withPassword(database.options, password, database.kind) };
}

/**
 * A destination by its URL or path; relative paths start from the working directory.
 *
 * @throws BackupError `usage/unknown-scheme`, `usage/bad-url`
 */
export function destinationFromUrl(
  url: string,
  kinds: readonly StorageKind[],
  cwd: string,
): DestinationDefinition {
  const scheme = schemeOf(url);
  // A path may have a colon, too; only a known scheme, or `//` after it, makes it a URL.
  const isPath = scheme === undefined ||
    (kindOfUrl(url, kinds) === undefined && !url.startsWith(`${scheme}://`));
  const kind = isPath
    ? kinds.find(({ schemes }) => schemes.includes("file"))
    : kindOfUrl(url, kinds);
  if (kind === undefined) throw unknownScheme(url, "destination", kinds);
  const whole = isPath ? resolve(cwd, url) : absoluteFileUrl(url, scheme, cwd);
  return { name: safeUrl(url), kind, options: kind.fromUrl(whole) };
}

/**
 * The job of the ad-hoc form.
 *
 * @throws BackupError `usage/unknown-omission`
 */
export function adHocJob(
  database: DatabaseDefinition,
  destinations: readonly DestinationDefinition[],
  { name = database.name, ...changes }: JobChanges & { readonly name?: string | undefined },
): JobDefinition {
  for (const omission of changes.accept ?? []) assertOmission(omission, database.kind);
  return changedJob(readJob(name, {}, { database, destinations, base: "." }), changes);
}

/**
 * Checks that a kind of database has the settings that flags give it.
 *
 * @throws BackupError `usage/setting-unsupported`
 */
export function assertSettings(written: Partial<ParsedJob>, kind: ConnectorKind): void {
  for (const setting of kindSettings) {
    if (written[setting] === undefined || kind.settings.includes(setting)) continue;
    const flag = flagOf(setting) ?? setting;
    throw new BackupError("usage/setting-unsupported", `${kind.title} has no ${flag}`, {
      hint: `Leave ${flag} out.`,
    });
  }
}

/**
 * Checks a name given to `--accept`.
 *
 * @throws BackupError `usage/unknown-omission`
 */
export function assertOmission(name: string, kind: ConnectorKind): void {
  if (kind.omissions.includes(name)) return;
  const best = nearest(name, kind.omissions);
  const names = kind.omissions.length === 0 ? "nothing" : kind.omissions.join(", ");
  throw new BackupError(
    "usage/unknown-omission",
    `A dump of ${kind.title} never leaves out "${name}"`,
    { hint: `${best === undefined ? "" : `Did you mean "${best}"? `}It can leave out: ${names}.` },
  );
}

/** The password inside a URL, as it is written there. */
function passwordIn(url: string): string | undefined {
  const password = /^[a-z][a-z0-9+]*:\/\/[^:@/?]*:([^/?]*)@/i.exec(url)?.[1];
  return password === "" ? undefined : password;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function variable(env: Environment, name: string): string {
  const value = env[name];
  if (value !== undefined && value !== "") return value;
  const [code, how] = value === undefined
    ? ["config/env-missing", "not set"] as const
    : ["config/env-empty", "empty"] as const;
  throw new BackupError(code, `Environment variable ${name} is ${how}`, {
    hint: `Set ${name} to the URL; it is what env:${name} stands for.`,
  });
}

function withPassword(options: unknown, password: Secret, kind: ConnectorKind): unknown {
  const result = kind.options.safeParse({ ...asObject(options), password });
  if (result.success) return result.data;
  throw new BackupError("usage/no-password-here", `${kind.title} takes no password`, {
    hint: "Leave --password-file out.",
  });
}

function asObject(options: unknown): object {
  return typeof options === "object" && options !== null ? options : {};
}

function absoluteFileUrl(url: string, scheme: string | undefined, cwd: string): string {
  if (scheme !== "file") return url;
  const rest = url.slice("file:".length);
  return rest.startsWith("/") ? url : `file:${resolve(cwd, rest)}`;
}

function unknownScheme(
  url: string,
  what: "database" | "destination",
  kinds: readonly {
    readonly schemes: readonly string[];
    readonly title?: string;
    readonly urls?: readonly string[];
  }[],
): BackupError {
  const schemes = kinds.flatMap((kind) => kind.schemes);
  const scheme = schemeOf(url);
  const best = scheme === undefined ? undefined : nearest(scheme, schemes);
  const known = schemes.map((one) => `${one}:`).join(", ");
  const others = kinds.flatMap(({ title, urls = [] }) =>
    urls.filter((url) => !/:(\/\/)?$/.test(url)).map((url) => `; ${title ?? "it"} is ${url}`)
  );
  const path = what === "destination" ? "a path, or a URL" : "a URL";
  return new BackupError(
    "usage/unknown-scheme",
    `Cannot tell the kind of ${what} from "${safeUrl(url)}"`,
    {
      hint: `${best === undefined ? "" : `Did you mean "${best}:"? `}Write ${path} that begins ` +
        `with one of ${known}${others.join("")}.`,
    },
  );
}
