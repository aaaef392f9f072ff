import type { Abortable, Bytes } from "../core/bytes.ts";
import { abortable } from "../core/retry.ts";
import type { PartBuffers } from "./part-buffers.ts";

/** A piece of a body. */
export interface Part {
  /** From 1. */
  readonly number: number;
  /** Where it starts in the body. */
  readonly offset: number;
  /** Exactly `partBytes` long unless it is the last; valid until `send` settles. */
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** Where a body goes; the driver of a store. Retrying is its own, part by part. */
export interface PartSink<R> {
  /** Stores a body that fits into one part, with one plain put. */
  whole(bytes: Uint8Array, signal: AbortSignal): Promise<R>;
  /** Starts an upload in parts; called once, when the body turns out to be longer. */
  begin(signal: AbortSignal): Promise<PartUpload<R>>;
}

/** An upload in parts that is under way. */
export interface PartUpload<R> {
  /** Sends one part; as many at once as there are buffers. Rejecting ends the whole upload. */
  send(part: Part, signal: AbortSignal): Promise<void>;
  /** Makes the object of the parts, once all were sent. */
  complete(totalBytes: number, signal: AbortSignal): Promise<R>;
  /**
   * Throws away what was sent, after anything above failed or was aborted; nothing is being sent
   * any more. Has no signal, since the caller's may be aborted: give it a short time of its own.
   * What it throws is ignored.
   */
  abort(): Promise<void>;
}

/**
 * Sends a body in parts of a fixed size, several at once. Copies each chunk once, into one of a few
 * reused buffers, and asks the body for more only when one of them is free. A body that fits into
 * one part goes as a whole.
 *
 * The body's iteration has been ended, and nothing is being sent any more, when this settles.
 *
 * @throws what the body or the sink throws first; the signal's reason
 */
export async function sendParts<R>(
  body: Bytes | Uint8Array,
  sink: PartSink<R>,
  o: Abortable & { buffers: PartBuffers },
): Promise<R> {
  o.signal.throwIfAborted();
  if (body instanceof Uint8Array && body.byteLength <= o.buffers.partBytes) {
    return await sink.whole(body, o.signal);
  }
  const reader = openReader(body instanceof Uint8Array ? oneChunk(body) : body);
  const failed = new AbortController();
  const signal = AbortSignal.any([o.signal, failed.signal]);
  const lease = o.buffers.lease();
  const underWay = new Set<Promise<void>>();
  let upload: PartUpload<R> | undefined;

  function start(to: PartUpload<R>, part: Part, buffer: Uint8Array): void {
    const sending = to.send(part, signal)
      .catch((error) => failed.abort(error))
      .finally(() => {
        lease.give(buffer);
        underWay.delete(sending);
      });
    underWay.add(sending);
  }

  try {
    for (let number = 1, offset = 0;; number++) {
      const buffer = await lease.take(signal);
      let bytes: Uint8Array;
      let isLast: boolean;
      try {
        const length = await reader.fill(buffer, signal);
        bytes = buffer.subarray(0, length);
        isLast = length < buffer.byteLength || !await reader.hasMore(signal);
        if (isLast && number === 1) return await sink.whole(bytes, signal);
        upload ??= await sink.begin(signal);
      } catch (error) {
        lease.give(buffer);
        throw error;
      }
      start(upload, { number, offset, bytes, isLast }, buffer);
      offset += bytes.byteLength;
      if (!isLast) continue;
      await Promise.all(underWay);
      signal.throwIfAborted();
      return await upload.complete(offset, signal);
    }
  } catch (error) {
    failed.abort(error);
    await Promise.all(underWay);
    await upload?.abort().catch(() => {});
    throw o.signal.aborted ? o.signal.reason : failed.signal.reason;
  } finally {
    await reader.end();
  }
}

// deno-lint-ignore require-await
async function* oneChunk(bytes: Uint8Array): Bytes {
  yield bytes;
}

interface Reader {
  /** Copies from the body until the buffer is full or the body over; returns how many bytes. */
  fill(buffer: Uint8Array, signal: AbortSignal): Promise<number>;
  /** Whether any byte follows; looks at the next chunk and copies nothing. */
  hasMore(signal: AbortSignal): Promise<boolean>;
  end(): Promise<void>;
}

function openReader(body: Bytes): Reader {
  const source = body[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let isOver = false;
  let isAsking = false;

  async function hasMore(signal: AbortSignal): Promise<boolean> {
    while (rest.byteLength === 0 && !isOver) {
      signal.throwIfAborted();
      isAsking = true;
      const asking = source.next().then((result) => {
        isAsking = false;
        return result;
      }, (error) => {
        isOver = true;
        isAsking = false;
        throw error;
      });
      // A body that hangs must not keep a failed upload from ending.
      const next = await abortable(asking, signal);
      if (next.done) isOver = true;
      else rest = next.value;
    }
    return rest.byteLength > 0;
  }

  return {
    hasMore,
    async fill(buffer, signal) {
      let length = 0;
      while (length < buffer.byteLength && await hasMore(signal)) {
        const piece = rest.subarray(0, buffer.byteLength - length);
        buffer.set(piece, length);
        length += piece.byteLength;
        rest = rest.subarray(piece.byteLength);
      }
      return length;
    },
    async end() {
      if (isOver) return;
      const ending = Promise.resolve(source.return?.());
      // A generator that hangs in its next chunk ends only after that; do not wait for it.
      if (isAsking) ending.catch(() => {});
      else await ending;
    },
  };
}
