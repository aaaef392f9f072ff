import { z } from "zod";
import { textSchema } from "../../contracts/connection.ts";

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
  /** Put before every key, with a "/" between; default none. */
  prefix: textSchema.optional(),
  /** Default AWS_REGION or the profile's; "us-east-1" where an endpoint is set. */
  region: textSchema.optional(),
  /** The URL of a store other than AWS; default AWS_ENDPOINT_URL_S3, else AWS. */
  endpoint: textSchema.optional(),
  /** The bucket in the path instead of the host name; default true where an endpoint is set. */
  forcePathStyle: z.boolean().optional(),
  /** A profile of the AWS configuration files, for credentials and region. */
  profile: textSchema.optional(),
  /** Static keys. Default: the environment, the profile, SSO, a role of the machine or pod. */
  accessKeyId: textSchema.optional(),
  secretAccessKey: textSchema.optional(),
  sessionToken: textSchema.optional(),
  /** Default the bucket's. The classes of an archive are not here: manifests must be readable. */
  storageClass: z.enum(storageClasses).optional(),
  /** Default the bucket's. */
  serverSideEncryption: z.enum(["AES256", "aws:kms", "aws:kms:dsse"]).optional(),
  /** The key of `aws:kms`; default the account's own. */
  sseKmsKeyId: textSchema.optional(),
  /**
   * Bytes of a part; default 11 MiB. A store takes at most 10,000 of them, so that this limits the
   * size of one object (the job's `volumeSize`); two are held in memory.
   */
  partSize: z.number().int().min(5 * mebibyte).max(5120 * mebibyte).optional(),
  /**
   * Locks every object against deletion for this many days. The bucket must have object lock. Who
   * may bypass governance can lift such a lock; nobody can lift one in compliance mode.
   */
  retention: z.strictObject({
    mode: z.enum(["governance", "compliance"]),
    days: z.number().int().min(1).max(36_500),
  }).optional(),
});
/** See {@link s3Options}. */
export type S3Options = z.infer<typeof s3Options>;
