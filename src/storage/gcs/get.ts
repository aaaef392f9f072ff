import type { Abortable, ByteRange, Bytes } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { ForeignAnswer } from "../foreign.ts";
import type { OpenRead } from "../read.ts";
import type { GcsClient } from "./client.ts";
import { connectionError, type Doing, isBucketMissing, readJson } from "./errors.ts";
import { type GcsObject, gcsObject, objectFields } from "./object.ts";

/** Streams an object, or a range of it. */
export function getObject(
  client: GcsClient,
  name: string,
  o: Abortable & { range?: ByteRange; version?: string },
): Bytes {
  return client.calls.read(
    ({ start, end, tag }, signal) =>
      openRange(client, name, { start, end }, tag ?? o.version, signal),
    { ...o, name: client.show(name) },
  );
}

/** The object's resource; undefined when there is none. */
export async function findObject(
  client: GcsClient,
  name: string,
  o: Abortable,
): Promise<GcsObject | undefined> {
  const doing = { verb: "look at", what: client.show(name) };
  const request = {
    method: "GET",
    url: `${client.objectPath(name)}?${new URLSearchParams({ fields: objectFields })}`,
    doing,
    accept: [404],
  } as const;
  const found = await client.calls.call(async (signal) => {
    const { status, text } = await client.once(request, { signal });
    return status === 404 ? { text } : { object: readJson(gcsObject, text, doing) };
  }, o);
  if (found.object !== undefined) return found.object;
  if (!isBucketMissing(found.text)) return undefined;
  throw new BackupError(
    "storage/not-found",
    `Cannot ${doing.verb} "${doing.what}": no such bucket`,
  );
}

/** Of these a store sends at least one with each object. */
const marks = ["x-goog-generation", "x-goog-hash", "etag"];

async function openRange(
  client: GcsClient,
  name: string,
  { start, end }: ByteRange,
  generation: string | undefined,
  signal: AbortSignal,
): Promise<OpenRead | undefined> {
  const query = new URLSearchParams({
    alt: "media",
    ...(generation === undefined ? {} : { generation }),
  });
  const doing = { verb: "read", what: client.show(name) };
  const response = await client.open({
    method: "GET",
    url: `${client.objectPath(name)}?${query}`,
    headers: { "range": `bytes=${start}-${end ?? ""}`, "accept-encoding": "identity" },
    doing,
    accept: [416],
  }, { signal });
  if (response.status === 416) {
    await response.body?.cancel();
    return undefined;
  }
  if (response.status !== 206 && start > 0) {
    throw new BackupError("storage/failed", `Cannot read "${doing.what}": the store gave no range`);
  }
  if (marks.every((name) => !response.headers.has(name))) {
    await response.body?.cancel();
    throw connectionError(new ForeignAnswer("it does not have the marks of an object"), doing);
  }
  const length = response.headers.get("content-length");
  if (length === null) {
    await response.body?.cancel();
    throw new BackupError("storage/failed", `Cannot read "${doing.what}": its length is not told`);
  }
  return {
    bytes: received(response.body, doing),
    length: Number(length),
    tag: response.headers.get("x-goog-generation") ?? generation ?? "",
  };
}

async function* received(body: AsyncIterable<Uint8Array> | null, doing: Doing): Bytes {
  try {
    yield* body ?? [];
  } catch (error) {
    throw connectionError(error, doing);
  }
}
