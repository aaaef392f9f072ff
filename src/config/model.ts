import type { RetentionPolicy } from "../catalog/retention.ts";
import type { ConnectorKind, DumpSettings } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import type { Strategy } from "../contracts/strategy.ts";
import type { Secret } from "../core/secret.ts";

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
  | { readonly recipients: readonly string[] }
  | { readonly passphrase: Secret };

/** A job with its names looked up and the defaults filled in. */
export interface JobDefinition {
  readonly name: string;
  readonly database: DatabaseDefinition;
  /** At least one. */
  readonly destinations: readonly DestinationDefinition[];
  readonly compression: Compression;
  /** Undefined for none. */
  readonly encryption: EncryptionSettings | undefined;
  /** Milliseconds a run may take; undefined for no limit. */
  readonly timeoutMs: number | undefined;
  /** Milliseconds of silence from the dump tool after which a run fails; default 10 min. */
  readonly stallTimeoutMs: number;
  /** Milliseconds for which a destination may take no byte before it is dropped; default 10 min. */
  readonly destinationStallTimeoutMs: number;
  /** Milliseconds for which a destination that does not answer is tried again; default 5 min. */
  readonly retryTimeoutMs: number;
  /** Names of omissions that are known and accepted. */
  readonly accept: readonly string[];
  readonly settings: DumpSettings;
  /** Decides what each run takes. */
  readonly strategy: Strategy;
  /** The size at which an artifact is cut into a further volume; default 100 GiB. */
  readonly volumeBytes: number;
  /** Undefined where nothing is ever dropped. */
  readonly retention: JobRetention | undefined;
  /** IANA name of the time zone of days and weeks; default the system's. */
  readonly timezone: string;
  /** Milliseconds after which an unfinished folder of another machine may go; default 7 days. */
  readonly abandonedAfterMs: number;
}

/** Which of a job's backups are kept, at each of its destinations. */
export interface JobRetention {
  /** Keeps everything when it has no rule. */
  readonly policy: RetentionPolicy;
  /** By name; for the destinations that have rules of their own. */
  readonly destinations: ReadonlyMap<string, RetentionPolicy>;
}

/** How the log is written. */
export interface LogSettings {
  readonly level: "debug" | "info" | "warning" | "error";
  readonly format: "text" | "json";
  /** Rotated file; standard error when absent. */
  readonly file?: { readonly path: string; readonly maxBytes: number; readonly keep: number };
}

/** A whole configuration, validated; references are not resolved yet. */
export interface Config {
  /** The file it came from; undefined for the ad-hoc form. */
  readonly path: string | undefined;
  readonly databases: ReadonlyMap<string, DatabaseDefinition>;
  readonly destinations: ReadonlyMap<string, DestinationDefinition>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  /** The contents of age identity files, to read encrypted backups with. */
  readonly identities: readonly Secret[];
  readonly stateDir: string;
  readonly tempDir: string;
  readonly log: LogSettings;
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
