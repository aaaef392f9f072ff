// A shop with a PostgreSQL database, a small application on SQLite, a disk here and a bucket
// elsewhere, encrypted to a key that is kept off this server. Put it into the working directory,
// ~/.config/dbbackup or /etc/dbbackup as backup.config.ts, then run
// `dbbackup config check --connect` and `dbbackup run --once`, from cron or a systemd timer.
import { defineConfig, env, file, local, postgres, s3, sqlite } from "dbbackup";

export default defineConfig({
  databases: {
    shop: postgres({
      url: env("SHOP_DATABASE_URL"), // postgres://backup@db.internal:5432/shop
      password: file("/run/secrets/shop-password"), // read only when the server is asked
      tls: { mode: "verify-full", ca: "./ca.pem" }, // beside this file
    }),
    app: sqlite({ path: "./data/app.db" }),
  },
  destinations: {
    disk: local({ path: "/var/backups" }),
    offsite: s3({
      bucket: "acme-backups",
      prefix: "shop",
      region: "eu-central-1",
      // For a store that is compatible with S3: endpoint: "https://…", forcePathStyle: true
      accessKeyId: env("BACKUP_ACCESS_KEY_ID"), // without keys: environment, profile or role
      secretAccessKey: file("/run/secrets/backup-secret-access-key"),
    }),
  },
  // Any field of a job, for the jobs that do not set it.
  defaults: {
    destinations: ["disk", "offsite"], // one read of the database, two copies
    compression: "zstd",
    // `dbbackup key new` prints the pair; its secret half opens the backups.
    encryption: { recipients: ["age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e"] },
    retention: { daily: 7, weekly: 4, monthly: 12, destinations: { disk: { last: 3 } } },
    timezone: "Europe/Berlin", // whose days, weeks and months these are
  },
  jobs: {
    shop: {
      database: "shop", // a typo here is a compile error
      timeout: "2h",
      excludeData: ["public.sessions"],
    },
    app: { database: "app", compression: { codec: "gzip", level: 9 } },
  },
  log: { format: "json", file: { path: "/var/log/dbbackup.log", maxSize: "10MiB", keep: 5 } },
});
