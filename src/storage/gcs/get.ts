import type { Abortable, ByteRange, Bytes } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { ForeignAnswer } from "../foreign.ts";
import type { OpenRead } from "../read.ts";
import type { GcsClient } from "./client.ts";
import { connectionError, type Doing } from "./errors.ts";

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
