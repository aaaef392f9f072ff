/**
 * The few calls of Bun's own that nothing portable does, or does as well. Each user of one has a
 * portable stand-in, so that the code runs on other runtimes, too.
 */
interface BunApi {
  zstdCompress(data: Uint8Array, options: { level: number }): Promise<Uint8Array>;
  gc(isBlocking: boolean): void;
  readonly hash: { xxHash64(data: Uint8Array, seed?: bigint): bigint };
}

/** Bun's own API; undefined on other runtimes. */
export const bun: BunApi | undefined = (globalThis as { Bun?: BunApi }).Bun;
