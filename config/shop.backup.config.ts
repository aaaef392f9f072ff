// A shop with a PostgreSQL database, a small application on SQLite, and two disks. Put it into the
// working directory, ~/.config/dbbackup or /etc/dbbackup as backup.config.ts, then run
// `dbbackup config check --connect` and `dbbackup run --once`, from cron or a systemd timer.
import { defineConfig, env, file, local, postgres, sqlite } from "dbbackup";

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
    usb: local({ path: "/mnt/usb/backups" }),
  },
  defaults: { destinations: ["disk", "usb"], compression: "zstd" },
  jobs: {
    shop: {
      database: "shop", // a typo here is a compile error
      destinations: ["disk", "usb"], // one read of the database, two copies
      timeout: "2h",
      excludeData: ["public.sessions"],
    },
    app: { database: "app", destinations: ["disk"], compression: { codec: "gzip", level: 9 } },
  },
  log: { format: "json", file: { path: "/var/log/dbbackup.log", maxSize: "10MiB", keep: 5 } },
});
