import { test } from "node:test";
import { chainUnderWriter } from "../jobs/sqlite-chains.ts";

for (const mode of ["wal", "delete"] as const) {
  test(`100 backups in a chain under a writer in ${mode} mode restore to their states`, async () => {
    await chainUnderWriter(100, mode);
  });
}
