import { contracts } from "./declaration-contracts.ts";

const configuration = `
  /** A reference to a value; it prints as \`[redacted]\`. Made by {@link env} and {@link file}. */
  export class Secret {
    constructor(parts: readonly SecretPart[]);
    get parts(): readonly SecretPart[];
    describe(): string;
    toString(): string;
    toJSON(): string;
    #private;
  }
  export type SecretPart =
    | { readonly text: string }
    | { readonly env: string; readonly fallback?: string }
    | { readonly file: string }
    | {
      readonly command: string | readonly string[];
      readonly timeoutMs?: number;
      readonly cwd?: string;
    };
  /** A text outright or by reference. */
  export type Text = string | Secret;
  /** The environment variable \`name\`, looked up when it is needed. */
  export function env(name: string, fallback?: string): Secret;
  /** A file's content without its last line break, read when it is needed. */
  export function file(path: string): Secret;
  /** What a command prints, run when it is needed: command("pass show x"), or a list of words. */
  export function command(
    line: string | readonly string[],
    o?: { readonly timeoutMs?: number },
  ): Secret;

  /** A database that a factory declares. */
  export interface DatabaseDeclaration {
    readonly declares: "database";
    readonly kind: ConnectorKind;
    readonly options: unknown;
  }
  /** A destination that a factory declares. */
  export interface DestinationDeclaration {
    readonly declares: "destination";
    readonly kind: StorageKind;
    readonly options: unknown;
  }

  /** How TLS is used; paths are of PEM files, relative ones from the config's folder. */
  export interface Tls {
    mode?: "disable" | "prefer" | "require" | "verify-ca" | "verify-full" | undefined;
    ca?: string | undefined;
    cert?: string | undefined;
    key?: string | undefined;
  }
  /** A server: a URL, or its parts, or both (parts win). */
  export interface ServerOptions {
    url?: Text | undefined;
    host?: Text | undefined;
    port?: number | undefined;
    /** A Unix socket, or its folder for PostgreSQL. */
    socket?: Text | undefined;
    user?: Text | undefined;
    password?: Text | undefined;
    /** One database; without it and \`databases\`, all. */
    database?: Text | undefined;
    /** Several databases. */
    databases?: string[] | undefined;
    /** Identifies the server where it has no id of its own; default its address as written. */
    source?: Text | undefined;
    tls?: Tls | undefined;
    /** Milliseconds; default 10,000. */
    connectTimeoutMs?: number | undefined;
    /** Milliseconds without any answer after which a server is given up; default 120,000. */
    answerTimeoutMs?: number | undefined;
  }
  export function postgres(options: ServerOptions): DatabaseDeclaration;
  export function mysql(options: ServerOptions): DatabaseDeclaration;
  export function mariadb(options: ServerOptions): DatabaseDeclaration;
  export function mongodb(options: ServerOptions): DatabaseDeclaration;
  /** A SQLite file. */
  export function sqlite(options: {
    path: Text;
    /** Identifies the database among the backups; default its path as written. */
    source?: Text | undefined;
    /** Milliseconds to wait for a lock; default 30,000. */
    busyTimeoutMs?: number | undefined;
    /** Milliseconds without any answer after which the file's disk is given up; default 120,000. */
    answerTimeoutMs?: number | undefined;
  }): DatabaseDeclaration;
  /** What destinations of every kind have. */
  export interface UploadLimitInput {
    /** The most that uploads to it send in a second: "20MiB/s". Default no limit. */
    readonly uploadLimit?: string | undefined;
  }
  /** A folder of this machine. */
  export function local(options: { path: Text } & UploadLimitInput): DestinationDeclaration;
  /** A bucket of Amazon S3 or of what speaks its language, by the names that the AWS SDK has. */
  export function s3(options: {
    bucket: Text;
    /** Put before every key. */
    prefix?: Text | undefined;
    /** Default AWS_REGION or the profile's; "us-east-1" where an endpoint is set. */
    region?: Text | undefined;
    /** The URL of a store other than AWS; default AWS_ENDPOINT_URL_S3, else AWS. */
    endpoint?: Text | undefined;
    /** The bucket in the path instead of the host name; default true where an endpoint is set. */
    forcePathStyle?: boolean | undefined;
    /** A profile of the AWS configuration files. */
    profile?: Text | undefined;
    /** Static keys; default the SDK's own search: environment, profile, SSO, roles. */
    accessKeyId?: Text | undefined;
    secretAccessKey?: Text | undefined;
    sessionToken?: Text | undefined;
    /** Default the bucket's. */
    storageClass?:
      | "STANDARD"
      | "STANDARD_IA"
      | "ONEZONE_IA"
      | "INTELLIGENT_TIERING"
      | "GLACIER_IR"
      | "REDUCED_REDUNDANCY"
      | undefined;
    /** Default the bucket's. */
    serverSideEncryption?: "AES256" | "aws:kms" | "aws:kms:dsse" | undefined;
    sseKmsKeyId?: Text | undefined;
    /** Bytes of a part, of which an object has at most 10,000; default 11 MiB. */
    partSize?: number | undefined;
    /** Locks every object for this long; the bucket must have object lock. */
    retention?: { mode: "governance" | "compliance"; days: number } | undefined;
  } & UploadLimitInput): DestinationDeclaration;
  /** A Google Cloud Storage bucket, by the names that Google's own client has. */
  export function gcs(options: {
    bucket: Text;
    /** Put before every key. */
    prefix?: Text | undefined;
    /** A service account's key file; default application default credentials. */
    keyFilename?: Text | undefined;
    /** The content of such a file. */
    credentials?: Text | undefined;
    /** Default "https://storage.googleapis.com". */
    apiEndpoint?: Text | undefined;
    /** The project that pays, for buckets whose requester does. */
    userProject?: Text | undefined;
    /** Keeps every object from being deleted; nobody can lift a "Locked" one. */
    retention?: { mode: "Locked" | "Unlocked"; days: number } | undefined;
    /** Longest milliseconds of one request; default 60,000 and its bytes at 50 kB/s. */
    timeout?: number | undefined;
  } & UploadLimitInput): DestinationDeclaration;
  /** An Azure Blob Storage container, by the names that Azure's own client has. */
  export function azure(options: {
    container: Text;
    /** Put before every key. */
    prefix?: Text | undefined;
    /** Names the account and its key, or a shared access signature, in one. */
    connectionString?: Text | undefined;
    /** Needed without connectionString. */
    accountName?: Text | undefined;
    accountKey?: Text | undefined;
    /** A shared access signature: the part behind the "?". */
    sasToken?: Text | undefined;
    /** Which of several managed identities of this machine to use. */
    managedIdentityClientId?: Text | undefined;
    /** Default "https://ACCOUNT.blob.core.windows.net". */
    endpoint?: Text | undefined;
    /** Keeps every object from being deleted; nobody can lift a "Locked" one. */
    retention?: { mode: "Locked" | "Unlocked"; days: number } | undefined;
    /** Longest milliseconds of one request; default 60,000 and its bytes at 50 kB/s. */
    timeout?: number | undefined;
  } & UploadLimitInput): DestinationDeclaration;

  export type CompressionInput =
    | "gzip"
    | "zstd"
    | "none"
    | { readonly codec: "gzip" | "zstd"; readonly level?: number };

  /**
   * For whom backups are encrypted: public keys (age1…, ssh-ed25519 AAAA…, ssh-rsa AAAA…; a reference
   * such as file("keys.txt") has one a line), or whoever knows a passphrase.
   */
  export type EncryptionInput =
    | "none"
    | { readonly recipients: readonly Text[] }
    | { readonly passphrase: Secret };

  /** What each run takes: full backups, or chains of a full one and what builds on it. */
  export type StrategyInput =
    | "full"
    | "incremental"
    | "differential"
    | {
      readonly type: "full" | "incremental" | "differential";
      /** From the start of one full backup to that of the next. Default "7d". */
      readonly fullEvery?: string;
    };
  /** How chains are made. */
  export interface ChainInput {
    /** From the start of one full backup to that of the next. Default "7d". */
    readonly fullEvery?: string;
  }
  /** Each backup has the changes since the last one of any kind, until a full one is due. */
  export function incremental(options?: ChainInput): StrategyInput;
  /** Each backup has the changes since the last full one, until a full one is due. */
  export function differential(options?: ChainInput): StrategyInput;

  /** Everything of a job but its database and destinations. */
  export interface JobSettingsInput {
    /** Default "gzip". */
    readonly compression?: CompressionInput;
    /** For whom artifacts are encrypted, with age. Default "none". */
    readonly encryption?: EncryptionInput;
    /** The longest a run may take: "2h". Default none. */
    readonly timeout?: string;
    /** The longest silence of the dump tool. Default "10m". */
    readonly stallTimeout?: string;
    /** How long a destination may take no byte before it is dropped. Default "10m". */
    readonly destinationStallTimeout?: string;
    /** How long a destination that does not answer is tried again. Default "5m". */
    readonly retryTimeout?: string;
    /** Names of what a dump leaves out and may. */
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
    /** What each run takes. Default "full". */
    readonly strategy?: StrategyInput;
    /** The size at which an artifact is cut into volumes. Default "100GiB". */
    readonly volumeSize?: string;
    /** The time zone whose days and weeks retention counts: "Europe/Berlin". Default the system's. */
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
  export interface RetentionInput<S extends string> extends RetentionRulesInput {
    /** Destinations with other rules: each replaces all of the rules above. */
    readonly destinations?: { readonly [name in S]?: RetentionRulesInput };
  }
  export interface JobInput<D extends string, S extends string> extends JobSettingsInput {
    readonly database: D;
    /** Here or in defaults, at least one; the database is read once for all of them. */
    readonly destinations?: readonly S[];
    /** Which backups are kept. Default: all of them. */
    readonly retention?: RetentionInput<S>;
  }
  export interface LogInput {
    /** Default "info". */
    readonly level?: "debug" | "info" | "warning" | "error";
    /** Default "text". */
    readonly format?: "text" | "json";
    /** A file that is rotated; default standard error. */
    readonly file?: string | {
      readonly path: string;
      /** Default "10MiB". */
      readonly maxSize?: string;
      /** How many files are kept. Default 5. */
      readonly keep?: number;
    };
  }
  export interface ConfigInput<D extends string, S extends string> {
    readonly databases: { readonly [name in D]: DatabaseDeclaration };
    readonly destinations: { readonly [name in S]: DestinationDeclaration };
    readonly jobs: { readonly [name: string]: JobInput<NoInfer<D>, NoInfer<S>> };
    /** Any field of a job, for the jobs that do not set it. */
    readonly defaults?: Partial<JobInput<NoInfer<D>, NoInfer<S>>>;
    /** Contents of age identity files, to read encrypted backups with: file("/etc/key.txt"). */
    readonly identities?: readonly Secret[];
    /** Locks and the record of runs. */
    readonly stateDir?: string;
    /** Temporary files. */
    readonly tempDir?: string;
    readonly log?: LogInput;
  }
  export function defineConfig<D extends string, S extends string>(
    config: ConfigInput<D, S>,
  ): ConfigInput<D, S>;
  /** Makes the factory of a kind of database that lies beside the config. */
  export function defineConnector<O>(kind: ConnectorKind<O>): (options: O) => DatabaseDeclaration;
  /** Makes the factory of a kind of destination that lies beside the config. */
  export function defineStorage<O>(kind: StorageKind<O>): (options: O & UploadLimitInput) => DestinationDeclaration;
`;

/**
 * `dbbackup.d.ts`: what "dbbackup" exports, for editors, tsc and deno. It stands alone, because
 * beside a config there is no package to import from. Tests compare it with the real exports.
 */
export const declarationFile =
  `// What "dbbackup" exports, for editors. Written by \`dbbackup config types\`; do not edit.
declare module "dbbackup" {${configuration}${contracts}}
`;
