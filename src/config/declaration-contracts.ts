// Generated: bun tests/config/declaration-source.ts

/** The contracts of plugins, as dbbackup.d.ts declares them. */
export const contracts = `
  /**
   * The one shape in which data moves between modules.
   *
   * Single use: iterate it once. A chunk is valid only until the consumer asks for the next, because
   * producers reuse their buffers; whoever keeps a chunk copies it. Ending the iteration early
   * (\`return\`) makes the producer release what it holds.
   */
  export type Bytes = AsyncIterable<Uint8Array>;

  /** What every long operation takes: the signal that ends it. */
  export interface Abortable {
    /** When it aborts, the operation stops its children, cleans up and throws the signal's reason. */
    readonly signal: AbortSignal;
  }

  /** A closed range of byte offsets, both ends included. \`end\` absent means to the last byte. */
  export interface ByteRange {
    readonly start: number;
    readonly end?: number;
  }

  /** \`area/what\`, such as \`storage/not-found\`: stable, for scripts and tests to match on. */
  export type ErrorCode = \`\${ErrorArea}/\${string}\`;

  /** The options of a {@link BackupError}. */
  export interface BackupErrorOptions {
    /** What to do about it, as a sentence in the imperative. */
    readonly hint?: string;
    /** The error underneath. */
    readonly cause?: unknown;
    /** More facts for machines, in \`--json\` and the log. Never a secret. */
    readonly details?: Readonly<Record<string, unknown>>;
  }

  /** The first half of an error code; it decides the exit status. */
  export type ErrorArea =
    | "internal"
    | "interrupted"
    | "verification"
    | "restore"
    | "dump"
    | "storage"
    | "connection"
    | "config"
    | "usage"
    | "locked"
    | "partial";
  /** The one error that users see. */
  export class BackupError extends Error {
    override readonly name: "BackupError";
    readonly code: ErrorCode;
    readonly hint: string | undefined;
    readonly details: Readonly<Record<string, unknown>> | undefined;
    constructor(code: ErrorCode, message: string, options?: BackupErrorOptions);
  }

  /** What is known of the machine that this program runs on. */
  export interface Machine {
    /** Its name; a container gets a new one each time it is made. */
    readonly host: string;
    /** Tells it from every other machine; undefined in a container, and where it has no such id. */
    readonly id: string | undefined;
  }

  /** How long a store that does not answer is waited for. */
  export interface Patience {
    /** Milliseconds since its first failure; default 300,000. */
    readonly retryMs?: number;
    /** True where a person waits for a look: it is told at once, and a try takes at most 10 s. */
    readonly isBrief?: boolean;
  }

  /** Environment variables, as passed in by main: nothing else reads the process's own. */
  export type Environment = Readonly<Record<string, string | undefined>>;

  /**
   * What comes from outside the program: clock, randomness, environment, log. Made once by main (or by
   * a test) and handed down, so that every module can be run with others.
   */
  export interface Runtime {
    readonly env: Environment;
    /** The clock. */
    readonly now: () => Date;
    /** Fresh random bytes, good enough for ids. */
    readonly random: (length: number) => Uint8Array;
    /** Structured log; children carry run id, job and database (\`log.with({ job })\`). */
    readonly log: Logger;
    /** Resolves references to secrets and knows what to redact. */
    readonly secrets: Secrets;
    /** Which machine this is. */
    readonly machine: () => Machine;
    /** Where temporary files may go; default the system's. */
    readonly tempDir: string;
  }

  /** Resolves secrets, and removes every value it ever resolved from texts. */
  export interface Secrets {
    resolve(text: Text, o?: { readonly isPublic: boolean }): Promise<string>;
    /** Notes a value as secret, for those that come another way. */
    hide(value: string): void;
    redact(text: string): string;
  }

  /** Structured log; \`{name}\` in a message is filled in from the properties. */
  export interface Logger {
    debug(message: string, properties?: Record<string, unknown>): void;
    info(message: string, properties?: Record<string, unknown>): void;
    warn(message: string, properties?: Record<string, unknown>): void;
    error(message: string, properties?: Record<string, unknown>): void;
    with(properties: Record<string, unknown>): Logger;
  }

  export type Kind = "full" | "differential" | "incremental";
  /** Where a backup stands in its database's change log. */
  export interface Position {
    /** \`lsn\`, \`binlog\`, \`oplog\`, \`sqlite\`; later versions may know more. */
    type: string;
    [key: string]: unknown;
  }
  /** Something that a dump leaves out. */
  export interface Omission {
    /** The stable name that a job accepts. */
    name: string;
    reason: string;
    objects?: string[] | undefined;
    [key: string]: unknown;
  }
  export interface Volume {
    name: string;
    bytes: number;
    sha256: string;
    [key: string]: unknown;
  }
  /** One byte stream of a backup. */
  export interface Artifact {
    number: number;
    role: string;
    databases: string[];
    format: string;
    from?: Position | undefined;
    to?: Position | undefined;
    codecs: { id: string; parameters?: Record<string, unknown> | undefined; [key: string]: unknown }[];
    rawBytes: number;
    rawSha256: string;
    storedBytes: number;
    storedSha256: string;
    volumes: Volume[];
    [key: string]: unknown;
  }
  /** What makes a folder a backup. */
  export interface Manifest {
    formatVersion: number;
    id: string;
    job: string;
    /** A Kind; later versions may know more. */
    kind: string;
    parent: { id: string; manifestSha256: string; [key: string]: unknown } | null;
    strategy?:
      | { id: string; reason: string; wanted?: string | undefined; [key: string]: unknown }
      | undefined;
    source: {
      kind: string;
      id: string;
      tag: string;
      flavour: string;
      version: string;
      [key: string]: unknown;
    };
    tool: { name: string; version: string; [key: string]: unknown };
    clientTools: { name: string; version: string; [key: string]: unknown }[];
    startedAt: string;
    finishedAt: string;
    consistentAt: string;
    window?: { from: string; to: string; [key: string]: unknown } | undefined;
    position: {
      from?: Position | undefined;
      to?: Position | undefined;
      [key: string]: unknown;
    };
    clockOffsetMs: number | null;
    settings: {
      exclude?: string[] | undefined;
      excludeData?: string[] | undefined;
      schemaOnly?: boolean | undefined;
      dumpArgs?: string[] | undefined;
      restoreArgs?: string[] | undefined;
      [key: string]: unknown;
    };
    omitted: Omission[];
    warnings: string[];
    artifacts: Artifact[];
    restoreText?: { bytes: number; sha256: string; [key: string]: unknown } | undefined;
    [key: string]: unknown;
  }

  /** From where a next backup would go on: what \`inspect\` is asked about. */
  export interface Since {
    /** What it would be. */
    readonly kind: Kind;
    /** What it would build on; its \`position.to\` is where it would start. */
    readonly parent: Manifest;
  }

  /**
   * Whether the change log still goes on from where the parent ended: the log is there, nothing of it
   * is gone, and it is the same history (timeline, generation, names used anew).
   */
  export type Continuation =
    | { readonly isPossible: true }
    | {
      readonly isPossible: false;
      /** Why not, for people, as the rest of a sentence: \`binlog.000007 was purged\`. */
      readonly reason: string;
    };

  /** How far a restore goes: up to this moment, or up to and with this position. */
  export type Until = { readonly at: Date } | { readonly position: Position };

  /** The moments that a backup can be restored to, with what it builds on; both ends included. */
  export interface Window {
    readonly from: Date;
    readonly to: Date;
  }

  /** How the positions of a kind's change log relate. */
  export interface Positions {
    /**
     * Negative where \`a\` is before \`b\`, positive where it is after it, 0 where nothing lies between
     * them; undefined where they are of different histories, or not both of this kind's log.
     */
    compare(a: Position, b: Position): number | undefined;
    /**
     * Reads what people write: \`0/1ECB830@1\`, \`binlog.000007:154\`.
     *
     * @throws BackupError \`usage/bad-position\`
     */
    parse?(text: string): Position;
    /** The same text, for people; absent: its fields. */
    format?(position: Position): string;
  }

  /** What RESTORE.txt needs to know about one artifact to print its commands. */
  export interface RecipeArtifact {
    readonly artifact: Artifact;
    /**
     * A shell pipeline that prints the artifact's raw bytes, run inside the folder of the backup that
     * is restored, whichever backup of the chain the artifact is of:
     * \`cat ../20261123T030000Z_full_k3v9x2ma_s41f0c2/dump-001-shop.pgdump.gz | gzip -dc\`.
     */
    readonly rawBytesCommand: string;
  }

  /** One backup of a chain, for its recipe. */
  export interface RecipeBackup {
    readonly manifest: Manifest;
    /** In the order of restoring, without the inventory. */
    readonly artifacts: readonly RecipeArtifact[];
  }

  /** A full backup and what builds on it, oldest first; the one that RESTORE.txt is of is the last. */
  export type RecipeChain = readonly RecipeBackup[];

  /** One step of a recipe, a numbered section of RESTORE.txt. */
  export interface RecipeStep {
    /** What it does, as in \`Restore the dump of "shop"\`; absent: restoring its one artifact. */
    readonly title?: string;
    /** What it reads; their sizes, and how each is printed, are said before the commands. */
    readonly reads: readonly RecipeArtifact[];
    /** The standard commands, one a line, \`#\` for remarks; run by \`sh\` in the last backup's folder. */
    readonly commands: readonly string[];
  }

  /** What a recipe for a single artifact is made from. */
  export interface RecipeInput extends RecipeArtifact {
    readonly manifest: Manifest;
  }

  /** The recipe of a kind whose backups are restored artifact by artifact, a step for each. */
  export function stepByStep(
    chain: RecipeChain,
    commands: (input: RecipeInput) => string[],
  ): RecipeStep[];

  /** What kind of thing an {@link InventoryObject} is, in the words of its engine. */
  export type ObjectType =
    | "table"
    | "view"
    | "materialized-view"
    | "sequence"
    | "routine"
    | "trigger"
    | "event"
    | "index"
    | "type"
    | "extension"
    | "large-objects"
    | "collection";

  /** One object inside a database. */
  export interface InventoryObject {
    readonly type: ObjectType;
    /** PostgreSQL's schema; absent where the engine has none. */
    readonly schema?: string;
    /** The plain name, unquoted. */
    readonly name: string;
    /** Rows, documents or, for large objects, how many there are. */
    readonly count?: number;
    /** Whether \`count\` is exact for the bytes of the dump; an inexact one is never a failure. */
    readonly isExact?: boolean;
    /** Whether the server removes its rows or documents when their time has passed: never exact. */
    readonly expires?: boolean;
    /** In whose name it runs, where the engine's dump says so: MySQL's DEFINER, \`user@host\`. */
    readonly owner?: string;
    /** True where its text names its own database: in a copy it still points into the original. */
    readonly namesDatabase?: boolean;
    /** What a server must have to make it, that not every one of its kind has: \`type uuid\`. */
    readonly needs?: readonly string[];
  }

  /** What a database holds: described from the dumped bytes or in the dump's own snapshot. */
  export interface DatabaseInventory {
    readonly database: string;
    readonly objects: readonly InventoryObject[];
  }

  /** The inventory of a backup or of a live target; an artifact of its own. */
  export interface Inventory {
    readonly databases: readonly DatabaseInventory[];
  }

  /** One difference between what a backup holds and what a restore made. */
  export interface InventoryDifference {
    readonly database: string;
    readonly type: ObjectType;
    /** With its schema, dotted, for people. */
    readonly name: string;
    readonly problem: "missing" | "count" | "extra";
    readonly expected?: number;
    readonly found?: number;
    /** Missing objects and different exact counts are failures; the rest is only told. */
    readonly isFailure: boolean;
  }

  /** A database that a restore left under a name of its own, instead of dropping what it had made. */
  export interface RestoreLeftover {
    /** Its name in the backup. */
    readonly from: string;
    /** The name that it was meant to get. */
    readonly to: string;
    /** The name, or path, that it has now; the same as \`to\` where the engine cannot rename. */
    readonly name: string;
  }

  /** The details of \`restore/incomplete\`. */
  export interface IncompleteDetails {
    readonly differences: readonly InventoryDifference[];
    /** Where what was restored is now; \`restore … --accept-differences\` takes it as it is. */
    readonly left: readonly RestoreLeftover[];
  }

  /** The format of an artifact's raw bytes, such as PostgreSQL's custom archive. */
  export interface ArtifactFormat {
    /** Goes into the manifest: \`pgdump\`. */
    readonly id: string;
    /** The file name's ending, without a dot: \`pgdump\`. */
    readonly suffix: string;
    /** Starts a walk over one artifact of this format. */
    walk(): Walker;
    /**
     * Lets the engine's own tool, where it has one that truly reads, go over the raw bytes: the part
     * of \`verify --deep\` beyond the walker.
     *
     * @throws BackupError \`verification/native-check\`; \`dump/tool-missing\` when the tool is not here
     */
    nativeCheck?(bytes: Bytes, o: Abortable & { runtime: Runtime }): Promise<void>;
  }

  /**
   * Follows the structure of a dump as its bytes pass, and counts what they hold. The same walker runs
   * on backup, on restore and in \`verify --deep\`. It must be cheap and hold little memory.
   */
  export interface Walker {
    /**
     * Takes the next bytes; chunks cut the structure anywhere, and are not kept.
     *
     * @throws BackupError \`verification/structure\` at the first byte that cannot belong there
     */
    push(chunk: Uint8Array): void;
    /**
     * Says that the bytes are over.
     *
     * @returns what they held; empty for formats that hold no objects (accounts).
     * @throws BackupError \`verification/truncated\` unless the structure was seen to its very end
     */
    end(): ArtifactContents;
  }

  /** What a walker saw. */
  export interface ArtifactContents {
    /** The objects in the bytes, by database; a format that does not name its database uses "". */
    readonly databases: readonly DatabaseInventory[];
  }

  /** A program that a connector uses. */
  export interface Tool {
    /** \`pg_dump\`. */
    readonly name: string;
    /** Where it was found; undefined when it is missing. */
    readonly path: string | undefined;
    /** Its own version, \`15.18\`; undefined when it is missing. */
    readonly version: string | undefined;
  }

  /** A look at the source before anything is read. */
  export interface SourceInfo {
    /**
     * What the server itself says: identifies it across addresses and restarts, and no other server.
     * Undefined where it has no such thing; then {@link ConnectorKind.declaredSource} stands in.
     */
    readonly sourceId?: string | undefined;
    /** The kind that it really is, where that is another than was asked for: MariaDB at \`mysql://\`. */
    readonly kind?: string;
    /**
     * Where exactly this machine found it, if its declaration leaves that open: the file behind a
     * relative path. Two runs on one machine with different places are of different sources.
     */
    readonly place?: string;
    /** \`PostgreSQL\`, \`MariaDB\`, \`MySQL\`, \`MongoDB\`, \`SQLite\`. */
    readonly flavour: string;
    /** The server's version, as short as it gets: \`15.18\`. */
    readonly version: string;
    readonly tools: readonly Tool[];
    /** The privileges that the dump needs, and whether this user has them. */
    readonly privileges: readonly { readonly name: string; readonly isGranted: boolean }[];
    /** What a dump with these settings would leave out without a word. */
    readonly omissions: readonly Omission[];
    /** Kinds of backup that this very server can give now. */
    readonly capabilities: readonly Kind[];
    /** Where its change log stands now, where it keeps one. */
    readonly position?: Position;
    /** Whether its log goes on from {@link InspectOptions.since}; absent where it was not asked. */
    readonly continues?: Continuation;
    /** The server's clock minus ours, in milliseconds; null where it cannot be told. */
    readonly clockOffsetMs: number | null;
    /** An estimate of the raw dump's size, for progress; undefined where there is none. */
    readonly estimatedBytes?: number;
    /** Things to know that stop nothing; every run tells them. */
    readonly warnings: readonly string[];
    /** Things that could be better, and that only doctor tells. */
    readonly advice?: readonly string[];
    /**
     * What identifies each database on this machine, so that no two runs use one at the same time;
     * absent: what identifies the source, with the names of its databases. A file is its real path.
     */
    readonly locks?: readonly string[];
  }

  /** The job's settings that shape a dump; each connector kind says which ones it has. */
  export interface DumpSettings {
    /** Objects to leave out entirely, as the engine's tool names them. */
    readonly exclude?: readonly string[];
    /** Tables or collections whose rows are left out. */
    readonly excludeData?: readonly string[];
    /** Only definitions, no rows. */
    readonly schemaOnly?: boolean;
    /** More arguments for the dump tool, as they are. */
    readonly dumpArgs?: readonly string[];
    /** More arguments for the restore tool, as they are. */
    readonly restoreArgs?: readonly string[];
  }

  /** What a source is asked about. */
  export interface InspectOptions extends Abortable {
    readonly settings?: DumpSettings;
    /** The job's name: what the source keeps for it, such as a slot, is named after it. */
    readonly job?: string;
    /** What a next backup would build on; then {@link SourceInfo.continues} answers. */
    readonly since?: Since;
  }

  /** What to dump. */
  export interface DumpPlan {
    readonly kind: Kind;
    /** The job's name, see {@link InspectOptions.job}; absent: the source keeps nothing for it. */
    readonly job?: string;
    /** True where later backups may build on it: it is to be taken so that they can. Default false. */
    readonly isBase?: boolean;
    /** What it builds on, for kinds that do; its artifacts can be read. */
    readonly parent?: OpenableBackup;
    /** The parent after all that it builds on, the full backup first; there whenever \`parent\` is. */
    readonly chain?: readonly OpenableBackup[];
    readonly settings: DumpSettings;
    /** Milliseconds of silence from the tool after which the dump fails. */
    readonly stallMs: number;
    /** For progress: told now and then how many bytes are made ready before the first are emitted. */
    readonly onPrepared?: (bytes: number) => void;
  }

  /** The head of an artifact that a dump is about to emit. */
  export interface ArtifactHead {
    /** \`dump\`, \`accounts\`, \`log\`, or another of {@link ConnectorKind.roles}. */
    readonly role: string;
    /** The databases inside, by their real names. */
    readonly databases: readonly string[];
    /** {@link ArtifactFormat} id. */
    readonly format: string;
    /** A readable part of the file name; escaped and shortened by the catalog. */
    readonly slug: string;
    /**
     * Never encrypted, so that the next run can read it on a machine that has no key: digests of what
     * the backup holds, and nothing of the content itself. Default false.
     */
    readonly isPublic?: boolean;
    /** Where a piece of the change log starts and ends; asked once its bytes are over. */
    readonly span?: () => { readonly from: Position; readonly to: Position };
  }

  /**
   * Hands one artifact to the pipeline, which pulls it, walks its structure and stores it. Call it
   * once an artifact, at the same time for parts that must run together, and await each before the dump
   * ends: one that fails, or is still under way then, fails the run.
   *
   * @returns what the walker counted in the bytes, for the inventory.
   */
  export type Emit = (head: ArtifactHead, bytes: Bytes) => Promise<ArtifactContents>;

  /** What a finished dump knows about itself. */
  export interface DumpResult {
    /** Where it starts in the change log; of what builds on another, exactly that one's \`to\`. */
    readonly from?: Position;
    /** Where it ends, and where the next one has to start. */
    readonly to?: Position;
    /** The moment whose data the dump shows; the latest, where it can be restored to several. */
    readonly consistentAt: Date;
    /**
     * The moments that it can be restored to, where a log is kept: of a full one that others build on
     * the moment alone that it is consistent at, else from its parent's last one on.
     */
    readonly window?: Window;
    readonly inventory: Inventory;
    /** What was in fact left out, a subset of what the job accepts. */
    readonly omitted: readonly Omission[];
    readonly warnings: readonly string[];
  }

  /** A stored artifact, ready to be read back. */
  export interface RestorableArtifact extends Artifact {
    /**
     * The raw bytes, decoded. Digests and structure are checked as they pass, and the end throws when
     * they differ: a consumer that has seen the end without an error has read what was dumped.
     */
    open(o: Abortable): Bytes;
  }

  /** A stored backup whose artifacts can be read. */
  export interface OpenableBackup {
    readonly manifest: Manifest;
    readonly artifacts: readonly RestorableArtifact[];
  }

  /** One backup of a chain. */
  export interface RestorableBackup extends OpenableBackup {
    readonly inventory: Inventory;
  }

  /** A full backup and what restores on top of it, oldest first; never empty. */
  export type RestorableChain = readonly RestorableBackup[];

  /** How to restore. The connector it is given to was opened on the target. */
  export interface RestoreOptions {
    /** Which of the backup's databases; undefined for all. */
    readonly databases?: readonly string[];
    /** Replace what is there. */
    readonly isOverwrite: boolean;
    /** Only these tables or collections; empty for everything. */
    readonly only: readonly string[];
    /** Apply the backup's accounts artifact, too. */
    readonly isWithAccounts: boolean;
    /**
     * Take a restored database as it is although it differs from the inventory; and what an earlier
     * restore of this backup left for that reason, without restoring again: {@link RestoreStep.adopts}.
     */
    readonly isDifferenceAccepted: boolean;
    /**
     * Go on after statements that fail and list them. A database of which something failed then takes
     * no other's place: restored beside one, it stays there, and is one of {@link RestoreResult.left}.
     */
    readonly isKeepGoing: boolean;
    /** Parallel restore workers, where the tool has them; default 1. */
    readonly jobs: number;
    readonly restoreArgs: readonly string[];
    /** The backup's id, for the names of databases restored beside and kept. */
    readonly backupId: string;
    /**
     * Where to stop, inside the window of the chain's last backup; absent: at its end. Given only where
     * that backup has a window.
     */
    readonly until?: Until;
  }

  /** What a restore is going to do to one database. */
  export interface RestoreStep {
    /** Its name in the backup. */
    readonly from: string;
    /** Its name, or path, on the target. */
    readonly to: string;
    /**
     * \`create\`: it is not there yet. \`fill\`: it is there and empty. \`swap\`: it is restored beside, and
     * the old one is kept under another name. \`replace\`: the old content is dropped, because the
     * engine cannot rename a database.
     */
    readonly mode: "create" | "fill" | "swap" | "replace";
    /** For \`swap\`: the name that the old one is kept under. */
    readonly keptAs?: string;
    /**
     * The database, or file, that an earlier restore of this backup left because it differed: it is
     * taken as it is, and nothing is restored. Only with {@link RestoreOptions.isDifferenceAccepted}.
     */
    readonly adopts?: string;
    /** What will be lost, as a sentence; only for \`replace\`. */
    readonly loses?: string;
    /** What {@link RestoreOptions.only} comes to, where the engine's objects need others. */
    readonly part?: RestoredPart;
  }

  /** The part of a database that is restored; objects as people call them: \`table public.orders\`. */
  export interface RestoredPart {
    /** What was asked for, with what is a part of it: partitions, a column's own sequence. */
    readonly asked: readonly string[];
    /** What comes along because that needs it, and for what. */
    readonly along: readonly string[];
    /** What that needs and is there already: it stays as it is. */
    readonly used: readonly string[];
    /** What is left out, or is not as in the backup, as sentences. */
    readonly notes: readonly string[];
  }

  /** What a restore would do, found out without touching anything. */
  export interface RestorePlan {
    readonly steps: readonly RestoreStep[];
    /** True when the whole backup must be read and checked before the target is touched. */
    readonly isCheckedFirst: boolean;
    /** Things to know that stop nothing: missing owners, a newer server. */
    readonly warnings: readonly string[];
    /** The target, for people: \`PostgreSQL 15.18 at localhost:5432\`. */
    readonly target: string;
    /**
     * What {@link SourceInfo.sourceId} says of the target: a restore and a backup of one database meet
     * by it, however their URLs spell the server. Absent: the connector's location stands in.
     */
    readonly sourceId?: string | undefined;
    /** As {@link SourceInfo.locks}; absent: \`sourceId\` with the steps' targets. */
    readonly locks?: readonly string[];
  }

  /** A statement that failed in a restore that keeps going. */
  export interface RestoreFailure {
    /** The database's name on the target. */
    readonly database: string;
    /** What was to be made, for people: \`index public.places_earth\`; absent where nobody can tell. */
    readonly object?: string;
    /** The server's, or the tool's, own words. */
    readonly message: string;
    /** What is missing or different for it, as a sentence. */
    readonly leaves: string;
  }

  /** What a restore did. */
  export interface RestoreResult {
    readonly steps: readonly RestoreStep[];
    /** Only of a restore that keeps going: what failed. The command then ends with status 8. */
    readonly failures: readonly RestoreFailure[];
    /** What was not put in its place, because something of it failed. */
    readonly left: readonly RestoreLeftover[];
    /** Differences from the inventory that are no failure, or that were accepted. */
    readonly differences: readonly InventoryDifference[];
    /** True where what is there now was compared with the inventory; absent where it was not. */
    readonly isCompared?: boolean;
    readonly warnings: readonly string[];
    /** What the user may want to do next, as commands: how to drop the kept database. */
    readonly followUps: readonly string[];
  }

  /**
   * A connection to one server or file. Every implementation passes \`tests/contracts/connector.ts\`.
   *
   * Errors are BackupErrors: \`connection/unreachable\`, \`connection/authentication\`,
   * \`connection/no-database\`, \`connection/tls\`, \`connection/denied\`, \`dump/…\`, \`restore/…\`.
   */
  export interface Connector {
    /** Where this is, for people and without secrets: \`postgres://shop@db:5432/shop\`. */
    readonly location: string;
    /** Tests the connection and looks at the source; changes nothing. */
    inspect(o: InspectOptions): Promise<SourceInfo>;
    /** The databases that a dump would hold, by name. */
    databases(o: Abortable): Promise<string[]>;
    /**
     * Dumps everything of the plan, artifact after artifact.
     *
     * @throws BackupError \`dump/tool-missing\`, \`dump/tool-too-old\`, \`dump/failed\`, \`dump/stalled\`,
     * \`verification/truncated\`; \`dump/cannot-continue\` when it turns out that it cannot build on the
     * parent after all: then a full backup is taken; \`usage/kind-unsupported\`
     */
    dump(plan: DumpPlan, emit: Emit, o: Abortable): Promise<DumpResult>;
    /**
     * Told when a backup is committed at every destination that its run still feeds, and only then: up
     * to its \`position.to\` the source may let go of its log. It may be told again of the same backup, by
     * another process or machine: after a crash before it was told, the next run tells it before it goes
     * on. So it moves what the source keeps forward, never back, and takes what is done already.
     *
     * Absent where the source keeps nothing for the job.
     */
    acknowledge?(manifest: Manifest, o: Abortable): Promise<void>;
    /**
     * Drops what the source keeps for a job, such as its replication slots, so that it holds nothing back
     * for it any longer; the job's next backup is a full one. Absent where it keeps nothing.
     *
     * @param job see {@link InspectOptions.job}
     * @returns what was dropped, for people: \`replication slot dbbackup_shop\`
     */
    reset?(job: string, o: Abortable): Promise<readonly string[]>;
    /**
     * Finds out what a restore onto this connection would do; changes nothing.
     *
     * @throws BackupError \`restore/not-empty\`, \`restore/target-too-old\`, \`restore/missing-owners\`,
     * \`restore/only-unsupported\`, \`restore/no-such-object\`, \`restore/ambiguous-object\`,
     * \`restore/depended-on\`, \`restore/in-use\`
     */
    planRestore(
      chain: RestorableChain,
      options: RestoreOptions,
      o: Abortable,
    ): Promise<RestorePlan>;
    /**
     * Carries out a plan: restores beside where the engine can, compares with the inventory, swaps in.
     * When it throws, what was there before is still there, unless the step's mode was \`replace\`.
     *
     * What was restored and differs from the inventory is never dropped: \`restore/incomplete\` tells in
     * its details where it is, see {@link IncompleteDetails} in inventory.ts.
     *
     * @throws BackupError \`restore/failed\`, \`restore/incomplete\` and those of reading the artifacts
     */
    restore(
      chain: RestorableChain,
      plan: RestorePlan,
      options: RestoreOptions,
      o: Abortable,
    ): Promise<RestoreResult>;
    /** Describes a live database in the same terms as the inventory of a dump. */
    inventory(database: string, o: Abortable): Promise<DatabaseInventory>;
    close(): Promise<void>;
  }

  /** A database that a drill restores into, and that nobody else uses. */
  export interface Scratch<O> {
    /** For the restore: opens it. */
    readonly options: O;
    /** For people: \`scratch file /tmp/x/drill.db\`, \`database shop_drill_k3v9x2ma at localhost\`. */
    readonly location: string;
    /**
     * Environment for commands that look into it. \`DBBACKUP_DRILL_TARGET\` is the file, or the URL without
     * its password, which the engine's own variables tell.
     */
    readonly environment: Readonly<Record<string, string>>;
    /**
     * The first column of the first row of a query, once it is restored; null where there is no row.
     * Absent where the engine has no SQL.
     *
     * @throws BackupError \`restore/drill\`
     */
    query?(sql: string, o: Abortable): Promise<string | number | bigint | boolean | Date | null>;
    /** Removes it with all that is in it, whether it was restored or not. */
    remove(): Promise<void>;
  }

  /** What a drill wants a {@link Scratch} for. */
  export interface ScratchOrder extends Abortable {
    readonly runtime: Runtime;
    /** The backup's id, for its name. */
    readonly backupId: string;
    /** The raw bytes of the chain, for the space that it needs. */
    readonly rawBytes: number;
    /** The databases that the backup holds, by their real names. */
    readonly databases: readonly string[];
  }

  /** How the user tells a source from others. */
  export interface DeclaredSource {
    /** The option \`source\`, or the address without user, password and parameters. */
    readonly id: string;
    /** Whether it is the option \`source\`. */
    readonly isNamed: boolean;
  }

  /** A kind of database: what a factory, YAML's \`type:\` or a URL's scheme names. */
  export interface ConnectorKind<O = unknown> {
    /** \`postgres\`. */
    readonly kind: string;
    /** For people: \`PostgreSQL\`. */
    readonly title: string;
    /** URL schemes that stand for it, without the colon: \`["postgres", "postgresql"]\`. */
    readonly schemes: readonly string[];
    /** The options of the config; strict, so that an unknown key is an error. */
    readonly options: z.ZodType<O>;
    /** Dotted names of the options that are paths, taken from the config's folder: \`["tls.ca"]\`. */
    readonly paths?: readonly string[];
    /** Which of the job's {@link DumpSettings} this kind has. */
    readonly settings: readonly (keyof DumpSettings)[];
    /** The names that a job's \`accept\` may hold for this kind. */
    readonly omissions: readonly string[];
    /** The formats of its artifacts. */
    readonly formats: readonly ArtifactFormat[];
    /** The roles of artifacts that it restores; default \`dump\` and \`accounts\`. */
    readonly roles?: readonly string[];
    /** The kinds of backup that it has on servers that allow it; default \`full\` alone. */
    readonly kinds?: readonly Kind[];
    /** How positions of its change log relate; default: only the same position joins itself. */
    readonly positions?: Positions;
    /**
     * Reads options out of a URL.
     *
     * @throws BackupError \`usage/bad-url\`
     */
    fromUrl(url: string): O;
    /** Resolves secrets and parses the options; connects only when something is asked of it. */
    open(options: O, o: Abortable & { runtime: Runtime }): Promise<Connector>;
    /**
     * What identifies a source that says nothing of itself. Never the name of this machine, which
     * every new container changes. Without this function it is the database's name in the config.
     *
     * @param options as they were written: relative paths are not resolved
     */
    declaredSource?(options: O, o: { runtime: Runtime }): Promise<DeclaredSource>;
    /**
     * The standard commands that restore a chain to the state of its last backup without dbbackup, from
     * the full backup on; see {@link RecipeStep}.
     */
    recipe(chain: RecipeChain): RecipeStep[];
    /**
     * Makes a database for a drill: a file, or a database or server of its own, never one that the job
     * backs up. Absent where this kind has no drills.
     *
     * @param options of the job's database
     * @throws BackupError \`restore/drill\` where none can be made here
     */
    scratch?(options: O, order: ScratchOrder): Promise<Scratch<O>>;
    /** The default name of an ad-hoc job: the database's, or the host's where all are meant. */
    jobName(options: O): string;
  }

  /** One stored object. */
  export interface ObjectInfo {
    /** Relative to the storage's root or prefix, with \`/\` between parts: \`shop/2026…/manifest.json\`. */
    readonly key: string;
    readonly bytes: number;
    readonly modifiedAt: Date;
    /** The store's own version of this object, where it keeps versions. */
    readonly version?: string;
    /** Until when the store refuses to delete it. */
    readonly retainedUntil?: Date;
  }

  /**
   * Where backups go. Every implementation passes \`tests/contracts/storage.ts\`.
   *
   * Errors are BackupErrors: \`storage/not-found\`, \`storage/exists\`, \`storage/denied\`, \`storage/full\`,
   * \`storage/read-only\`, \`storage/retained\`, \`storage/bad-key\`, \`storage/unavailable\` (worth a retry),
   * \`storage/checksum\` (the store has other bytes than it was sent), \`storage/stalled\` (it takes no
   * more), \`storage/foreign-answer\` (something else answers in its place) and \`storage/failed\`. Operations are retried inside only where the bytes can be had again.
   */
  export interface Storage {
    /** Where this is, for people and without secrets: \`/var/backups\`, \`s3://bucket/prefix\`. */
    readonly location: string;
    /** The same for all destinations that lead to one place; absent where that cannot be told. */
    readonly place?: string;
    /** True where \`modifiedAt\` is of a clock that is not this machine's. */
    readonly hasOwnClock?: boolean;
    /** Bodies longer than this go up in parts of this size; absent where there are no parts. */
    readonly partBytes?: number;
    /** What \`doctor\` says of abilities that nobody can find out by trying them. */
    readonly remarks?: { readonly versioning?: string; readonly sweep?: string };
    /**
     * Stores one object, all or nothing: a body that throws, an abort or a crash leaves nothing under
     * \`key\`. Resolves only after the store acknowledged the whole object as durable.
     *
     * @param o.retainUntil wins over the destination's own retention; \`none\` for small objects that
     * are to be deleted again, such as marks
     * @throws BackupError \`storage/exists\` when the key is taken: nothing is ever overwritten
     */
    put(
      key: string,
      body: Bytes | Uint8Array,
      o: Abortable & { retainUntil?: Date | "none" },
    ): Promise<ObjectInfo>;
    /**
     * Streams an object, or a range of it; a broken read is resumed inside.
     *
     * @throws BackupError \`storage/not-found\`, on the first read
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
     * @throws BackupError \`storage/retained\`
     */
    delete(key: string, o: Abortable & { version?: string }): Promise<void>;
    /**
     * Removes what puts that were cut short by a crash left under a prefix and \`list\` does not show:
     * temporary files, unfinished multipart uploads. Only call it when no put is under way there, or
     * with a \`before\` that every put under way is younger than.
     *
     * @param prefix as for \`list\`
     * @param o.before only what was begun, or last written to, before this moment
     * @returns how many were removed
     */
    sweep(prefix: string, o: Abortable & { before?: Date }): Promise<number>;
    /** Releases connections. Call it once, after everything else. */
    close(): Promise<void>;
  }

  /** A kind of destination: what a factory, YAML's \`type:\` or a URL's scheme names. */
  export interface StorageKind<O = unknown> {
    /** \`local\`, \`s3\`. */
    readonly kind: string;
    /** URL schemes that stand for it, without the colon: \`["file"]\`. */
    readonly schemes: readonly string[];
    /** The options of the config; strict, so that an unknown key is an error. */
    readonly options: z.ZodType<O>;
    /** Dotted names of the options that are paths, taken from the config's folder: \`["path"]\`. */
    readonly paths?: readonly string[];
    /**
     * Reads options out of a URL.
     *
     * @throws BackupError \`usage/bad-url\`
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

  /** The part of zod that options need; all of zod is there. */
  export namespace z {
    export interface ZodType<O = unknown> {
      readonly _output: O;
      parse(value: unknown): O;
      safeParse(value: unknown): { success: boolean; data?: O };
      optional(): ZodOptional<O>;
      default(value: O): ZodOptional<O>;
      describe(text: string): this;
      refine(check: (value: O) => unknown, message?: string): this;
    }
    export interface ZodOptional<O> extends ZodType<O | undefined> {
      readonly isOptionalKey: true;
    }
    export interface ZodString extends ZodType<string> {
      min(length: number, message?: string): this;
      max(length: number, message?: string): this;
      regex(pattern: RegExp, message?: string): this;
    }
    export interface ZodNumber extends ZodType<number> {
      int(): this;
      positive(): this;
      nonnegative(): this;
      min(value: number): this;
      max(value: number): this;
    }
    export interface ZodArray<O> extends ZodType<O[]> {
      min(length: number): this;
    }
    export type Shape = Record<string, ZodType<unknown>>;
    export type OptionalKeys<S extends Shape> = {
      [K in keyof S]: S[K] extends ZodOptional<unknown> ? K : never;
    }[keyof S];
    export type ObjectOf<S extends Shape> =
      & { [K in Exclude<keyof S, OptionalKeys<S>>]: S[K]["_output"] }
      & { [K in OptionalKeys<S>]?: S[K]["_output"] };
    export type infer<T extends ZodType> = T["_output"];
    export function string(): ZodString;
    export function number(): ZodNumber;
    export function boolean(): ZodType<boolean>;
    export function literal<const T extends string | number | boolean>(value: T): ZodType<T>;
    export function array<O>(element: ZodType<O>): ZodArray<O>;
    export function record<O>(key: ZodType<string>, value: ZodType<O>): ZodType<Record<string, O>>;
    export function strictObject<S extends Shape>(shape: S): ZodType<ObjectOf<S>>;
    export function object<S extends Shape>(shape: S): ZodType<ObjectOf<S>>;
    export function union<const T extends readonly ZodType[]>(members: T): ZodType<T[number]["_output"]>;
    const _enum: <const T extends string>(values: readonly T[]) => ZodType<T>;
    export { _enum as enum };
    /** A class, such as Secret. */
    const _instanceof: <T>(type: abstract new (...args: never[]) => T) => ZodType<T>;
    export { _instanceof as instanceof };
  }`;
