import type { Storage, StorageKind } from "../../contracts/storage.ts";
import { BackupError } from "../../core/errors.ts";
import type { Patience, RetryPolicy } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { createCalls } from "../calls.ts";
import { checkedBucket } from "../checks.ts";
import { createKeys } from "../keys.ts";
import { createPartBuffers } from "../part-buffers.ts";
import { readUrl } from "../url.ts";
import type { Access } from "./client.ts";
import { clientConfig } from "./credentials.ts";
import { deleteObject } from "./delete.ts";
import { getObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { statObject } from "./stat.ts";
import { type S3Options, s3Options } from "./options.ts";
import { putObject } from "./put.ts";
import { sweepUploads } from "./sweep.ts";
import { createShortcut } from "./shortcut.ts";

export { type S3Options, s3Options } from "./options.ts";

const mebibyte = 1024 * 1024;
// 10,000 of them hold the format's volumes of 100 GiB.
const defaultPartBytes = 11 * mebibyte;
// One part is on its way while the next is gathered, or both are: each one more costs 20 to 35 MB
// of memory, as the runtime copies what it sends, and made nothing faster.
const spareParts = 1;

/** Amazon S3 and what speaks its language: MinIO, Ceph, R2, B2, Wasabi, … */
export const s3: StorageKind<S3Options> = {
  kind: "s3",
  schemes: ["s3"],
  description: "A bucket of Amazon S3, or of what speaks its language.",
  examples: [
    {
      name: "offsite",
      options: { bucket: "acme-backups", prefix: "db1", region: "eu-central-1" },
    },
    {
      name: "minio",
      options: { bucket: "backups", endpoint: "https://minio.internal", forcePathStyle: true },
    },
  ],
  options: s3Options,
  fromUrl(url) {
    const { host, path, parameters } = readUrl(url, {
      form: "s3://BUCKET/PREFIX",
      parameters: [...urlTexts, "forcePathStyle"],
    });
    const { forcePathStyle, ...texts } = parameters;
    const options = s3Options.safeParse({
      bucket: host,
      ...(path === "" ? {} : { prefix: path }),
      ...texts,
      ...(forcePathStyle === undefined ? {} : { forcePathStyle: booleans[forcePathStyle] ?? null }),
    });
    if (options.success) return options.data;
    throw new BackupError("usage/bad-url", `Cannot read the options in the destination "${url}"`, {
      hint: options.error.issues.map((issue) => {
        const values = issue.code === "invalid_value" ? issue.values : ["true", "false"];
        return `${issue.path.join(".")} is one of ${values.join(", ")}.`;
      }).join(" "),
    });
  },
  open: (options, { runtime, patience }) => openS3(options, { runtime, patience }),
};

// Keys are not among them: a URL is for everybody to see.
const urlTexts = [
  "region",
  "endpoint",
  "profile",
  "storageClass",
  "serverSideEncryption",
  "sseKmsKeyId",
] as const;
const booleans: Readonly<Record<string, boolean>> = { true: true, false: false };

/** Opens a bucket. Tests give a `policy` and a `timeoutMs` that are quicker to give up. */
export async function openS3(
  options: S3Options,
  { runtime, patience, policy, timeoutMs }: {
    runtime: Runtime;
    patience?: Patience | undefined;
    policy?: RetryPolicy;
    timeoutMs?: number;
  },
): Promise<Storage> {
  const { secrets } = runtime;
  const resolve = async (text: S3Options["prefix"]) =>
    text === undefined ? undefined : await secrets.resolve(text, { isPublic: true });
  const bucket = checkedS3Bucket(await secrets.resolve(options.bucket, { isPublic: true }));
  const keys = createKeys(await resolve(options.prefix));
  const location = keys.location(`s3://${bucket}`);
  const config = await clientConfig(options, runtime);
  const sdk = await import("@aws-sdk/client-s3");
  const client = new sdk.S3Client(config);
  const access: Access = {
    sdk,
    client,
    shortcut: createShortcut(client),
    bucket,
    keys,
    location,
    runtime,
    calls: createCalls({ location, runtime, patience, policy, timeoutMs }),
    buffers: createPartBuffers(options.partSize ?? defaultPartBytes, spareParts),
    upload: {
      storageClass: options.storageClass,
      serverSideEncryption: options.serverSideEncryption,
      sseKmsKeyId: await resolve(options.sseKmsKeyId),
      retention: options.retention ?? { mode: "governance" },
    },
    learnt: {
      conditionalWrites: config.endpoint === undefined ? "trusted" : "hoped",
      isVersioned: undefined,
    },
  };
  const place = location + endpointText(config.endpoint);
  return {
    location: place,
    place,
    hasOwnClock: true,
    partBytes: access.buffers.partBytes,
    put: (key, body, o) => putObject(access, key, body, o),
    get: (key, o) => getObject(access, key, o),
    stat: (key, o) => statObject(access, key, o),
    list: (prefix, o) => listObjects(access, prefix, o),
    delete: (key, o) => deleteObject(access, key, o),
    sweep: (prefix, o) => sweepUploads(access, prefix, o),
    async close() {
      client.destroy();
    },
  } satisfies Storage;
}

/** A bucket, or the ARN of an access point. */
function checkedS3Bucket(bucket: string): string {
  return bucket.startsWith("arn:") ? bucket : checkedBucket(bucket, "bucket");
}

/** Buckets of two stores may have the same name; locks and the record of runs tell them apart. */
function endpointText(endpoint: unknown): string {
  if (typeof endpoint !== "string" || !URL.canParse(endpoint)) return "";
  const { protocol, host, pathname } = new URL(endpoint);
  return `?endpoint=${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}
