import { safeUrl } from "../core/url.ts";
import { Secret } from "../core/secret.ts";
import { shownJob } from "./job.ts";
import type { Config } from "./model.ts";
import { formatReferences, isPlainObject } from "./references.ts";
import { formatSize } from "../core/units.ts";

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
            : { uploadLimit: `${formatSize(uploadBytesPerSecond)}/s` },
        },
      ]),
    ),
    jobs: Object.fromEntries(
      [...config.jobs.values()].map((job) => [job.name, asRecord(shown(shownJob(job), ""))]),
    ),
    ...(config.identities.length === 0
      ? {}
      : { identities: shown(config.identities, "private_key") }),
    stateDir: config.stateDir,
    tempDir: config.tempDir,
    log: {
      level: config.log.level ?? "info",
      format: config.log.format,
      ...(config.log.file === undefined ? {} : {
        file: {
          path: config.log.file.path,
          maxSize: formatSize(config.log.file.maxBytes),
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
