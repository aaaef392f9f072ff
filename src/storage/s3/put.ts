import { Buffer } from "node:buffer";
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import type { ObjectInfo } from "../../contracts/storage.ts";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { ForeignAnswer } from "../foreign.ts";
import { type Part, type PartUpload, sendParts } from "../parts.ts";
import { type Access, call, urlOf } from "./client.ts";
import { assertStored, compositeCrc32, crc32Of, mismatch } from "./checksum.ts";
import { isNotImplemented, nameOf } from "./errors.ts";
import { abortUpload } from "./sweep.ts";
import { headObject, infoOf, tokenName, versionOf } from "./stat.ts";

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const mostParts = 10_000;
// Putting very many parts together takes AWS minutes.
const completeTimeoutMs = 10 * 60_000;
// Cleaning up goes on after an abort, so it has a limit of its own.
const cleanUpTimeoutMs = 15_000;
// A part that the store has wrong is sent again this often.
const mismatchesForgiven = 2;

/** One put under way. */
interface Put {
  readonly key: string;
  /** The key with the destination's prefix. */
  readonly name: string;
  readonly doing: string;
  /** In the object's metadata, so that an object can be told to be this put's own. */
  readonly token: string;
  readonly retainUntil: Date | undefined;
}

/**
 * Stores an object: in one request when it fits into a part, else as a multipart upload. Nothing
 * is overwritten: the store is told to refuse that, and is asked before where it might not.
 */
export async function putObject(
  access: Access,
  key: string,
  body: Bytes | Uint8Array,
  o: Abortable & { retainUntil?: Date | "none" },
): Promise<ObjectInfo> {
  const name = access.keys.toName(key);
  const put: Put = {
    key,
    name,
    doing: `write "${urlOf(access, name)}"`,
    token: Buffer.from(access.runtime.random(16)).toString("hex"),
    retainUntil: o.retainUntil === "none" ? undefined : o.retainUntil ?? retentionEnd(access),
  };
  return await sendParts(body, {
    whole: (bytes, signal) => putWhole(access, put, bytes, signal),
    begin: (signal) => beginUpload(access, put, signal),
  }, { signal: o.signal, buffers: access.buffers });
}

function retentionEnd({ upload, runtime }: Access): Date | undefined {
  const { days } = upload.retention;
  return days === undefined ? undefined : new Date(runtime.now().getTime() + days * 86_400_000);
}

async function putWhole(
  access: Access,
  put: Put,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<ObjectInfo> {
  if (access.learnt.conditionalWrites !== "trusted") await assertFree(access, put, signal);
  const crc = crc32Of(bytes);
  try {
    const answer = await conditionally(access, (condition) =>
      call(access, async (abortSignal) => {
        const { PutObjectCommand } = access.sdk;
        const answer = await access.client.send(
          new PutObjectCommand({
            ...headersOf(access, put),
            Body: bytes,
            ContentLength: bytes.byteLength,
            ChecksumCRC32: crc,
            ...condition,
          }),
          { abortSignal },
        );
        assertStored(answer, bytes, crc, put.doing);
        return answer;
      }, { signal, doing: put.doing, bytes: bytes.byteLength }));
    return written(put, bytes.byteLength, access.runtime.now(), answer);
  } catch (error) {
    if (hasCode(error, "storage/exists")) {
      // An earlier try may have been the one that made it, and only its answer was lost.
      const own = await ownObject(access, put, bytes.byteLength, signal);
      if (own === undefined) throw error;
      assertStored(own, bytes, crc, put.doing);
      return infoOf(put.key, own, access.runtime.now());
    }
    await withdraw(access, put);
    throw error;
  }
}

async function beginUpload(
  access: Access,
  put: Put,
  signal: AbortSignal,
): Promise<PartUpload<ObjectInfo>> {
  const { CreateMultipartUploadCommand } = access.sdk;
  await assertFree(access, put, signal);
  const created = await call(
    access,
    async (abortSignal) => {
      const { UploadId, ChecksumAlgorithm } = await access.client.send(
        new CreateMultipartUploadCommand({
          ...headersOf(access, put),
          ChecksumAlgorithm: "CRC32",
        }),
        { abortSignal },
      );
      if (UploadId === undefined) throw new ForeignAnswer("it tells no id of the upload");
      return { UploadId, ChecksumAlgorithm };
    },
    { signal, doing: put.doing },
  );
  const id = created.UploadId;
  // Which a store that knows nothing of checksums does not repeat.
  const hasChecksums = created.ChecksumAlgorithm === "CRC32";
  const parts: SentPart[] = [];
  let hasBegunToComplete = false;

  return {
    async send(part, signal) {
      parts[part.number - 1] = await sendPart(access, put, id, part, signal);
    },
    async complete(totalBytes, signal) {
      hasBegunToComplete = true;
      await completeUpload(access, put, { id, parts, hasChecksums, totalBytes }, signal);
      const head = await ownObject(access, put, totalBytes, signal);
      if (head === undefined) throw vanished(put);
      const wanted = compositeCrc32(parts.map(({ crc }) => crc));
      const found = head.ChecksumCRC32;
      if (found?.includes("-") && found !== wanted) throw mismatch(put.doing, wanted, found);
      return infoOf(put.key, head, access.runtime.now());
    },
    async abort() {
      const signal = AbortSignal.timeout(cleanUpTimeoutMs);
      await abortUpload(access, put.name, id, { signal });
      if (hasBegunToComplete) await withdraw(access, put);
    },
  };
}

interface SentPart {
  readonly etag: string;
  readonly crc: string;
}

async function sendPart(
  access: Access,
  put: Put,
  id: string,
  part: Part,
  signal: AbortSignal,
): Promise<SentPart> {
  const { UploadPartCommand } = access.sdk;
  if (part.number > mostParts) throw tooLarge(access, put);
  const crc = crc32Of(part.bytes);
  let mismatches = 0;
  return await call(access, async (abortSignal) => {
    const answer = await access.client.send(
      new UploadPartCommand({
        Bucket: access.bucket,
        Key: put.name,
        UploadId: id,
        PartNumber: part.number,
        Body: part.bytes,
        ContentLength: part.bytes.byteLength,
        ChecksumCRC32: crc,
      }),
      { abortSignal },
    );
    assertStored(answer, part.bytes, crc, put.doing);
    return { etag: answer.ETag ?? "", crc };
  }, {
    signal,
    doing: put.doing,
    bytes: part.bytes.byteLength,
    judge: (error) => {
      if (!hasCode(error, "storage/checksum")) return access.calls.judge(error);
      return ++mismatches > mismatchesForgiven ? "final" : "retry";
    },
  });
}

async function completeUpload(
  access: Access,
  put: Put,
  { id, parts, hasChecksums, totalBytes }: {
    readonly id: string;
    readonly parts: readonly SentPart[];
    readonly hasChecksums: boolean;
    readonly totalBytes: number;
  },
  signal: AbortSignal,
): Promise<void> {
  const { CompleteMultipartUploadCommand } = access.sdk;
  const Parts = parts.map(({ etag, crc }, index) => ({
    PartNumber: index + 1,
    ETag: etag,
    ...(hasChecksums ? { ChecksumCRC32: crc } : {}),
  }));
  try {
    await conditionally(access, (condition) =>
      call(
        access,
        (abortSignal) =>
          access.client.send(
            new CompleteMultipartUploadCommand({
              Bucket: access.bucket,
              Key: put.name,
              UploadId: id,
              MultipartUpload: { Parts },
              ...condition,
            }),
            { abortSignal },
          ),
        { signal, doing: put.doing, timeoutMs: completeTimeoutMs },
      ));
  } catch (error) {
    // Both are also what a second try gets to hear after a first whose answer was lost.
    if (!hasCode(error, "storage/exists") && nameOf(error) !== "NoSuchUpload") throw error;
    if (await ownObject(access, put, totalBytes, signal) === undefined) throw error;
  }
}

function headersOf(access: Access, put: Put) {
  const { storageClass, serverSideEncryption, sseKmsKeyId, retention } = access.upload;
  const { retainUntil } = put;
  return {
    Bucket: access.bucket,
    Key: put.name,
    Metadata: { [tokenName]: put.token },
    StorageClass: storageClass,
    ServerSideEncryption: serverSideEncryption,
    SSEKMSKeyId: sseKmsKeyId,
    ...(retainUntil === undefined ? {} : {
      ObjectLockMode: retention.mode === "compliance" ? "COMPLIANCE" : "GOVERNANCE",
      ObjectLockRetainUntilDate: retainUntil,
    }),
  } satisfies Partial<PutObjectCommandInput>;
}

/**
 * Writes under the condition that nothing is there; without it where the store says that it has no
 * such condition. The caller has asked before then, which leaves a moment in which two writers can
 * both find the name free.
 */
async function conditionally<T>(
  access: Access,
  write: (condition: { readonly IfNoneMatch?: "*" }) => Promise<T>,
): Promise<T> {
  if (access.learnt.conditionalWrites === "missing") return await write({});
  try {
    return await write({ IfNoneMatch: "*" });
  } catch (error) {
    if (!isNotImplemented(error)) throw error;
    access.learnt.conditionalWrites = "missing";
    access.runtime.log.info("{location} has no conditional writes; looking before each instead", {
      location: access.location,
    });
    return await write({});
  }
}

/** @throws BackupError `storage/exists` */
async function assertFree(access: Access, put: Put, signal: AbortSignal): Promise<void> {
  if (await headObject(access, put.name, { signal }) === undefined) return;
  throw new BackupError("storage/exists", `Cannot ${put.doing}: it exists already`, {
    hint: "Nothing is ever overwritten. Delete it first if it is not needed.",
  });
}

/** The head of the object when this very put has made it, whole. */
async function ownObject(access: Access, put: Put, bytes: number, signal: AbortSignal) {
  const head = await headObject(access, put.name, { signal });
  return head?.Metadata?.[tokenName] === put.token && head.ContentLength === bytes
    ? head
    : undefined;
}

/** Removes what a failed put may have made all the same. Whatever goes wrong is ignored. */
async function withdraw(access: Access, put: Put): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpTimeoutMs);
  const { DeleteObjectCommand } = access.sdk;
  try {
    const head = await headObject(access, put.name, { signal });
    if (head?.Metadata?.[tokenName] !== put.token) return;
    const { version } = versionOf(head);
    await access.client.send(
      new DeleteObjectCommand({ Bucket: access.bucket, Key: put.name, VersionId: version }),
      { abortSignal: signal },
    );
  } catch {
    // The error of the put itself is what counts.
  }
}

function written(
  put: Put,
  bytes: number,
  modifiedAt: Date,
  answer: { readonly VersionId?: string },
): ObjectInfo {
  const retainedUntil = put.retainUntil === undefined ? {} : { retainedUntil: put.retainUntil };
  return { key: put.key, bytes, modifiedAt, ...versionOf(answer), ...retainedUntil };
}

function tooLarge(access: Access, put: Put): BackupError {
  return new BackupError(
    "storage/failed",
    `Cannot ${put.doing}: it takes more than ${mostParts} parts of ${access.buffers.partBytes} bytes`,
    { hint: "Raise the destination's partSize, or lower the job's volumeSize." },
  );
}

function vanished(put: Put): BackupError {
  return new BackupError(
    "storage/failed",
    `Cannot ${put.doing}: the store acknowledged it, but does not show it`,
    { hint: "The store loses data: do not trust it with backups before that is understood." },
  );
}
