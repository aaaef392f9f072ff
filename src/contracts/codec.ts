import type { Bytes } from "../core/bytes.ts";

/**
 * A reversible transformation of a stream: compression now, encryption later. Both directions work
 * in bounded memory, end their workers when the iteration ends early, and reuse no caller's buffer
 * after asking for the next chunk.
 */
export interface Codec {
  /** Goes into the manifest and the config: `zstd`. */
  readonly id: string;
  /** The file name's ending, without a dot: `zst`. */
  readonly suffix: string;
  /** The command that undoes it as a filter from stdin to stdout, for RESTORE.txt: `zstd -dc`. */
  readonly decodeCommand: string;
  open(options: CodecOptions): OpenCodec;
}

/** Options of {@link Codec.open}. */
export interface CodecOptions {
  /** Compression level; each codec's own default and range. */
  readonly level?: number;
}

/** A codec with its options. */
export interface OpenCodec {
  /** What the manifest keeps, enough to decode: `{ level: 3 }`. No secret. */
  readonly parameters: Readonly<Record<string, unknown>>;
  encode(bytes: Bytes): Bytes;
  /** @throws BackupError `verification/corrupt` on bytes that it did not write, `verification/truncated` */
  decode(bytes: Bytes): Bytes;
}
