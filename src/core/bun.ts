import process from "node:process";

/**
 * The few calls of Bun's own that nothing portable does, or does as well. Each user of one has a
 * portable stand-in, so that the code runs on other runtimes, too.
 */
interface BunApi {
  zstdCompress(data: Uint8Array, options: { level: number }): Promise<Uint8Array>;
  zstdDecompress(frame: Uint8Array): Promise<Uint8Array>;
  gc(isBlocking: boolean): void;
  readonly hash: { xxHash64(data: Uint8Array, seed?: bigint): bigint };
}

/** Bun's own API; undefined on other runtimes. */
export const bun: BunApi | undefined = (globalThis as { Bun?: BunApi }).Bun;

/** Has the garbage collected that was made since the last time. */
export function collectYoung(): void {
  if (bun === undefined) return;
  const jsc = process.getBuiltinModule("bun:jsc") as { edenGC(): void } | undefined;
  jsc?.edenGC();
}

/** What there is to call a C library with. */
export interface Ffi {
  /** @throws where there is no such library or function */
  dlopen<Functions>(
    library: string,
    functions: Readonly<
      Record<keyof Functions, { readonly args: readonly string[]; readonly returns: string }>
    >,
  ): { readonly symbols: Functions };
}

/** Bun's foreign function interface; undefined on other runtimes. */
export function loadFfi(): Ffi | undefined {
  if (bun === undefined) return undefined;
  return process.getBuiltinModule("bun:ffi") as Ffi | undefined;
}
