import type { Bytes } from "../bytes.ts";

/** What {@link walked} needs of a walker; see Walker in src/contracts/format.ts. */
export interface WalkerLike<T> {
  push(chunk: Uint8Array): void;
  end(): T;
}

/**
 * Passes a stream on unchanged while a walker follows its structure. The consumer sees the end only
 * after the walker has seen a complete structure, and `onEnd` got what it counted.
 *
 * @throws what the walker throws, in place of the chunk or the end that it refused
 */
export async function* walked<T>(
  bytes: Bytes,
  walker: WalkerLike<T>,
  onEnd: (seen: T) => void = () => {},
): Bytes {
  for await (const chunk of bytes) {
    walker.push(chunk);
    yield chunk;
  }
  onEnd(walker.end());
}
