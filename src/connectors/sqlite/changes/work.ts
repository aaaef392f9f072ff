import { open } from "node:fs/promises";
import type { Abortable, Bytes } from "../../../core/bytes.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { SourceOptions } from "../source.ts";
import type { Generation } from "./position.ts";

/** Options of a dump. */
export type DumpOptions = SourceOptions & { readonly runtime: Runtime };

/** A copy that was made and checked, ready to be emitted. */
export interface Work {
  /** Where it lies. */
  readonly copy: string;
  readonly generation: Generation;
  /** The database's name: its file's. */
  readonly name: string;
}

/** Reads a file in one reused buffer. */
export async function* fileBytes(path: string, { signal }: Abortable): Bytes {
  const buffer = new Uint8Array(1024 * 1024);
  const handle = await open(path, "r");
  try {
    while (true) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
