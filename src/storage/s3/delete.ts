import type { Abortable } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { type Access, call, urlOf } from "./client.ts";
import { isNotImplemented, nameOf } from "./errors.ts";
import { headObject, versionOf } from "./stat.ts";

/**
 * Deletes an object for good. Where the bucket keeps versions, all of them go, and the markers that
 * hide them: a plain DELETE would only add such a marker, and succeed even on a locked object.
 *
 * @throws BackupError `storage/retained` before anything is deleted
 */
export async function deleteObject(
  access: Access,
  key: string,
  o: Abortable & { version?: string },
): Promise<void> {
  const name = access.keys.toName(key);
  if (o.version !== undefined) {
    await assertUnlocked(access, name, o.version, o);
    return await deleteVersion(access, name, o.version, o);
  }
  if (!await isVersioned(access, name, o)) return await deleteVersion(access, name, undefined, o);
  const { versions, markers } = await versionsOf(access, name, o);
  for (const version of versions) await assertUnlocked(access, name, version, o);
  // The current version last, so that nothing that still exists becomes unlisted.
  for (const version of [...versions.reverse(), ...markers]) {
    await deleteVersion(access, name, version, o);
  }
}

/** Whether the bucket keeps versions, or once did; asked once. Who may not ask looks at an object. */
async function isVersioned(access: Access, name: string, o: Abortable): Promise<boolean> {
  const { GetBucketVersioningCommand } = access.sdk;
  if (access.learnt.isVersioned !== undefined) return access.learnt.isVersioned;
  try {
    const { Status } = await call(
      access,
      (abortSignal) =>
        access.client.send(new GetBucketVersioningCommand({ Bucket: access.bucket }), {
          abortSignal,
        }),
      { signal: o.signal, doing: `ask whether "${access.bucket}" keeps versions` },
    );
    return access.learnt.isVersioned = Status === "Enabled" || Status === "Suspended";
  } catch (error) {
    if (isNotImplemented(error)) return access.learnt.isVersioned = false;
    if (!hasCode(error, "storage/denied")) throw error;
    const head = await headObject(access, name, o);
    return head !== undefined && versionOf(head).version !== undefined;
  }
}

/** The ids of all versions of an object and of the markers that hide them, newest first. */
async function versionsOf(
  access: Access,
  name: string,
  o: Abortable,
): Promise<{ versions: string[]; markers: string[] }> {
  const { ListObjectVersionsCommand } = access.sdk;
  const versions: string[] = [];
  const markers: string[] = [];
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  while (next !== undefined) {
    const marker: { KeyMarker?: string; VersionIdMarker?: string } = next;
    const page = await call(
      access,
      (abortSignal) =>
        access.client.send(
          new ListObjectVersionsCommand({ Bucket: access.bucket, Prefix: name, ...marker }),
          { abortSignal },
        ),
      { signal: o.signal, doing: `list the versions of "${urlOf(access, name)}"` },
    );
    for (
      const [ids, entries] of [[versions, page.Versions], [markers, page.DeleteMarkers]] as const
    ) {
      for (const { Key, VersionId } of entries ?? []) {
        if (Key === name && VersionId !== undefined) ids.push(VersionId);
      }
    }
    // Keys come in order, so those that only begin with this one come after it.
    const isOver = page.IsTruncated !== true || page.NextKeyMarker !== name;
    next = isOver ? undefined : {
      KeyMarker: name,
      ...(page.NextVersionIdMarker ? { VersionIdMarker: page.NextVersionIdMarker } : {}),
    };
  }
  return { versions, markers };
}

async function assertUnlocked(
  access: Access,
  name: string,
  version: string,
  o: Abortable,
): Promise<void> {
  const head = await headObject(access, name, { signal: o.signal, version });
  if (head?.ObjectLockLegalHoldStatus === "ON") throw retained(access, name, undefined);
  const until = head?.ObjectLockRetainUntilDate;
  if (until !== undefined && until > access.runtime.now()) throw retained(access, name, until);
}

function retained(access: Access, name: string, until: Date | undefined): BackupError {
  const why = until === undefined
    ? "it is under a legal hold"
    : `it is retained until ${until.toISOString()}`;
  return new BackupError("storage/retained", `Cannot delete "${urlOf(access, name)}": ${why}`, {
    hint: until === undefined
      ? "Somebody with the right to has to lift the hold first."
      : "It can be deleted after that; the store keeps it until then.",
    ...(until === undefined ? {} : { details: { retainedUntil: until.toISOString() } }),
  });
}

async function deleteVersion(
  access: Access,
  name: string,
  version: string | undefined,
  o: Abortable,
): Promise<void> {
  const { DeleteObjectCommand } = access.sdk;
  try {
    await call(
      access,
      (abortSignal) =>
        access.client.send(
          new DeleteObjectCommand({
            Bucket: access.bucket,
            Key: name,
            ...(version === undefined ? {} : { VersionId: version }),
          }),
          { abortSignal },
        ),
      { signal: o.signal, doing: `delete "${urlOf(access, name)}"` },
    );
  } catch (error) {
    // Credentials that may not see a lock hear of it only here.
    if (saysLocked(error) || (error instanceof BackupError && saysLocked(error.cause))) {
      throw new BackupError(
        "storage/retained",
        `Cannot delete "${urlOf(access, name)}": it is locked`,
        {
          cause: error,
          hint: "Give the credentials the right s3:GetObjectRetention: it tells until when.",
        },
      );
    }
    // A missing bucket is no missing object.
    if (!hasCode(error, "storage/not-found") || nameOf(error) === "NoSuchBucket") throw error;
  }
}

/** By the words of AWS, versitygw, MinIO and Ceph, which agree on no name for it. */
function saysLocked(error: unknown): boolean {
  return error instanceof Error &&
    /object ?lock|WORM[ -]protected|retention/i.test(error.message);
}
