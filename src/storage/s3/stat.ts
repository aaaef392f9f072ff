import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import type { ObjectInfo } from "../../contracts/storage.ts";
import { hasCode } from "../../core/errors.ts";
import { type Access, call, urlOf } from "./client.ts";
import { assertTagged } from "./checksum.ts";

/** The name in an object's metadata by which a put recognises what it has written itself. */
export const tokenName = "dbbackup-put";

/** Asks for the head of an object, or of one version; undefined when there is none. */
export async function headObject(
  access: Access,
  name: string,
  o: { readonly signal: AbortSignal; readonly version?: string },
): Promise<HeadObjectCommandOutput | undefined> {
  const { HeadObjectCommand } = access.sdk;
  try {
    return await call(
      access,
      async (abortSignal) => {
        const head = await access.client.send(
          new HeadObjectCommand({
            Bucket: access.bucket,
            Key: name,
            ChecksumMode: "ENABLED",
            ...(o.version === undefined ? {} : { VersionId: o.version }),
          }),
          { abortSignal },
        );
        // A marker that hides versions has none, and is told as missing.
        assertTagged(head);
        return head;
      },
      { signal: o.signal, doing: `look at "${urlOf(access, name)}"` },
    );
  } catch (error) {
    if (hasCode(error, "storage/not-found")) return undefined;
    throw error;
  }
}

/** Describes an object; undefined when there is none. */
export async function statObject(
  access: Access,
  key: string,
  o: { readonly signal: AbortSignal },
): Promise<ObjectInfo | undefined> {
  const head = await headObject(access, access.keys.toName(key), o);
  return head === undefined ? undefined : infoOf(key, head, access.runtime.now());
}

/** An object's description out of its head. */
export function infoOf(key: string, head: HeadObjectCommandOutput, now: Date): ObjectInfo {
  return {
    key,
    bytes: head.ContentLength ?? 0,
    modifiedAt: head.LastModified ?? now,
    ...versionOf(head),
    ...(head.ObjectLockRetainUntilDate === undefined
      ? {}
      : { retainedUntil: head.ObjectLockRetainUntilDate }),
  };
}

/** The version of an answer, as part of an {@link ObjectInfo}. */
export function versionOf(answer: { readonly VersionId?: string }): { version?: string } {
  // "null" is what an object without a version is called in a bucket that could have some.
  const { VersionId } = answer;
  return VersionId === undefined || VersionId === "null" ? {} : { version: VersionId };
}
