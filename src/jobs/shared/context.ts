import type { Keyring } from "../../contracts/codec.ts";
import type { Abortable } from "../../core/bytes.ts";
import type { Patience } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";

/** What every job needs from outside. */
export interface JobContext extends Abortable {
  readonly runtime: Runtime;
  /** Locks, run history and caches. */
  readonly stateDir: string;
  /** How long destinations that do not answer are tried again. */
  readonly patience?: Patience;
  /** Flags by which another command finds the same config, for the commands that hints print. */
  readonly configFlags?: readonly string[];
  /** What opens encrypted backups; without it they stay closed. */
  readonly keyring?: Keyring;
  /** Called as the work goes on, at most a few times a second. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Where a piece of work stands. */
export interface Progress {
  /** `inspect`, `dump shop`, `restore shop`, `verify dump-001`. */
  readonly stage: string;
  /** Bytes read from the database, or raw bytes restored. */
  readonly rawBytes: number;
  /** Bytes written to, or read from, each destination. */
  readonly storedBytes: number;
  /** What `rawBytes` will be at the end, where that is known or estimated. */
  readonly totalBytes?: number;
}
