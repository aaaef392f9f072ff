/** The config that `config init` writes. It loads as it stands, once its variable is set. */
export const typescriptTemplate = `/// <reference path="./dbbackup.d.ts" />
// Checked by \`dbbackup config check\`; every connection by \`dbbackup config check --connect\`.
import { defineConfig, env, local, postgres } from "dbbackup";
// Also there: mysql, mariadb, mongodb, sqlite, s3, gcs, azure, file, defineConnector, defineStorage.

export default defineConfig({
  databases: {
    shop: postgres({
      // Secrets are references: env("NAME"), env("NAME", "default"), file("/run/secrets/name").
      url: env("SHOP_DATABASE_URL"), // postgres://backup@db.internal:5432/shop
      // password: file("/run/secrets/shop-password"),
      // tls: { mode: "verify-full", ca: "./ca.pem" },
    }),
    // app: sqlite({ path: "./data/app.db" }),
  },

  destinations: {
    disk: local({ path: "./backups" }), // relative paths start from this file's folder
    // Without keys the SDKs look for them as usual: environment, profile, role, login.
    // offsite: s3({ bucket: "acme-backups", prefix: "db1", region: "eu-central-1" }),
    // minio: s3({ bucket: "backups", endpoint: "https://minio.internal", forcePathStyle: true }),
    // google: gcs({ bucket: "acme-backups" }), // keyFilename: "/etc/dbbackup/gcs.json"
    // azure: azure({ accountName: "acme", container: "backups", sasToken: env("AZURE_SAS") }),
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
export const yamlTemplate = `# yaml-language-server: $schema=./backup.config.schema.json
# Checked by \`dbbackup config check\`; every connection by \`dbbackup config check --connect\`.
databases:
  shop:
    type: postgres # or mysql, mariadb, mongodb, sqlite
    # Secrets are references: \${NAME}, \${NAME:-default}, \${file:/run/secrets/name}.
    url: \${SHOP_DATABASE_URL} # postgres://backup@db.internal:5432/shop
    # password: \${file:/run/secrets/shop-password}
    # tls: { mode: verify-full, ca: ./ca.pem }
  # app:
  #   type: sqlite
  #   path: ./data/app.db

destinations:
  disk:
    type: local
    path: ./backups # relative paths start from this file's folder
  # Without keys the SDKs look for them as usual: environment, profile, role, login.
  # offsite: { type: s3, bucket: acme-backups, prefix: db1, region: eu-central-1 }
  # minio: { type: s3, bucket: backups, endpoint: "https://minio.internal", forcePathStyle: true }
  # google: { type: gcs, bucket: acme-backups } # keyFilename: /etc/dbbackup/gcs.json
  # azure: { type: azure, accountName: acme, container: backups, sasToken: "\${AZURE_SAS}" }

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
