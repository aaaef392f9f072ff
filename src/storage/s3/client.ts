import type { S3Client, ServerSideEncryption, StorageClass } from "@aws-sdk/client-s3";
import type { Runtime } from "../../core/runtime.ts";
import type { CallOptions, Calls } from "../calls.ts";
import type { Keys } from "../keys.ts";
import type { PartBuffers } from "../part-buffers.ts";
import { s3Error } from "./errors.ts";
import type { Shortcut } from "./shortcut.ts";

/** What the SDK exports; imported when a bucket is opened, for it is large. */
export type Sdk = typeof import("@aws-sdk/client-s3");

/** An open bucket, as the operations see it. */
export interface Access {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly shortcut: Shortcut;
  readonly bucket: string;
  readonly keys: Keys;
  /** `s3://bucket/prefix`. */
  readonly location: string;
  readonly runtime: Runtime;
  readonly calls: Calls;
  readonly buffers: PartBuffers;
  /** Headers of every upload. */
  readonly upload: UploadSettings;
  /** Learnt on the way. */
  readonly learnt: Learnt;
}

/** What every object of a destination is stored with. */
export interface UploadSettings {
  readonly storageClass: StorageClass | undefined;
  readonly serverSideEncryption: ServerSideEncryption | undefined;
  readonly sseKmsKeyId: string | undefined;
  readonly retention: { readonly mode: "governance" | "compliance"; readonly days?: number };
}

/** What only the store's answers tell. */
export interface Learnt {
  /** Whether it takes `If-None-Match: *`: "trusted" for AWS, which does. */
  conditionalWrites: "trusted" | "hoped" | "missing";
  /** Whether the bucket keeps versions; undefined before it was asked. */
  isVersioned: boolean | undefined;
}

/**
 * Calls the store, with every error turned into ours. See {@link Calls.call}.
 *
 * @param o.doing what is being done, as the rest of "Cannot …": `write "s3://bucket/key"`
 * @throws BackupError `storage/…`; the signal's reason
 */
export async function call<T>(
  { calls, runtime }: Access,
  run: (signal: AbortSignal, nth: number) => Promise<T>,
  { doing, ...o }: CallOptions & { readonly doing: string },
): Promise<T> {
  return await calls.call(async (signal, nth) => {
    try {
      return await run(signal, nth);
    } catch (error) {
      throw s3Error(error, doing, runtime);
    }
  }, o);
}

/** The URL of an object, for messages. */
export function urlOf(access: Access, name: string): string {
  return `s3://${access.bucket}/${name}`;
}
