import { setTimeout as pause } from "node:timers/promises";
import type { Abortable } from "../../core/bytes.ts";
import { type Access, call } from "./client.ts";
import { isNotImplemented, nameOf } from "./errors.ts";

/**
 * Aborts every unfinished multipart upload under a prefix.
 *
 * @param o.before only those that were begun before this moment
 * @returns how many there were; 0 where the store cannot list them
 */
export async function sweepUploads(
  access: Access,
  prefix: string,
  o: Abortable & { before?: Date },
): Promise<number> {
  const { before } = o;
  const uploads = (await unfinishedUploads(access, prefix, o)).filter(({ begunAt }) =>
    // Of one that does not say when it was begun, nobody knows whether it is under way.
    before === undefined || (begunAt !== undefined && begunAt < before)
  );
  for (const { Key, UploadId } of uploads) await abortUpload(access, Key, UploadId, o);
  return uploads.length;
}

interface Upload {
  readonly Key: string;
  readonly UploadId: string;
  readonly begunAt: Date | undefined;
}

async function unfinishedUploads(access: Access, prefix: string, o: Abortable): Promise<Upload[]> {
  const { ListMultipartUploadsCommand } = access.sdk;
  const Prefix = access.keys.toPrefix(prefix);
  const found: Upload[] = [];
  let next: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (next !== undefined) {
    const marker: { KeyMarker?: string; UploadIdMarker?: string } = next;
    try {
      const page = await call(
        access,
        (abortSignal) =>
          access.client.send(
            new ListMultipartUploadsCommand({ Bucket: access.bucket, Prefix, ...marker }),
            { abortSignal },
          ),
        {
          signal: o.signal,
          doing: `list the unfinished uploads in "${access.location}/${prefix}"`,
        },
      );
      for (const { Key, UploadId, Initiated: begunAt } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined) continue;
        if (access.keys.toKey(Key) !== undefined) found.push({ Key, UploadId, begunAt });
      }
      next = page.IsTruncated === true && page.NextKeyMarker !== undefined
        ? {
          KeyMarker: page.NextKeyMarker,
          ...(page.NextUploadIdMarker ? { UploadIdMarker: page.NextUploadIdMarker } : {}),
        }
        : undefined;
    } catch (error) {
      if (isNotImplemented(error)) return [];
      throw error;
    }
  }
  return found;
}

// A part that the store was still taking in when the upload was aborted may outlive that.
const abortsAtMost = 4;
const abortAgainMs = 100;

/**
 * Aborts an upload, again until the store knows no more of it: "it might be necessary to abort a
 * given multipart upload multiple times in order to completely free all storage". One that is gone
 * is fine.
 *
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
 */
export async function abortUpload(
  access: Access,
  name: string,
  UploadId: string,
  o: Abortable,
): Promise<void> {
  const { AbortMultipartUploadCommand } = access.sdk;
  for (let tries = 1; tries <= abortsAtMost; tries++) {
    try {
      await call(
        access,
        (abortSignal) =>
          access.client.send(
            new AbortMultipartUploadCommand({ Bucket: access.bucket, Key: name, UploadId }),
            { abortSignal },
          ),
        { signal: o.signal, doing: `abort an upload to "s3://${access.bucket}/${name}"` },
      );
    } catch (error) {
      if (nameOf(error) !== "NoSuchUpload") throw error;
      return;
    }
    if (tries < abortsAtMost) await pause(abortAgainMs, undefined, { signal: o.signal });
  }
}
