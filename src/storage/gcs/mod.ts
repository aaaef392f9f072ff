import { Buffer } from "node:buffer";
import type { Storage, StorageKind } from "../../contracts/storage.ts";
import type { Patience, RetryPolicy } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { checkedBucket, checkedEndpoint } from "../checks.ts";
import { createCalls } from "../calls.ts";
import { createKeys } from "../keys.ts";
import { createPartBuffers } from "../part-buffers.ts";
import { retentionEnd } from "../retention.ts";
import { readUrl } from "../url.ts";
import { createAuthorizer, type GcsCredentials, readKeyFile } from "./credentials.ts";
import { createGcsClient } from "./client.ts";
import { deleteObject } from "./delete.ts";
import { getObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { toInfo } from "./object.ts";
import { type GcsOptions, gcsOptions } from "./options.ts";
import { putObject } from "./put.ts";
import { findObject } from "./stat.ts";

export { type GcsOptions, gcsOptions } from "./options.ts";

// 8 MiB is what Google recommends at least; there is no limit to their number.
const defaultPartBytes = 8 * 1024 * 1024;
// The store takes one part of an upload at a time: one on its way, one full, one filling.
const spareParts = 2;
const defaultEndpoint = "https://storage.googleapis.com";

const remarks = {
  // Every object has a generation, and only who may see the bucket's settings learns more.
  versioning:
    "a way to tell whether it keeps versions: deleting removes all there are, and needs " +
    "the right to",
  sweep: "a list of unfinished uploads: the store charges for none and drops them in a week",
};

/** Google Cloud Storage. */
export const gcs: StorageKind<GcsOptions> = {
  kind: "gcs",
  schemes: ["gs"],
  description: "A Google Cloud Storage bucket.",
  examples: [
    {
      name: "google",
      options: { bucket: "acme-backups", keyFilename: "/etc/dbbackup/gcs.json" },
    },
  ],
  options: gcsOptions,
  paths: ["keyFilename"],
  fromUrl(url) {
    const { host, path, parameters } = readUrl(url, {
      form: "gs://BUCKET/PREFIX",
      parameters: ["keyFilename", "apiEndpoint", "userProject"],
    });
    return { bucket: host, ...(path === "" ? {} : { prefix: path }), ...parameters };
  },
  open: (options, { runtime, patience }) => openGcs(options, { runtime, patience }),
};

/** What tests make smaller. */
export interface GcsLimits {
  readonly retry?: RetryPolicy;
  /** A multiple of 256 KiB, as the store asks. */
  readonly partBytes?: number;
}

/** Opens a bucket. */
export async function openGcs(
  options: GcsOptions,
  { runtime, patience, retry, partBytes = defaultPartBytes }:
    & { runtime: Runtime; patience?: Patience | undefined }
    & GcsLimits,
): Promise<Storage> {
  const { secrets } = runtime;
  const resolve = async (text: GcsOptions["prefix"]) =>
    text === undefined ? undefined : await secrets.resolve(text, { isPublic: true });
  const bucket = checkedBucket(await secrets.resolve(options.bucket, { isPublic: true }), "bucket");
  const given = await resolve(options.apiEndpoint) ?? defaultEndpoint;
  // Google's own client takes a bare host.
  const endpoint = checkedEndpoint(
    /^[a-z]*:\/\//i.test(given) ? given : `https://${given}`,
    "apiEndpoint",
  );
  const keys = createKeys(await resolve(options.prefix));
  const location = keys.location(`gs://${bucket}`);
  const client = createGcsClient({
    bucket,
    endpoint,
    userProject: await resolve(options.userProject),
    calls: createCalls({
      location,
      runtime,
      patience,
      policy: retry,
      timeoutMs: options.timeout,
    }),
    now: runtime.now,
    authorize: await createAuthorizer(await credentialsOf(options, endpoint, runtime)),
  });
  const buffers = createPartBuffers(partBytes, spareParts);
  const { retention } = options;
  return {
    location,
    place: location,
    hasOwnClock: true,
    partBytes,
    remarks,
    put: async (key, body, o) =>
      await putObject(client, keys.toName(key), key, body, {
        signal: o.signal,
        buffers,
        retainUntil: o.retainUntil === "none"
          ? undefined
          : o.retainUntil ?? retentionEnd(retention, runtime.now()),
        retentionMode: retention?.mode ?? "Unlocked",
        boundary: Buffer.from(runtime.random(24)).toString("hex"),
      }),
    get: (key, o) => getObject(client, keys.toName(key), o),
    async stat(key, o) {
      const object = await findObject(client, keys.toName(key), o);
      return object === undefined ? undefined : toInfo(object, key);
    },
    async *list(prefix, o) {
      for await (const object of listObjects(client, { prefix: keys.toPrefix(prefix) }, o)) {
        const key = keys.toKey(object.name);
        if (key !== undefined) yield toInfo(object, key);
      }
    },
    delete: async (key, o) => await deleteObject(client, keys.toName(key), o.version, o),
    // The store lists no unfinished upload, charges for none, and forgets each after a week.
    sweep: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
}

async function credentialsOf(
  options: GcsOptions,
  endpoint: string,
  { secrets }: Runtime,
): Promise<GcsCredentials> {
  if (options.credentials !== undefined) {
    const json = await secrets.resolve(options.credentials);
    secrets.hide(json);
    return { from: "json", json, where: "the option credentials" };
  }
  if (options.keyFilename !== undefined) {
    const path = await secrets.resolve(options.keyFilename, { isPublic: true });
    return { from: "json", json: await readKeyFile(path), where: `"${path}"` };
  }
  const isGoogles = /(^|[/.])googleapis\.com(:\d+)?$/.test(endpoint);
  return isGoogles ? { from: "environment" } : { from: "nowhere" };
}
