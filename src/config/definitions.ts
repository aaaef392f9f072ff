import type { RetentionPolicy } from "../catalog/retention.ts";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import type { Secret, Text } from "../core/secret.ts";

/** A database as declared: its kind and the kind's own options, parsed but not resolved. */
export interface DatabaseDefinition {
  /** The key in the config, or the name the ad-hoc form gives it. */
  readonly name: string;
  readonly kind: ConnectorKind;
  readonly options: unknown;
  /** The options as they were written, before relative paths were resolved; absent where the same. */
  readonly written?: unknown;
}

/** A destination as declared. */
export interface DestinationDefinition {
  /** The key in the config, or the path or URL of the ad-hoc form. */
  readonly name: string;
  /** What stands for it on a command line, where that is not its name. */
  readonly argument?: string;
  readonly kind: StorageKind;
  readonly options: unknown;
  /** The most that uploads to it may send in a second, in bytes; absent for no limit. */
  readonly uploadBytesPerSecond?: number;
}

/** How artifacts are compressed. */
export interface Compression {
  /** A codec's id, or `none`. */
  readonly codec: string;
  /** The codec's own default when absent. */
  readonly level?: number;
}

/** For whom artifacts are encrypted. */
export type EncryptionSettings =
  /** A reference is to the content of a file with recipients, one a line. */
  | { readonly recipients: readonly Text[] }
  | { readonly passphrase: Secret };

/** What a restored database must answer in a drill. */
export type DrillAssertion =
  | { readonly sql: string; readonly equals: string | number | boolean }
  | { readonly sql: string; readonly atLeast: number }
  /** The query gives a time, at most so long ago. */
  | { readonly sql: string; readonly newerThanMs: number }
  /** A line for the shell, which must exit 0. */
  | { readonly command: string };

/** What is asked of a restored database in a drill. */
export interface DrillSettings {
  readonly assert: readonly DrillAssertion[];
}

/** Which of a job's backups are kept, at each of its destinations. */
export interface JobRetention {
  /** Keeps everything when it has no rule. */
  readonly policy: RetentionPolicy;
  /** By name; for the destinations that have rules of their own. */
  readonly destinations: ReadonlyMap<string, RetentionPolicy>;
}

/**
 * How long a destination may take no byte: as the job says, else long enough for it to be tried again
 * for its time.
 */
export function destinationStallMs(writtenMs: number | undefined, retryTimeoutMs: number): number {
  return writtenMs ?? Math.max(defaultStallTimeoutMs, retryTimeoutMs + 60_000);
}

/** The volume size of jobs that set none. */
export const defaultVolumeBytes = 100 * 1024 ** 3;
/** How long unfinished folders of others are let be, for jobs that do not say. */
export const defaultAbandonedAfterMs = 7 * 24 * 60 * 60 * 1000;
/** The stall limit of jobs that set none. */
export const defaultStallTimeoutMs = 10 * 60 * 1000;
