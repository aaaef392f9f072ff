import type { Transform } from "node:stream";

/**
 * Runs chunks through one of node:zlib's streams and yields what comes out. Ends when the stream
 * says that it is complete, which may be before the input is; a chunk is fed only after the one
 * before was consumed, so the input may reuse its buffers.
 *
 * @param input asked for the next chunk; undefined ends the stream.
 * @param describe makes the error to throw from the stream's own; the input's pass as they are.
 */
export async function* transformed(
  transform: Transform,
  input: () => Promise<Uint8Array | undefined>,
  describe: (cause: unknown) => Error,
): AsyncGenerator<Uint8Array> {
  let isComplete = false;
  let failure: { error: unknown } | undefined;
  const settled = new Promise<void>((resolve) => {
    transform.once("end", resolve).once("close", resolve).once("error", resolve);
  }).then(() => {
    isComplete = true;
  });

  async function feed(): Promise<void> {
    try {
      while (!isComplete) {
        const chunk = await input();
        if (isComplete) break;
        if (chunk === undefined) {
          transform.end();
          break;
        }
        // A complete stream never calls back for the bytes that it leaves over.
        await Promise.race([
          new Promise<void>((resolve) => transform.write(chunk, () => resolve())),
          settled,
        ]);
      }
    } catch (error) {
      failure = { error };
      transform.destroy();
    }
  }

  const feeding = feed();
  try {
    yield* transform as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw failure === undefined ? describe(error) : failure.error;
  } finally {
    isComplete = true;
    transform.destroy();
    await feeding;
  }
  if (failure !== undefined) throw failure.error;
}
