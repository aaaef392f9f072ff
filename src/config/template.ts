import type { ConfigExample } from "../contracts/example.ts";
import { Secret } from "../core/secret.ts";
import type { Kinds } from "../registry.ts";
import { formatReferences, isPlainObject } from "./references.ts";

/**
 * The config that `config init` writes, with the examples of all kinds as comments. It loads as it
 * stands, once its variable is set.
 */
export function typescriptTemplate({ connectors, storages }: Kinds): string {
  return `/// <reference path="./dbbackup.d.ts" />
// Checked by \`dbbackup config check\`; every connection by \`dbbackup config check --connect\`.
import { defineConfig, env, local, postgres } from "dbbackup";
// Also there: ${otherNames([...connectors, ...storages])}, file, defineConnector, defineStorage.

export default defineConfig({
  databases: {
    shop: postgres({
      // Secrets are references: env("NAME"), env("NAME", "default"), file("/run/secrets/name").
      url: env("SHOP_DATABASE_URL"), // postgres://backup@db.internal:5432/shop
      // password: file("/run/secrets/shop-password"),
      // tls: { mode: "verify-full", ca: "./ca.pem" },
    }),
${commented(connectors, "    // ", typescriptEntry)}
  },

  destinations: {
    disk: local({ path: "./backups" }), // relative paths start from this file's folder
    // Without keys the SDKs look for them as usual: environment, profile, role, login.
${commented(storages, "    // ", typescriptEntry)}
  },

  // Any field of a job, for the jobs that do not set it.
  defaults: {
    destinations: ["disk"], // one read of the database, a copy in each
    compression: "zstd", // "gzip" is the default; "none"; { codec: "zstd", level: 9 }
    // The public key that \`dbbackup key new\` prints; or { passphrase: env("BACKUP_PASSPHRASE") }.
    // encryption: { recipients: ["age1…"] },
  },

  jobs: {
    shop: {
      database: "shop", // a typo here does not compile
      // destinations: ["disk", "offsite"],
      // retention: { daily: 7, weekly: 4, monthly: 12 }, // default: all are kept
      // timezone: "Europe/Berlin", // whose days these are
      // timeout: "2h",
      // stallTimeout: "10m",
      // exclude: ["audit.*"],
      // excludeData: ["public.sessions"],
      // accept: [], // what a dump leaves out and may; \`dbbackup doctor\` tells the names
    },
  },

  // What opens encrypted backups, where it is at hand; else give --identity when you restore.
  // identities: [file("/root/backup-key.txt")],

  // stateDir: "/var/lib/dbbackup",
  // tempDir: "/var/tmp",
  // log: { level: "info", format: "json", file: { path: "./dbbackup.log", maxSize: "10MiB" } },
});
`;
}

/** The `tsconfig.json` beside it, with which editors and tsc check it and the files it imports. */
export const tsconfigTemplate = `{
  // For editors and tsc, so that import "./x.ts" checks; dbbackup itself does not read it.
  "compilerOptions": {
    "target": "esnext",
    "module": "esnext",
    "moduleResolution": "bundler",
    "moduleDetection": "force",
    "allowImportingTsExtensions": true,
    "noEmit": true,
    "strict": true,
    "skipLibCheck": true,
    "types": []
  },
  "include": ["*.ts", "plugins/**/*.ts"]
}
`;

/** The same in YAML. */
export function yamlTemplate({ connectors, storages }: Kinds): string {
  return `# yaml-language-server: $schema=./backup.config.schema.json
# Checked by \`dbbackup config check\`; every connection by \`dbbackup config check --connect\`.
databases:
  shop:
    type: postgres # or ${otherNames(connectors)}
    # Secrets are references: \${NAME}, \${NAME:-default}, \${file:/run/secrets/name}.
    url: \${SHOP_DATABASE_URL} # postgres://backup@db.internal:5432/shop
    # password: \${file:/run/secrets/shop-password}
    # tls: { mode: verify-full, ca: ./ca.pem }
${commented(connectors, "  # ", yamlEntry)}

destinations:
  disk:
    type: local
    path: ./backups # relative paths start from this file's folder
  # Without keys the SDKs look for them as usual: environment, profile, role, login.
${commented(storages, "  # ", yamlEntry)}

# Any field of a job, for the jobs that do not set it.
defaults:
  destinations: [disk] # one read of the database, a copy in each
  compression: zstd # gzip is the default; none; { codec: zstd, level: 9 }
  # The public key that \`dbbackup key new\` prints; or { passphrase: "\${BACKUP_PASSPHRASE}" }.
  # encryption: { recipients: [age1…] }

jobs:
  shop:
    database: shop
    # destinations: [disk, offsite]
    # retention: { daily: 7, weekly: 4, monthly: 12 } # default: all are kept
    # timezone: Europe/Berlin # whose days these are
    # timeout: 2h
    # stallTimeout: 10m
    # exclude: [audit.*]
    # excludeData: [public.sessions]
    # accept: [] # what a dump leaves out and may; \`dbbackup doctor\` tells the names

# What opens encrypted backups, where it is at hand; else give --identity when you restore.
# identities: ["\${file:/root/backup-key.txt}"]

# stateDir: /var/lib/dbbackup
# tempDir: /var/tmp
# log: { level: info, format: json, file: { path: ./dbbackup.log, maxSize: 10MiB } }
`;
}

/** A kind with its examples. */
interface Exemplified {
  readonly kind: string;
  readonly examples?: readonly ConfigExample[];
}

/** The kinds that the template does not use itself. */
function otherNames(kinds: readonly Exemplified[]): string {
  const names = kinds.map(({ kind }) => kind);
  return names.filter((name) => name !== "postgres" && name !== "local").join(", ");
}

/** The examples of kinds, a line each. */
function commented(
  kinds: readonly Exemplified[],
  start: string,
  write: (kind: string, example: ConfigExample) => string,
): string {
  return kinds.flatMap(({ kind, examples = [] }) =>
    examples.map((example) => start + write(kind, example))
  ).join("\n");
}

function typescriptEntry(kind: string, { name, options }: ConfigExample): string {
  return `${name}: ${kind}(${typescript(options)}),`;
}

function typescript(value: unknown): string {
  if (value instanceof Secret) return value.describe();
  if (!isPlainObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, one]) => `${key}: ${typescript(one)}`);
  return `{ ${members.join(", ")} }`;
}

function yamlEntry(kind: string, { name, options }: ConfigExample): string {
  return `${name}: ${yaml({ type: kind, ...isPlainObject(options) ? options : {} })}`;
}

/** In the form that fits into one line. */
function yaml(value: unknown): string {
  if (value instanceof Secret) return JSON.stringify(formatReferences(value));
  if (!isPlainObject(value)) {
    const isPlain = typeof value === "string" && /^[\w./-]+$/.test(value);
    return isPlain ? value : JSON.stringify(value);
  }
  const members = Object.entries(value).map(([key, one]) => `${key}: ${yaml(one)}`);
  return `{ ${members.join(", ")} }`;
}
