// A database and a destination of one's own kinds; each is a file beside this one.
import { defineConfig, local } from "dbbackup";
import { flatFolder } from "./plugins/flat-folder.ts";
import { jsonLines } from "./plugins/json-lines.ts";

export default defineConfig({
  databases: { events: jsonLines({ path: "./events.jsonl" }) },
  destinations: {
    flat: flatFolder({ path: "./flat" }),
    disk: local({ path: "./backups" }),
  },
  jobs: { events: { database: "events", destinations: ["flat", "disk"], compression: "zstd" } },
});
