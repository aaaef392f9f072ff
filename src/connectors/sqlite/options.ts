import { basename, resolve } from "node:path";
import process from "node:process";
import { z } from "zod";
import { textSchema } from "../../contracts/connection.ts";
import { BackupError } from "../../core/errors.ts";

/** Options of a SQLite database. */
export const sqliteOptions = z.strictObject({
  path: textSchema.describe("The database file; a relative path starts from the config's folder."),
  source: textSchema.optional().describe(
    "Identifies the database among the backups; default its path as it is written.",
  ),
  busyTimeoutMs: z.number().int().nonnegative().optional().describe(
    "Milliseconds to wait for a lock that another program holds; default 30,000.",
  ),
  answerTimeoutMs: z.number().int().positive().optional().describe(
    "Milliseconds without any answer after which the file's disk is given up; default 120,000.",
  ),
});
/** See {@link sqliteOptions}. */
export type SqliteOptions = z.infer<typeof sqliteOptions>;

/** The default of `busyTimeoutMs`. */
export const defaultBusyTimeoutMs = 30_000;

/**
 * Reads `sqlite:PATH`. The path stands as it is: no parameters, nothing percent-encoded, since a
 * file's name may hold any of `?`, `#` and `%`. `sqlite:///PATH` means `/PATH`.
 *
 * @throws BackupError `usage/bad-url`
 */
export function fromUrl(url: string): SqliteOptions {
  const path = /^sqlite:(?:\/\/(?=\/))?(.+)$/is.exec(url)?.[1];
  if (path === undefined || /^\/\/[^/]/.test(path) || path === ":memory:") {
    throw new BackupError("usage/bad-url", `Cannot read the database URL "${url}"`, {
      hint: "Write sqlite:PATH, such as sqlite:./data/app.db or sqlite:/var/lib/app/app.db.",
    });
  }
  return { path };
}

/** The absolute path that a resolved option means. */
export function absolutePath(path: string): string {
  return resolve(process.cwd(), path);
}

/** The file's name without the endings that SQLite files usually have. */
export function plainName(path: string): string {
  const name = basename(path);
  return name.replace(/\.(db|db3|sqlite|sqlite3|s3db)$/i, "") || name;
}
