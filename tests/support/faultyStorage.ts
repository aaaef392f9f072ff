import type { ObjectInfo, Storage } from "../../src/contracts/storage.ts";
import type { Bytes } from "../../src/core/bytes.ts";

/** What goes wrong with a {@link withFaults} storage. Calls are counted from 1, over all keys. */
export interface Faults {
  /** The nth put fails before it reads its body. */
  readonly failPut?: { readonly nth: number; readonly error: unknown };
  /** The nth put fails once it has read this many bytes of its body. */
  readonly cutPut?: { readonly nth: number; readonly afterBytes: number; readonly error: unknown };
  /** The nth put reads only this many bytes and calls that stored, as a broken store does. */
  readonly shortPut?: { readonly nth: number; readonly bytes: number };
  /** The nth get ends after this many bytes: with the error, or quietly without one. */
  readonly cutGet?: { readonly nth: number; readonly afterBytes: number; readonly error?: unknown };
  /** Every get turns over one bit of the byte at this place. */
  readonly flipGet?: { readonly key: string; readonly offset: number };
  /** Every delete fails. */
  readonly failDelete?: { readonly error: unknown };
  /** Every list fails. */
  readonly failList?: { readonly error: unknown };
  /** Each chunk, of a put or a get, takes this long. */
  readonly delayMs?: number;
}

/** Wraps a storage so that it fails as told: for tests of whoever uses storages. */
export function withFaults(storage: Storage, faults: Faults): Storage {
  let puts = 0;
  let gets = 0;

  async function put(
    key: string,
    body: Bytes | Uint8Array,
    o: Parameters<Storage["put"]>[2],
  ): Promise<ObjectInfo> {
    const nth = ++puts;
    if (faults.failPut?.nth === nth) throw faults.failPut.error;
    let bytes = body instanceof Uint8Array ? once(body) : body;
    if (faults.delayMs !== undefined) bytes = slowed(bytes, faults.delayMs, o.signal);
    if (faults.cutPut?.nth === nth) {
      bytes = cut(bytes, faults.cutPut.afterBytes, { error: faults.cutPut.error });
    }
    if (faults.shortPut?.nth === nth) bytes = cut(bytes, faults.shortPut.bytes, undefined);
    return await storage.put(key, bytes, o);
  }

  function get(key: string, o: Parameters<Storage["get"]>[1]): Bytes {
    const nth = ++gets;
    let bytes = storage.get(key, o);
    if (faults.delayMs !== undefined) bytes = slowed(bytes, faults.delayMs, o.signal);
    if (faults.flipGet?.key === key) bytes = flipped(bytes, faults.flipGet.offset);
    if (faults.cutGet?.nth !== nth) return bytes;
    const { afterBytes, error } = faults.cutGet;
    return cut(bytes, afterBytes, error === undefined ? undefined : { error });
  }

  return {
    location: storage.location,
    put,
    get,
    stat: (key, o) => storage.stat(key, o),
    async *list(prefix, o) {
      if (faults.failList !== undefined) throw faults.failList.error;
      yield* storage.list(prefix, o);
    },
    async delete(key, o) {
      if (faults.failDelete !== undefined) throw faults.failDelete.error;
      await storage.delete(key, o);
    },
    sweep: (prefix, o) => storage.sweep(prefix, o),
    close: () => storage.close(),
  };
}

async function* once(content: Uint8Array): Bytes {
  yield content;
}

async function* slowed(bytes: Bytes, delayMs: number, signal: AbortSignal): Bytes {
  for await (const chunk of bytes) {
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    signal.throwIfAborted();
    yield chunk;
  }
}

async function* cut(
  bytes: Bytes,
  afterBytes: number,
  failure: { readonly error: unknown } | undefined,
): Bytes {
  let left = afterBytes;
  for await (const chunk of bytes) {
    if (chunk.byteLength >= left) {
      if (left > 0) yield chunk.subarray(0, left);
      break;
    }
    left -= chunk.byteLength;
    yield chunk;
  }
  if (failure !== undefined) throw failure.error;
}

async function* flipped(bytes: Bytes, offset: number): Bytes {
  let position = 0;
  for await (const chunk of bytes) {
    const index = offset - position;
    position += chunk.byteLength;
    if (index < 0 || index >= chunk.byteLength) {
      yield chunk;
      continue;
    }
    const copy = new Uint8Array(chunk);
    copy[index]! ^= 1;
    yield copy;
  }
}
