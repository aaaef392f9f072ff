import { createHash } from "node:crypto";
import type { Bytes } from "../bytes.ts";

/** Measures bytes as they pass: how many there were, and their sha256. */
export interface Digest {
  /** Bytes seen so far. */
  readonly bytes: number;
  update(chunk: Uint8Array): void;
  /** The sha256 of what was seen so far, in lower-case hex. May be asked at any time. */
  hex(): string;
}

/** Starts a {@link Digest} of nothing. */
export function createDigest(): Digest {
  const hash = createHash("sha256");
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    update(chunk) {
      hash.update(chunk);
      bytes += chunk.byteLength;
    },
    // A copy, because a finished hash takes no more bytes.
    hex: () => hash.copy().digest("hex"),
  };
}

/** Passes a stream on unchanged and shows each chunk to the digests. */
export async function* digested(bytes: Bytes, ...digests: readonly Digest[]): Bytes {
  for await (const chunk of bytes) {
    for (const digest of digests) digest.update(chunk);
    yield chunk;
  }
}
