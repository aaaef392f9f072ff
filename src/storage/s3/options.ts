import { z } from "zod";
import { textSchema } from "../../contracts/connection.ts";
import { prefixSchema } from "../options.ts";
import { retentionDays } from "../retention.ts";

const mebibyte = 1024 * 1024;
const storageClasses = [
  "STANDARD",
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER_IR",
  "REDUCED_REDUNDANCY",
] as const;

/** Options of an S3 destination, by the names that the AWS SDK has. */
export const s3Options = z.strictObject({
  bucket: textSchema,
  prefix: prefixSchema,
  region: textSchema.optional().describe(
    'Default AWS_REGION or the profile\'s; "us-east-1" where an endpoint is set.',
  ),
  endpoint: textSchema.optional().describe(
    "The URL of a store other than AWS; default AWS_ENDPOINT_URL_S3, else AWS.",
  ),
  forcePathStyle: z.boolean().optional().describe(
    "The bucket in the path instead of the host name; default true where an endpoint is set.",
  ),
  profile: textSchema.optional().describe(
    "A profile of the AWS configuration files, for credentials and region.",
  ),
  accessKeyId: textSchema.optional().describe(
    "Static keys. Default: the environment, the profile, SSO, a role of the machine or pod.",
  ),
  secretAccessKey: textSchema.optional(),
  sessionToken: textSchema.optional(),
  storageClass: z.enum(storageClasses).optional().describe(
    "Default the bucket's. The classes of an archive are not here: manifests must be readable.",
  ),
  serverSideEncryption: z.enum(["AES256", "aws:kms", "aws:kms:dsse"]).optional().describe(
    "Default the bucket's.",
  ),
  sseKmsKeyId: textSchema.optional().describe("The key of `aws:kms`; default the account's own."),
  partSize: z.number().int().min(5 * mebibyte).max(5120 * mebibyte).optional().describe(
    "Bytes of a part; default 11 MiB. A store takes at most 10,000 of them, so that this " +
      "limits the size of one object (the job's `volumeSize`); two are held in memory.",
  ),
  retention: z.strictObject({
    mode: z.enum(["governance", "compliance"]),
    days: retentionDays,
  }).optional().describe(
    "Locks every object against deletion for this many days; the bucket must have object lock. " +
      "Who may bypass governance can lift such a lock; nobody can lift one in compliance mode.",
  ),
});
/** See {@link s3Options}. */
export type S3Options = z.infer<typeof s3Options>;
