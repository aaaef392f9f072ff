import { z } from "zod";
import { serverOptionShape } from "../../contracts/connection.ts";
import { parseServerUrl } from "../connection.ts";

/** Options of a MySQL or MariaDB server. */
export const mysqlOptions = z.strictObject({
  ...serverOptionShape,
  toolsDir: z.string().min(1).optional().describe(
    "The folder of mysqldump and mysql, or mariadb-dump and mariadb, where they are not in PATH.",
  ),
});
/** See {@link mysqlOptions}. */
export type MysqlOptions = z.infer<typeof mysqlOptions>;

/** The URL schemes; either is understood for either kind, since users mix them up. */
export const schemes = ["mysql", "mariadb"] as const;

/** Takes a URL as it is. @throws BackupError `usage/bad-url` */
export function fromUrl(url: string): MysqlOptions {
  parseServerUrl(url, schemes);
  return { url };
}

/** The database's name, or the host's where all are meant. */
export function jobNameOf(kind: string): (options: MysqlOptions) => string {
  return ({ url, database, databases, host }) => {
    const parsed = typeof url === "string" ? parseServerUrl(url, schemes) : undefined;
    const only = databases?.length === 1 ? databases[0] : undefined;
    const name = database ?? only ?? parsed?.database ?? host ?? parsed?.host;
    return typeof name === "string" ? name : kind;
  };
}
