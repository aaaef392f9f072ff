import { place, succeeds } from "../../e2e/support/cli.ts";

/** One database's way through the binary. */
export interface Journey {
  readonly name: string;
  /** The URL of the database that is backed up. */
  readonly source: string;
  /** The URL of a database that is not there. */
  readonly fresh: string;
  readonly toolsDir: string;
  readonly restoreFlags?: readonly string[];
  /** Compares what was restored to a URL with the source. @param title how it came there */
  compare(url: string, title: string): Promise<void>;
}

/** Backs up, restores to a new database, and over it again; compares each time. */
export async function takeThrough(journey: Journey): Promise<void> {
  const at = place(`soak-${journey.name}`);
  const { toolsDir } = journey;
  const env = { PATH: `${toolsDir}:${at.env["PATH"]}` };
  const options = { env, timeoutMs: 3_000_000 };
  const dbbackup = (...args: string[]) => succeeds(at, args, options);
  await dbbackup("backup", "--from", journey.source, "--to", "./backups");
  await dbbackup("verify", "--from", "./backups", "--deep");
  const restore = (...flags: string[]) =>
    dbbackup(
      "restore",
      ...["--from", "./backups", "--to", journey.fresh, "--yes"],
      ...journey.restoreFlags ?? [],
      ...flags,
    );
  await restore();
  await journey.compare(journey.fresh, "into a new database");
  await restore("--overwrite");
  await journey.compare(journey.fresh, "over what is there");
  await restore("--overwrite", "--jobs", "3");
  await journey.compare(journey.fresh, "in parallel");
}
