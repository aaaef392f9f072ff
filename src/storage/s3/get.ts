import { type Abortable, type ByteRange, type Bytes, bytesOf } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { OpenRead } from "../read.ts";
import { type Access, urlOf } from "./client.ts";
import { assertTagged } from "./checksum.ts";
import { handOverAt, isWell, readDirectly, sendAt } from "./direct.ts";
import { nameOf, s3Error } from "./errors.ts";
import { send } from "./http.ts";

/** Streams an object, or a range of it. */
export async function* getObject(
  access: Access,
  key: string,
  o: Abortable & { range?: ByteRange; version?: string },
): Bytes {
  const name = access.keys.toName(key);
  const doing = `read "${urlOf(access, name)}"`;
  yield* access.calls.read(
    (from, signal) => openRead(access, { name, doing, from, version: o.version }, signal),
    { ...o, name: urlOf(access, name) },
  );
}

async function openRead(
  access: Access,
  { name, doing, from, version }: {
    readonly name: string;
    readonly doing: string;
    readonly from: ByteRange & { tag?: string };
    readonly version: string | undefined;
  },
  abortSignal: AbortSignal,
): Promise<OpenRead | undefined> {
  const { GetObjectCommand } = access.sdk;
  const isPart = from.start > 0 || from.end !== undefined;
  const range = isPart ? `bytes=${from.start}-${from.end ?? ""}` : undefined;
  const read = (answer: Response) =>
    readAnswer(answer, access, { doing, start: isPart ? from.start : undefined });
  try {
    const request = version === undefined
      ? await access.shortcut.request(name, {
        ...(range === undefined ? {} : { range }),
        ...(from.tag === undefined ? {} : { "if-match": from.tag }),
      })
      : undefined;
    const answer = request === undefined ? undefined : await send(request, abortSignal);
    if (answer !== undefined && isWell(answer)) return await read(answer);
    const command = new GetObjectCommand({
      Bucket: access.bucket,
      Key: name,
      ...(range === undefined ? {} : { Range: range }),
      ...(from.tag === undefined ? {} : { IfMatch: from.tag }),
      ...(version === undefined ? {} : { VersionId: version }),
    });
    const direct = readDirectly(read, abortSignal, {
      ...(answer === undefined ? {} : { answer }),
      onSigned: async (signed) => {
        if (version === undefined) await access.shortcut.learn(signed, name);
      },
    });
    command.middlewareStack.add(direct.sendRequest, sendAt);
    command.middlewareStack.add(direct.handOver, handOverAt);
    await access.client.send(command, { abortSignal });
    return direct.answer();
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

// A manifest is shorter; larger ones are worth a stream.
const wholeBytes = 64 * 1024;

/** @param o.start where the asked range begins; undefined when the whole object was asked for */
async function readAnswer(
  answer: Response,
  access: Access,
  o: { readonly doing: string; readonly start: number | undefined },
): Promise<OpenRead> {
  const { headers } = answer;
  const tag = headers.get("etag") ?? undefined;
  try {
    assertTagged(tag === undefined ? {} : { ETag: tag });
    const length = lengthOf(headers, o);
    const bytes = length <= wholeBytes
      ? bytesOf(await answer.bytes())
      : bodyOf(answer.body, access, o.doing);
    return { bytes, length, tag: tag ?? "" };
  } catch (error) {
    if (!answer.bodyUsed) await answer.body?.cancel();
    throw error;
  }
}

async function* bodyOf(body: Bytes | null, access: Access, doing: string): Bytes {
  try {
    yield* body ?? [];
  } catch (error) {
    throw s3Error(error, doing, access.runtime);
  }
}

/** How many bytes the answer brings; a store that ignores ranges must not pass unnoticed. */
function lengthOf(
  headers: Headers,
  { doing, start }: { readonly doing: string; readonly start: number | undefined },
): number {
  const length = headers.get("content-length");
  const found = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1];
  if (length === null || (start !== undefined && found !== String(start))) {
    throw new BackupError("storage/failed", `Cannot ${doing}: the store does not serve ranges`, {
      hint: "Run `dbbackup doctor` to see what it can do.",
    });
  }
  return Number(length);
}
