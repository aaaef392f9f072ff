/**
 * The one shape in which data moves between modules.
 *
 * Single use: iterate it once. A chunk is valid only until the consumer asks for the next, because
 * producers reuse their buffers; whoever keeps a chunk copies it. Ending the iteration early
 * (`return`) makes the producer release what it holds.
 */
export type Bytes = AsyncIterable<Uint8Array>;

/** What every long operation takes: the signal that ends it. */
export interface Abortable {
  /** When it aborts, the operation stops its children, cleans up and throws the signal's reason. */
  readonly signal: AbortSignal;
}

/** A closed range of byte offsets, both ends included. `end` absent means to the last byte. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

/** Turns one buffer into a stream of one chunk; an empty buffer gives no chunk at all. */
// deno-lint-ignore require-await
export async function* bytesOf(content: Uint8Array | string): AsyncGenerator<Uint8Array> {
  const chunk = typeof content === "string" ? new TextEncoder().encode(content) : content;
  if (chunk.byteLength > 0) yield chunk;
}

/**
 * Reads a whole stream into memory.
 *
 * @param limitBytes the most it may hold; default 64 MiB, so that no caller reads an artifact by
 * mistake.
 * @throws RangeError when the stream is longer than the limit.
 */
export async function collect(bytes: Bytes, limitBytes = 64 * 1024 * 1024): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of bytes) {
    length += chunk.byteLength;
    if (length > limitBytes) throw new RangeError(`The stream is longer than ${limitBytes} bytes`);
    // Not slice(): a Buffer shares its memory with what that returns.
    chunks.push(new Uint8Array(chunk));
  }
  return joined(chunks, length);
}

/** Like {@link collect}, as text. */
export async function collectText(bytes: Bytes, limitBytes?: number): Promise<string> {
  return new TextDecoder().decode(await collect(bytes, limitBytes));
}

/** Reads a stream to its end and keeps nothing: what a check needs. */
export async function drain(bytes: Bytes): Promise<void> {
  for await (const _ of bytes);
}

/** Calls `see` with each chunk as it passes. */
export async function* tapped(
  bytes: Bytes,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    see(chunk);
    yield chunk;
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}
