import type { Bytes } from "../bytes.ts";

/**
 * Cuts one stream into consecutive streams of at most `volumeBytes` each, copying nothing. Every
 * volume but the last is exactly that long; an empty stream gives one empty volume, and there is
 * no other empty one.
 *
 * Read each volume to its end before asking for the next.
 *
 * @throws RangeError for a volume size below 1, or when a volume is left half read
 */
export async function* volumes(bytes: Bytes, volumeBytes: number): AsyncGenerator<Bytes> {
  if (!(volumeBytes >= 1)) throw new RangeError(`A volume cannot have ${volumeBytes} bytes`);
  const source = bytes[Symbol.asyncIterator]();
  let rest: Uint8Array | undefined;
  let isOver = false;

  /** The next piece, of at most `limit` bytes: what the last cut left, or a fresh chunk. */
  async function take(limit: number): Promise<Uint8Array | undefined> {
    while (rest === undefined || rest.byteLength === 0) {
      const next = await source.next();
      if (next.done) {
        isOver = true;
        return undefined;
      }
      rest = next.value;
    }
    const piece = rest.subarray(0, limit);
    rest = rest.subarray(piece.byteLength);
    return piece;
  }

  /** Looks one chunk ahead, so that no empty volume follows the last full one. */
  async function hasMore(): Promise<boolean> {
    const piece = await take(0);
    return piece !== undefined;
  }

  try {
    let isFirst = true;
    while (!isOver && (isFirst || await hasMore())) {
      isFirst = false;
      let isWhole = false;
      yield (async function* (): Bytes {
        let left = volumeBytes;
        while (left > 0) {
          const piece = await take(left);
          if (piece === undefined) break;
          left -= piece.byteLength;
          yield piece;
        }
        isWhole = true;
      })();
      if (!isWhole) throw new RangeError("The next volume was asked for before this one was read");
    }
  } finally {
    if (!isOver) await source.return?.();
  }
}
