import type { RetentionPolicy } from "../catalog/retention.ts";
import { safeUrl } from "../core/url.ts";
import { Secret } from "../core/secret.ts";
import type { Config, JobRetention } from "./model.ts";
import { formatReferences, isPlainObject } from "./references.ts";

/**
 * A config as it will be used, with its defaults filled in, as plain values for JSON or YAML.
 * References show what they refer to; secrets written out are redacted.
 */
export function showConfig(config: Config): Record<string, unknown> {
  return {
    path: config.path ?? null,
    databases: Object.fromEntries(
      [...config.databases.values()].map(({ name, kind, options }) => [
        name,
        { type: kind.kind, ...asRecord(shown(options, "")) },
      ]),
    ),
    destinations: Object.fromEntries(
      [...config.destinations.values()].map(({ name, kind, options, uploadBytesPerSecond }) => [
        name,
        {
          type: kind.kind,
          ...asRecord(shown(options, "")),
          ...uploadBytesPerSecond === undefined
            ? {}
            : { uploadLimit: `${size(uploadBytesPerSecond)}/s` },
        },
      ]),
    ),
    jobs: Object.fromEntries(
      [...config.jobs.values()].map((job) => [job.name, {
        database: job.database.name,
        destinations: job.destinations.map(({ name }) => name),
        compression: job.compression.level === undefined ? job.compression.codec : job.compression,
        encryption: job.encryption === undefined ? "none" : shown(job.encryption, ""),
        ...(job.timeoutMs === undefined ? {} : { timeout: duration(job.timeoutMs) }),
        stallTimeout: duration(job.stallTimeoutMs),
        destinationStallTimeout: duration(job.destinationStallTimeoutMs),
        retryTimeout: duration(job.retryTimeoutMs),
        accept: job.accept,
        ...asRecord(shown(job.settings, "")),
        strategy: job.strategy.id,
        volumeSize: size(job.volumeBytes),
        ...(job.retention === undefined ? {} : { retention: retention(job.retention) }),
        timezone: job.timezone,
        abandonedAfter: duration(job.abandonedAfterMs),
      }]),
    ),
    ...(config.identities.length === 0
      ? {}
      : { identities: shown(config.identities, "private_key") }),
    stateDir: config.stateDir,
    tempDir: config.tempDir,
    log: {
      level: config.log.level,
      format: config.log.format,
      ...(config.log.file === undefined ? {} : {
        file: {
          path: config.log.file.path,
          maxSize: size(config.log.file.maxBytes),
          keep: config.log.file.keep,
        },
      }),
    },
  };
}

// What such a key holds is taken for a secret, whatever kind of plugin it belongs to.
const secretKey =
  /password|passphrase|secret|token|credential|(?:api|access|account|private)_?key|connection_?string/i;
const secretArgument = /^(--?[\w-]*(?:password|passphrase|secret|token)[\w-]*=).+$/i;

/** Where a config has secrets written out, as keys: `databases.shop.password`. */
export function plainSecrets({ databases, destinations, jobs }: Config): string[] {
  return [
    ...[...databases.values()].flatMap(({ name, options }) =>
      plainIn(options, ["databases", name])
    ),
    ...[...destinations.values()].flatMap(({ name, options }) =>
      plainIn(options, ["destinations", name])
    ),
    ...[...jobs.values()].flatMap(({ name, encryption }) =>
      plainIn(encryption, ["jobs", name, "encryption"])
    ),
  ].map((path) => path.join("."));
}

function plainIn(value: unknown, path: readonly string[]): string[][] {
  if (value instanceof Secret) {
    return value.parts.flatMap((part) => "text" in part ? plainIn(part.text, path) : []);
  }
  if (Array.isArray(value)) {
    return value.flatMap((one, index) => plainIn(one, [...path, String(index)]));
  }
  if (isPlainObject(value)) {
    return Object.entries(value).flatMap(([key, one]) => plainIn(one, [...path, key]));
  }
  if (typeof value !== "string" || value === "") return [];
  const key = path.findLast((one) => !/^\d+$/.test(one)) ?? "";
  const isPath = /file(?:name)?$/i.test(key);
  return safeUrl(value) !== value || (secretKey.test(key) && !isPath) ? [[...path]] : [];
}

function shown(value: unknown, key: string): unknown {
  if (value instanceof Secret) return safeUrl(shownReference(value, key));
  if (Array.isArray(value)) return value.map((one) => shown(one, key));
  if (isPlainObject(value)) {
    return Object.fromEntries(
      Object.entries(value).filter(([, one]) => one !== undefined)
        .map(([name, one]) => [name, shown(one, secretKey.test(key) ? key : name)]),
    );
  }
  if (value === null || value === undefined || typeof value === "boolean") return value;
  if (secretKey.test(key)) return "[redacted]";
  if (typeof value === "string") return safeUrl(value).replace(secretArgument, "$1[redacted]");
  return value;
}

function shownReference(secret: Secret, key: string): string {
  const hasText = secret.parts.some((part) => "text" in part);
  // A password that mixes a reference with plain text gives part of itself away.
  if (hasText && (secretKey.test(key) || secret.parts.every((part) => "text" in part))) {
    return "[redacted]";
  }
  return formatReferences(secret);
}

function asRecord(value: unknown): Record<string, unknown> {
  return isPlainObject(value) ? value : { options: value };
}

function retention({ policy, destinations }: JobRetention): Record<string, unknown> {
  if (destinations.size === 0) return rules(policy);
  const own = [...destinations].map(([name, one]) => [name, rules(one)]);
  return { ...rules(policy), destinations: Object.fromEntries(own) };
}

function rules({ maxAgeMs, ...counts }: RetentionPolicy): Record<string, unknown> {
  return maxAgeMs === undefined ? counts : { ...counts, maxAge: duration(maxAgeMs) };
}

function duration(ms: number): string {
  return ms % 1000 === 0 ? formatExact(ms) : `${ms}ms`;
}

/** In units that the config takes back: `1h30m`. */
function formatExact(ms: number): string {
  const seconds = ms / 1000;
  const parts = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`).join("");
}

function size(bytes: number): string {
  const units = ["TiB", "GiB", "MiB", "KiB"];
  for (const [index, unit] of units.entries()) {
    const factor = 1024 ** (units.length - index);
    if (bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}
