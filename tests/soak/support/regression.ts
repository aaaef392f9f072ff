import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { output, run } from "../../support/run.ts";
import type { PostgresServer } from "../../support/postgres.ts";
import { tempDir } from "../../support/workspace.ts";
import { sourcesOf } from "./sources.ts";

const suites = { 15: "bookworm", 18: "sid" } as const;
export const regressionDatabase = "regression";

/**
 * Makes PostgreSQL's own regression database from the sources of the very version that the server
 * runs: every test's SQL, in the order of its schedule, one after the other. What a test expects is
 * not looked at, only what it leaves.
 *
 * Tests that load regress.so, which packages do not have, leave out the functions made of it.
 *
 * @returns how many of the tests' files were run
 */
export async function makeRegressionDatabase(server: PostgresServer): Promise<number> {
  const told = await output(path.join(server.binDir, "postgres"), ["--version"]);
  const version = /\(Debian ([^)]+)\)/.exec(told)?.[1];
  if (version === undefined) throw new Error(`not a server of Debian: ${told}`);
  const sources = await sourcesOf(
    suites[server.version],
    `postgresql-${server.version}`,
    version,
  );
  const folder = path.join(tempDir("regress"), "regress");
  // The server reads its data and writes its results.
  cpSync(path.join(sources, "src", "test", "regress"), folder, { recursive: true });
  mkdirSync(path.join(folder, "results"), { recursive: true });
  await output("chmod", ["-R", "a+rwX", folder]);
  await server.psql(
    "postgres",
    `CREATE DATABASE ${regressionDatabase} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C'
       LC_CTYPE 'C'`,
  );
  for (
    const setting of [
      "lc_messages TO 'C'",
      "lc_monetary TO 'C'",
      "lc_numeric TO 'C'",
      "lc_time TO 'C'",
      "bytea_output TO 'hex'",
      "timezone_abbreviations TO 'Default'",
    ]
  ) {
    await server.psql("postgres", `ALTER DATABASE ${regressionDatabase} SET ${setting}`);
  }
  const schedule = readFileSync(path.join(folder, "parallel_schedule"), "utf8");
  const names = [...schedule.matchAll(/^test:\s*(.+)$/gm)].flatMap(([, line]) =>
    line!.trim().split(/\s+/)
  );
  const env = {
    ...process.env,
    ...{ PGHOST: server.socketDir, PGPORT: String(server.port), PGUSER: "postgres" },
    ...{ PGTZ: "PST8PDT", PGDATESTYLE: "Postgres, MDY", LC_ALL: "C" },
    ...{ PG_ABS_SRCDIR: folder, PG_ABS_BUILDDIR: folder },
    ...{ PG_LIBDIR: "/none", PG_DLSUFFIX: ".so" },
  };
  let ran = 0;
  for (const name of names) {
    const file = path.join(folder, "sql", `${name}.sql`);
    if (!existsSync(file)) continue;
    // Failing statements are part of the tests.
    await run(
      path.join(server.binDir, "psql"),
      ["-X", "-q", "-d", regressionDatabase, "-f", file, "-o", "/dev/null"],
      { env, cwd: folder, timeoutMs: 600_000 },
    );
    ran++;
  }
  return ran;
}
