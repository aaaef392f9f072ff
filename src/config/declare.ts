import type { ConnectorKind } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import type { Secret } from "../core/secret.ts";

/** A database as a factory declares it; its options are checked when the config is loaded. */
export class DatabaseDeclaration {
  readonly declares = "database";
  readonly kind: ConnectorKind;
  readonly options: unknown;

  constructor(kind: ConnectorKind, options: unknown) {
    this.kind = kind;
    this.options = options;
  }
}

/** A destination as a factory declares it. */
export class DestinationDeclaration {
  readonly declares = "destination";
  readonly kind: StorageKind;
  readonly options: unknown;

  constructor(kind: StorageKind, options: unknown) {
    this.kind = kind;
    this.options = options;
  }
}

/** How artifacts are compressed: a codec's name, or one with its level. */
export type CompressionInput =
  | "gzip"
  | "zstd"
  | "none"
  | { readonly codec: "gzip" | "zstd"; readonly level?: number };

/** For whom backups are encrypted: public keys, or whoever knows a passphrase. */
export type EncryptionInput =
  | "none"
  | { readonly recipients: readonly string[] }
  | { readonly passphrase: Secret };

/** What each run takes: full backups, or chains of a full one and what builds on it. */
export type StrategyInput =
  | "full"
  | "incremental"
  | "differential"
  | {
    readonly type: "full" | "incremental" | "differential";
    /** From the start of one full backup to that of the next. Default `"7d"`. */
    readonly fullEvery?: string;
  };

/** How chains are made. */
export interface ChainInput {
  /** From the start of one full backup to that of the next. Default `"7d"`. */
  readonly fullEvery?: string;
}

/** Each backup has the changes since the last one of any kind, until a full one is due. */
export function incremental(options: ChainInput = {}): StrategyInput {
  return { type: "incremental", ...options };
}

/** Each backup has the changes since the last full one, until a full one is due. */
export function differential(options: ChainInput = {}): StrategyInput {
  return { type: "differential", ...options };
}

/** Everything of a job but what it backs up and where to; any of it can be in `defaults`. */
export interface JobSettingsInput {
  /** Default `"gzip"`. */
  readonly compression?: CompressionInput;
  /** For whom artifacts are encrypted, with age. Default `"none"`. */
  readonly encryption?: EncryptionInput;
  /** The longest a run may take: `"2h"`. Default none. */
  readonly timeout?: string;
  /** The longest silence of the dump tool: `"10m"`, which is the default. */
  readonly stallTimeout?: string;
  /** How long a destination may take no byte before it is dropped. Default "10m". */
  readonly destinationStallTimeout?: string;
  /** How long a destination that does not answer is tried again. Default "5m". */
  readonly retryTimeout?: string;
  /** Names of what a dump leaves out and may: a run fails on any other omission. */
  readonly accept?: readonly string[];
  /** Objects to leave out, as the database's own tool names them. */
  readonly exclude?: readonly string[];
  /** Tables or collections to back up without their rows. */
  readonly excludeData?: readonly string[];
  /** Only definitions, no rows. */
  readonly schemaOnly?: boolean;
  /** More arguments for the dump tool. Every user of the machine can see them. */
  readonly dumpArgs?: readonly string[];
  /** More arguments for the restore tool. Every user of the machine can see them. */
  readonly restoreArgs?: readonly string[];
  /** What each run takes. Default `"full"`. */
  readonly strategy?: StrategyInput;
  /** The size at which an artifact is cut into a further volume. Default `"100GiB"`. */
  readonly volumeSize?: string;
  /** The time zone whose days and weeks retention counts: `"Europe/Berlin"`. Default the system's. */
  readonly timezone?: string;
  /** When what an unfinished run of another machine left may be removed. Default "7d". */
  readonly abandonedAfter?: string;
}

/** Which backups are kept; every rule keeps some, and what no rule keeps is dropped. */
export interface RetentionRulesInput {
  /** The newest so many. */
  readonly last?: number;
  /** The last backup of so many hours that have one; and so on. */
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  /** Older ones are dropped, whatever rule keeps them: "90d". Alone, younger ones are kept. */
  readonly maxAge?: string;
  /** So many of the newest are kept, however old they are. */
  readonly minKeep?: number;
}

/** Retention of a job; `S` are the names of the destinations that are declared. */
export interface RetentionInput<S extends string> extends RetentionRulesInput {
  /** Destinations with other rules: each replaces all of the rules above. */
  readonly destinations?: { readonly [name in S]?: RetentionRulesInput };
}

/** A job; `D` and `S` are the names of the databases and destinations that are declared. */
export interface JobInput<D extends string, S extends string> extends JobSettingsInput {
  readonly database: D;
  /** Here or in `defaults`, at least one; the database is read once for all of them. */
  readonly destinations?: readonly S[];
  /** Which backups are kept, after each run and by `prune`. Default: all of them. */
  readonly retention?: RetentionInput<S>;
}

/** How the log is written. */
export interface LogInput {
  /** Default `"info"`. */
  readonly level?: "debug" | "info" | "warning" | "error";
  /** Default `"text"`. */
  readonly format?: "text" | "json";
  /** A file that is rotated; default standard error. */
  readonly file?: string | {
    readonly path: string;
    /** Default `"10MiB"`. */
    readonly maxSize?: string;
    /** How many files are kept, with the current one. Default 5. */
    readonly keep?: number;
  };
}

/** What `backup.config.ts` exports. */
export interface ConfigInput<D extends string, S extends string> {
  readonly databases: { readonly [name in D]: DatabaseDeclaration };
  readonly destinations: { readonly [name in S]: DestinationDeclaration };
  readonly jobs: { readonly [name: string]: JobInput<NoInfer<D>, NoInfer<S>> };
  /** Any field of a job, for the jobs that do not set it. */
  readonly defaults?: Partial<JobInput<NoInfer<D>, NoInfer<S>>>;
  /** Contents of age identity files, to read encrypted backups with: `file("/etc/key.txt")`. */
  readonly identities?: readonly Secret[];
  /** Locks and the record of runs. Default `$XDG_STATE_HOME/dbbackup`; root: `/var/lib/dbbackup`. */
  readonly stateDir?: string;
  /** Temporary files. Default `$TMPDIR`, or the system's. */
  readonly tempDir?: string;
  readonly log?: LogInput;
}

/** Types a config: a name that is not declared, or a key that there is not, does not compile. */
export function defineConfig<D extends string, S extends string>(
  config: ConfigInput<D, S>,
): ConfigInput<D, S> {
  return config;
}

/** Makes the factory of a kind of database, to be used in a config like the built-in ones. */
export function defineConnector<O>(kind: ConnectorKind<O>): (options: O) => DatabaseDeclaration {
  return (options) => new DatabaseDeclaration(kind, options);
}

/** What destinations of every kind have. */
export interface UploadLimitInput {
  /** The most that uploads to it send in a second: `"20MiB/s"`. Default no limit. */
  readonly uploadLimit?: string | undefined;
}

/** Makes the factory of a kind of destination, to be used in a config like the built-in ones. */
export function defineStorage<O>(
  kind: StorageKind<O>,
): (options: O & UploadLimitInput) => DestinationDeclaration {
  return (options) => new DestinationDeclaration(kind, options);
}
