import type { Abortable, ByteRange, Bytes } from "../../core/bytes.ts";
import type { OpenRead } from "../read.ts";
import type { AzureClient } from "./client.ts";
import { azureError, fromStore, isBeyondEnd } from "./errors.ts";

/** Streams a blob, or a range of it. */
export function getBlob(
  client: AzureClient,
  name: string,
  o: Abortable & { range?: ByteRange; version?: string },
): Bytes {
  return client.calls.read(
    ({ start, end, tag }, signal) =>
      openRange(client, name, { start, end, tag, version: o.version }, signal),
    { ...o, name: client.show(name) },
  );
}

async function openRange(
  client: AzureClient,
  name: string,
  { start, end, tag, version }: ByteRange & { tag?: string; version?: string },
  signal: AbortSignal,
): Promise<OpenRead | undefined> {
  const blob = version === undefined ? client.blob(name) : client.blob(name).withVersion(version);
  const count = end === undefined ? undefined : end - start + 1;
  try {
    const answer = await blob.download(start, count, {
      abortSignal: signal,
      ...(tag === undefined ? {} : { conditions: { ifMatch: tag } }),
    });
    // Who closes a read before it has ended makes the stream fail with nobody listening.
    answer.readableStreamBody?.on("error", () => {});
    fromStore(answer);
    return {
      bytes: received(client, name, answer.readableStreamBody),
      length: answer.contentLength ?? 0,
      tag: answer.etag ?? "",
    };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (isBeyondEnd(error)) return undefined;
    throw readError(client, name, error);
  }
}

async function* received(
  client: AzureClient,
  name: string,
  body: AsyncIterable<unknown> | undefined,
): Bytes {
  try {
    for await (const chunk of body ?? []) if (chunk instanceof Uint8Array) yield chunk;
  } catch (error) {
    throw readError(client, name, error);
  }
}

function readError(client: AzureClient, name: string, error: unknown): unknown {
  const doing = { verb: "read", what: client.show(name) };
  return azureError(error, doing, client.now());
}
