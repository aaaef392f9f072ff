import { z } from "zod";
import { serverOptionShape } from "../../contracts/connection.ts";
import { parseServerUrl } from "../connection.ts";

/** Options of a PostgreSQL server. */
export const postgresOptions = z.strictObject({
  ...serverOptionShape,
  toolsDir: z.string().min(1).optional().describe(
    "The folder of pg_dump and the rest; default: PATH and the usual folders, the best by version.",
  ),
});
/** See {@link postgresOptions}. */
export type PostgresOptions = z.infer<typeof postgresOptions>;

/** The URL schemes. */
export const schemes = ["postgres", "postgresql"] as const;

/** Takes a URL as it is. @throws BackupError `usage/bad-url` */
export function fromUrl(url: string): PostgresOptions {
  parseServerUrl(url, schemes);
  return { url };
}

/** The database's name, or the host's where all are meant. */
export function jobName({ url, database, databases, host }: PostgresOptions): string {
  const parsed = typeof url === "string" ? parseServerUrl(url, schemes) : undefined;
  const one = databases?.length === 1 ? databases[0] : undefined;
  const name = database ?? one ?? parsed?.database ?? host ?? parsed?.host;
  return typeof name === "string" ? name.split(",")[0]!.replace(/:\d+$/, "") : "postgres";
}
