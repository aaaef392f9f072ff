import { z } from "zod";
import { serverOptionShape, textSchema } from "../../contracts/connection.ts";
import { parseServerUrl } from "../connection.ts";

/** Options of a MongoDB server or replica set. */
export const mongodbOptions = z.strictObject({
  ...serverOptionShape,
  replicaSet: textSchema.optional().describe(
    "The name of the replica set, where the URL does not say it.",
  ),
  authSource: textSchema.optional().describe(
    "The database that knows the user; default the URL's database, else `admin`.",
  ),
  toolsDir: z.string().min(1).optional().describe(
    "The folder of mongodump and mongorestore, where they are not in PATH.",
  ),
});
/** See {@link mongodbOptions}. */
export type MongodbOptions = z.infer<typeof mongodbOptions>;

/** The URL schemes. */
export const schemes = ["mongodb", "mongodb+srv"] as const;

/** Takes a URL as it is; everything in it is passed on. @throws BackupError `usage/bad-url` */
export function fromUrl(url: string): MongodbOptions {
  parseServerUrl(url, schemes);
  return { url };
}

/** The database's name, or the first host's where all are meant. */
export function jobName({ url, database, host }: MongodbOptions): string {
  const parsed = typeof url === "string" ? parseServerUrl(url, schemes) : undefined;
  const name = database ?? parsed?.database ?? host ?? parsed?.host;
  return typeof name === "string" ? name.split(",")[0]!.replace(/:\d+$/, "") : "mongodb";
}
