import type { Bytes } from "../core/bytes.ts";

/** Reads a stream in pieces of the reader's own choice, as a parser needs. */
export interface Reader {
  /** Bytes taken so far, for messages. */
  readonly position: number;
  /** Copies the next bytes into `target`; fewer only at the end. Returns how many. */
  fill(target: Uint8Array): Promise<number>;
  /** The next bytes as they came, at most `limit`, valid until the next call; undefined at the end. */
  some(limit: number): Promise<Uint8Array | undefined>;
  /** Puts back the last bytes of what {@link Reader.some} gave. */
  putBack(bytes: Uint8Array): void;
  close(): Promise<void>;
}

/** Makes a {@link Reader}. */
export function openReader(bytes: Bytes): Reader {
  const source = bytes[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let position = 0;
  let isOver = false;

  async function some(limit: number): Promise<Uint8Array | undefined> {
    while (rest.byteLength === 0) {
      if (isOver) return undefined;
      const next = await source.next();
      if (next.done) isOver = true;
      else rest = next.value;
    }
    const piece = rest.subarray(0, limit);
    rest = rest.subarray(piece.byteLength);
    position += piece.byteLength;
    return piece;
  }

  return {
    get position() {
      return position;
    },
    some,
    async fill(target) {
      let length = 0;
      while (length < target.byteLength) {
        const piece = await some(target.byteLength - length);
        if (piece === undefined) break;
        target.set(piece, length);
        length += piece.byteLength;
      }
      return length;
    },
    putBack(bytes) {
      position -= bytes.byteLength;
      // They lie right before the rest, in the same chunk.
      rest = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength + rest.byteLength);
    },
    async close() {
      if (!isOver) await source.return?.();
    },
  };
}
