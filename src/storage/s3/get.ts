import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import type { Abortable, ByteRange, Bytes } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { type OpenRead, readResumably } from "../read.ts";
import { type Access, urlOf } from "./client.ts";
import { assertTagged } from "./checksum.ts";
import { nameOf, s3Error } from "./errors.ts";

/** Streams an object, or a range of it. */
export async function* getObject(
  access: Access,
  key: string,
  o: Abortable & { range?: ByteRange; version?: string },
): Bytes {
  const name = access.keys.toName(key);
  const doing = `read "${urlOf(access, name)}"`;
  const { runtime, policy, waiting } = access;
  yield* readResumably((from, signal) => openRead(access, name, doing, from, o.version, signal), {
    signal: o.signal,
    runtime,
    policy,
    ...waiting.told,
    name: urlOf(access, name),
    stallMs: waiting.stallMs,
    ...(o.range === undefined ? {} : { range: o.range }),
  });
}

async function openRead(
  access: Access,
  name: string,
  doing: string,
  from: ByteRange & { tag?: string },
  version: string | undefined,
  abortSignal: AbortSignal,
): Promise<OpenRead | undefined> {
  const { GetObjectCommand } = access.sdk;
  const isPart = from.start > 0 || from.end !== undefined;
  try {
    const answer = await access.client.send(
      new GetObjectCommand({
        Bucket: access.bucket,
        Key: name,
        ...(isPart ? { Range: `bytes=${from.start}-${from.end ?? ""}` } : {}),
        ...(from.tag === undefined ? {} : { IfMatch: from.tag }),
        ...(version === undefined ? {} : { VersionId: version }),
      }),
      { abortSignal },
    );
    assertTagged(answer);
    return {
      bytes: bodyOf(answer, access, doing),
      length: lengthOf(answer, from, isPart, doing),
      tag: answer.ETag ?? answer.VersionId ?? "",
    };
  } catch (error) {
    const ours = s3Error(error, doing, access.runtime);
    if (nameOf(ours) === "InvalidRange" || ours.details?.status === 416) return undefined;
    if (from.tag === undefined || !hasCode(ours, "storage/exists")) throw ours;
    throw new BackupError("storage/failed", `Cannot ${doing}: it changed while it was read`, {
      cause: ours,
      hint: "dbbackup never rewrites an object; find out what else writes to this destination.",
    });
  }
}

async function* bodyOf(answer: GetObjectCommandOutput, access: Access, doing: string): Bytes {
  const body: unknown = answer.Body;
  if (!isIterable(body)) return;
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    throw s3Error(error, doing, access.runtime);
  }
}

function isIterable(body: unknown): body is Bytes {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/** How many bytes the answer brings; a store that ignores ranges must not pass unnoticed. */
function lengthOf(
  answer: GetObjectCommandOutput,
  from: ByteRange,
  isPart: boolean,
  doing: string,
): number {
  const length = answer.ContentLength;
  const start = /^bytes (\d+)-/.exec(answer.ContentRange ?? "")?.[1];
  if (length === undefined || (isPart && start !== String(from.start))) {
    throw new BackupError("storage/failed", `Cannot ${doing}: the store does not serve ranges`, {
      hint: "Run `dbbackup doctor` to see what it can do.",
    });
  }
  return length;
}
