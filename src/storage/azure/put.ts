import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { ObjectInfo } from "../../contracts/storage.ts";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { BackupError, type ErrorCode, hasCode } from "../../core/errors.ts";
import { formatBytes } from "../../core/text.ts";
import type { PartBuffers } from "../part-buffers.ts";
import { type PartUpload, sendParts } from "../parts.ts";
import type { AzureClient } from "./client.ts";
import { azureError, type Doing, fromStore, reasonOf } from "./errors.ts";
import { findBlob } from "./stat.ts";
import { toInfo } from "./object.ts";

/** How blobs are written. */
export interface PutOptions extends Abortable {
  readonly buffers: PartBuffers;
  readonly retainUntil: Date | undefined;
  /** Whether the retention can be taken back by somebody with the right to. */
  readonly retentionMode: "Locked" | "Unlocked";
  /** Begins the names of this put's blocks, so that no other writer's are taken for them. */
  readonly putId: string;
}

/**
 * Stores a blob: what fits into one part by one request, anything longer block by block. Each request
 * carries the MD5 of its bytes, so that the store refuses what it received differently.
 *
 * @throws BackupError `storage/exists`
 */
export async function putBlob(
  client: AzureClient,
  name: string,
  key: string,
  body: Bytes | Uint8Array,
  o: PutOptions,
): Promise<ObjectInfo> {
  return await sendParts(body, {
    whole: (bytes, signal) => putWhole(client, name, key, bytes, { ...o, signal }),
    begin: (signal) => beginBlocks(client, name, key, { ...o, signal }),
  }, o);
}

async function putWhole(
  client: AzureClient,
  name: string,
  key: string,
  bytes: Uint8Array,
  o: PutOptions,
): Promise<ObjectInfo> {
  const md5 = md5Of(bytes);
  const wanted = { bytes: bytes.byteLength, checksum: md5.toString("base64") };
  try {
    return await client.call(doing(client, name), async (abortSignal, nth) => {
      const storing = client.blob(name).upload(bytes, bytes.byteLength, {
        abortSignal,
        transactionalContentMD5: md5,
        conditions: { ifNoneMatch: "*" },
        metadata: { [checksumName]: wanted.checksum },
        ...retentionOf(o),
      });
      const done = await orThere(client, { name, key, wanted }, storing, {
        signal: abortSignal,
        nth,
      });
      if ("key" in done) return done;
      if (!isTold(done.contentMD5, md5)) {
        const conditions = done.etag === undefined ? {} : { ifMatch: done.etag };
        await client.blob(name).delete({ abortSignal, conditions });
        throw damaged("storage/checksum", client.show(name));
      }
      return toInfo({ ...done, contentLength: wanted.bytes }, key, done.versionId);
    }, { signal: o.signal, bytes: bytes.byteLength });
  } catch (error) {
    if (!hasCode(error, "storage/exists") || await findBlob(client, name, o) !== undefined) {
      throw error;
    }
    // What is in the way is an upload that was cut short: it has a name and blocks, but no content.
    const upload = await beginBlocks(client, name, key, o);
    await upload.send({ number: 1, offset: 0, bytes, isLast: true }, o.signal);
    return await upload.complete(bytes.byteLength, o.signal);
  }
}

/** Blocks that are never committed are no blob: the store drops them after a week. */
async function beginBlocks(
  client: AzureClient,
  name: string,
  key: string,
  o: PutOptions,
): Promise<PartUpload<ObjectInfo>> {
  // Blocks can be sent for a blob that is there, and only the commit would be refused.
  if (await findBlob(client, name, o) !== undefined) throw taken(client.show(name));
  const blocks: { readonly id: string; readonly md5: Buffer }[] = [];
  const blob = client.blob(name);
  return {
    async send({ number, bytes }, signal) {
      if (number > mostBlocks) throw tooLong(client.show(name), o.buffers.partBytes);
      const md5 = md5Of(bytes);
      // All ids of a blob must have the same length.
      const id = Buffer.from(o.putId + String(number).padStart(6, "0")).toString("base64");
      blocks[number - 1] = { id, md5 };
      await client.call(doing(client, name), async (abortSignal) => {
        const { contentMD5 } = fromStore(
          await blob.stageBlock(id, bytes, bytes.byteLength, {
            abortSignal,
            transactionalContentMD5: md5,
          }),
        );
        if (!isTold(contentMD5, md5)) throw damaged("storage/unavailable", client.show(name));
      }, { signal, bytes: bytes.byteLength });
    },
    async complete(bytes, signal) {
      const checksum = md5Of(Buffer.concat(blocks.map(({ md5 }) => md5))).toString("base64");
      const wanted = { bytes, checksum };
      return await client.call(doing(client, name), async (abortSignal, nth) => {
        const storing = blob.commitBlockList(blocks.map(({ id }) => id), {
          abortSignal,
          conditions: { ifNoneMatch: "*" },
          metadata: { [checksumName]: checksum },
          ...retentionOf(o),
        });
        const done = await orThere(client, { name, key, wanted }, storing, {
          signal: abortSignal,
          nth,
        });
        return "key" in done
          ? done
          : toInfo({ ...done, contentLength: bytes }, key, done.versionId);
      }, { signal });
    },
    abort: () => Promise.resolve(),
  };
}

// The store's limit.
const mostBlocks = 50_000;

/**
 * Of a small blob its MD5; of one in blocks the MD5 of their MD5s, because the store computes none of
 * the whole, and doing so here would mean to go over every byte twice.
 */
const checksumName = "dbbackup_checksum";

/** What a blob is to be. */
interface Wanted {
  readonly bytes: number;
  readonly checksum: string;
}

/**
 * The answer to the request that makes the blob; after a first try whose answer was lost it may be
 * there already, and then what is there decides.
 */
async function orThere<T extends { readonly requestId?: string }>(
  client: AzureClient,
  { name, key, wanted }: {
    readonly name: string;
    readonly key: string;
    readonly wanted: Wanted;
  },
  storing: Promise<T>,
  { signal, nth }: { signal: AbortSignal; nth: number },
): Promise<T | ObjectInfo> {
  try {
    return fromStore(await storing);
  } catch (cause) {
    if (signal.aborted) throw cause;
    const error = azureError(cause, doing(client, name), client.now());
    // Whoever commits a blob first takes the blocks away from all others.
    const isRobbed = reasonOf(error) === "InvalidBlockList";
    if (!isRobbed && (nth === 1 || !hasCode(error, "storage/exists"))) throw error;
    const there = await findBlob(client, name, { signal });
    if (there === undefined) throw error;
    const isOurs = there.contentLength === wanted.bytes &&
      there.metadata?.[checksumName] === wanted.checksum;
    if (isOurs && nth > 1) return toInfo(there, key, there.versionId);
    throw taken(client.show(name), error);
  }
}

function md5Of(bytes: Uint8Array): Buffer {
  return createHash("md5").update(bytes).digest();
}

/** The store tells the MD5 of what it has got; not in every version of its protocol. */
function isTold(told: Uint8Array | undefined, md5: Buffer): boolean {
  return told === undefined || md5.equals(told);
}

function damaged(code: ErrorCode, what: string): BackupError {
  return new BackupError(code, `The store acknowledged other bytes than were sent of "${what}"`, {
    hint: "Look into the store, or what lies between: it damages what it is given.",
  });
}

function retentionOf({ retainUntil, retentionMode }: PutOptions) {
  if (retainUntil === undefined) return {};
  return { immutabilityPolicy: { expiriesOn: retainUntil, policyMode: retentionMode } };
}

function doing(client: AzureClient, name: string): Doing {
  return { verb: "write", what: client.show(name) };
}

function taken(what: string, cause?: unknown): BackupError {
  return new BackupError("storage/exists", `Cannot write "${what}": it exists already`, {
    cause,
    hint: "Nothing is ever overwritten. Delete it first if it is not needed.",
  });
}

function tooLong(what: string, partBytes: number): BackupError {
  const most = formatBytes(mostBlocks * partBytes);
  return new BackupError("storage/full", `Cannot write "${what}": it is longer than ${most}`, {
    hint: "Set the job's volumeSize below that.",
  });
}
