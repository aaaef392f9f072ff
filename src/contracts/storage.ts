import type { z } from "zod";
import type { Abortable, ByteRange, Bytes } from "../core/bytes.ts";
import type { Patience } from "../core/retry.ts";
import type { Runtime } from "../core/runtime.ts";
import type { ConfigExample } from "./example.ts";

/** One stored object. */
export interface ObjectInfo {
  /** Relative to the storage's root or prefix, with `/` between parts: `shop/2026…/manifest.json`. */
  readonly key: string;
  readonly bytes: number;
  readonly modifiedAt: Date;
  /** The store's own version of this object, where it keeps versions. */
  readonly version?: string;
  /** Until when the store refuses to delete it. */
  readonly retainedUntil?: Date;
}

/**
 * Where backups go. Every implementation passes `tests/contracts/storage.ts`.
 *
 * Errors are BackupErrors: `storage/not-found`, `storage/exists`, `storage/denied`, `storage/full`,
 * `storage/read-only`, `storage/retained`, `storage/bad-key`, `storage/unavailable` (worth a retry),
 * `storage/checksum` (the store has other bytes than it was sent), `storage/stalled` (it takes no
 * more), `storage/foreign-answer` (something else answers in its place) and `storage/failed`. Operations are retried inside only where the bytes can be had again.
 */
export interface Storage {
  /** Where this is, for people and without secrets: `/var/backups`, `s3://bucket/prefix`. */
  readonly location: string;
  /** The same for all destinations that lead to one place; absent where that cannot be told. */
  readonly place?: string;
  /** True where `modifiedAt` is of a clock that is not this machine's. */
  readonly hasOwnClock?: boolean;
  /** Bodies longer than this go up in parts of this size; absent where there are no parts. */
  readonly partBytes?: number;
  /** What `doctor` says of abilities that nobody can find out by trying them. */
  readonly remarks?: { readonly versioning?: string; readonly sweep?: string };
  /**
   * Stores one object, all or nothing: a body that throws, an abort or a crash leaves nothing under
   * `key`. Resolves only after the store acknowledged the whole object as durable.
   *
   * @param o.retainUntil wins over the destination's own retention; `none` for small objects that
   * are to be deleted again, such as marks
   * @throws BackupError `storage/exists` when the key is taken: nothing is ever overwritten
   */
  put(
    key: string,
    body: Bytes | Uint8Array,
    o: Abortable & { retainUntil?: Date | "none" },
  ): Promise<ObjectInfo>;
  /**
   * Streams an object, or a range of it; a broken read is resumed inside.
   *
   * @throws BackupError `storage/not-found`, on the first read
   */
  get(key: string, o: Abortable & { range?: ByteRange; version?: string }): Bytes;
  /** Describes an object; undefined when there is none. */
  stat(key: string, o: Abortable): Promise<ObjectInfo | undefined>;
  /**
   * Every object under a prefix, however deep, in no particular order.
   *
   * @param prefix "" for all, else it ends in "/"; an absent one lists nothing.
   */
  list(prefix: string, o: Abortable): AsyncIterable<ObjectInfo>;
  /**
   * Deletes an object; a missing one is fine.
   *
   * @throws BackupError `storage/retained`
   */
  delete(key: string, o: Abortable & { version?: string }): Promise<void>;
  /**
   * Removes what puts that were cut short by a crash left under a prefix and `list` does not show:
   * temporary files, unfinished multipart uploads. Only call it when no put is under way there, or
   * with a `before` that every put under way is younger than.
   *
   * @param prefix as for `list`
   * @param o.before only what was begun, or last written to, before this moment
   * @returns how many were removed
   */
  sweep(prefix: string, o: Abortable & { before?: Date }): Promise<number>;
  /** Releases connections. Call it once, after everything else. */
  close(): Promise<void>;
}

/** A kind of destination: what a factory, YAML's `type:` or a URL's scheme names. */
export interface StorageKind<O = unknown> {
  /** `local`, `s3`. */
  readonly kind: string;
  /** URL schemes that stand for it, without the colon: `["file"]`. */
  readonly schemes: readonly string[];
  /** What it is, as a sentence, for editors: `A folder of this machine, or one that is mounted.` */
  readonly description?: string;
  /** How its URLs begin or look, for the help: `["s3:"]`; default its schemes. */
  readonly urls?: readonly string[];
  /** Entries for the config that `config init` writes, as comments; default none. */
  readonly examples?: readonly ConfigExample<O>[];
  /** The options of the config; strict, so that an unknown key is an error. */
  readonly options: z.ZodType<O>;
  /** Dotted names of the options that are paths, taken from the config's folder: `["path"]`. */
  readonly paths?: readonly string[];
  /**
   * Reads options out of a URL.
   *
   * @throws BackupError `usage/bad-url`
   */
  fromUrl(url: string): O;
  /** Resolves secrets and makes the storage; checks nothing that needs the network. */
  open(
    options: O,
    o: Abortable & {
      runtime: Runtime;
      /** How long it is tried again while the store does not answer. */
      patience?: Patience | undefined;
    },
  ): Promise<Storage>;
}
