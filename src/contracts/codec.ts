import type { Abortable, Bytes } from "../core/bytes.ts";
import type { Runtime } from "../core/runtime.ts";

/**
 * A reversible transformation of a stream: compression or encryption. Both directions work in
 * bounded memory, end their workers when the iteration ends early, and reuse no caller's buffer
 * after asking for the next chunk.
 */
export interface Codec {
  /** Goes into the manifest and the config: `zstd`. */
  readonly id: string;
  /** The file name's ending, without a dot: `zst`. */
  readonly suffix: string;
  /**
   * The command that undoes it as a filter from stdin to stdout, for RESTORE.txt: `zstd -dc`.
   *
   * @param parameters as the manifest has them
   */
  decodeCommand(parameters: CodecParameters): string;
  open(options: CodecOptions): OpenCodec;
}

/** What the manifest keeps of a codec: `{ level: 3 }`, `{ recipients: ["age1…"] }`. No secret. */
export type CodecParameters = Readonly<Record<string, unknown>>;

/** Options of {@link Codec.open}; each codec takes those that concern it. */
export interface CodecOptions {
  /** To encode: the compression level; each codec's own default and range. */
  readonly level?: number;
  /** To encode: for whom to encrypt. */
  readonly encryption?: Encryption;
  /** To decode: what the manifest says of how it was written. */
  readonly parameters?: CodecParameters;
  /** To decode: the keys. */
  readonly keyring?: Keyring;
}

/** For whom to encrypt: public keys, or whoever knows a passphrase. */
export type Encryption =
  | {
    /** `age1…`, `ssh-ed25519 AAAA…`, `ssh-rsa AAAA…`, and those of plugins. */
    readonly recipients: readonly string[];
    /** For recipients of plugins; without it they cannot be used. */
    readonly aid?: KeyAid;
  }
  | { readonly passphrase: string };

/** What keys need that are not only a text: plugins of age, and SSH keys with a passphrase. */
export interface KeyAid extends Abortable {
  readonly runtime: Runtime;
  /** Asks on the terminal; undefined where there is none to ask. */
  readonly ask?: (question: string, o: { readonly isHidden: boolean }) => Promise<string>;
  /** Tells what somebody has to do, such as to touch a key. */
  readonly tell: (text: string) => void;
  /** Longest silence of a plugin in milliseconds, default 120,000. */
  readonly pluginLimitMs?: number;
}

/** A key that is more than a text of age's own. */
export interface OtherIdentity {
  /** Its public half as recipients are written, or a description for messages. */
  readonly recipient: string;
  /**
   * @returns null for a file that is not encrypted to it
   * @throws BackupError `config/identity-locked`, `config/plugin-missing`, `config/plugin`
   */
  unwrapFileKey(
    stanzas: readonly { args: string[]; body: Uint8Array }[],
  ): Promise<Uint8Array | null>;
}

/** The keys that may open what is encrypted. They are looked up only when something is. */
export interface Keyring {
  /** age identities, `AGE-SECRET-KEY-1…`, and keys of other kinds; all are tried. */
  identities(): Promise<readonly (string | OtherIdentity)[]>;
  /** All are tried, in this order. */
  passphrases(): Promise<readonly string[]>;
}

/** A codec with its options. */
export interface OpenCodec {
  /** What the manifest keeps, enough to decode but for the key. No secret. */
  readonly parameters: CodecParameters;
  encode(bytes: Bytes): Bytes;
  /**
   * @throws BackupError `verification/corrupt` on bytes that it did not write,
   * `verification/truncated`; `config/identity` and `config/passphrase` when no key fits, and
   * those of {@link OtherIdentity}
   */
  decode(bytes: Bytes): Bytes;
}

/** Opens a codec that a manifest names, for decoding; see src/codecs/mod.ts. */
export type Decoder = (
  codec: { readonly id: string; readonly parameters?: CodecParameters },
) => OpenCodec;
