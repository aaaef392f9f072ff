import type { Abortable } from "../core/bytes.ts";
import type { Continuation, Since } from "./changes.ts";
import type { Kind, Omission, Position } from "./manifest.ts";

/** A program that a connector uses. */
export interface Tool {
  /** `pg_dump`. */
  readonly name: string;
  /** Where it was found; undefined when it is missing. */
  readonly path: string | undefined;
  /** Its own version, `15.18`; undefined when it is missing. */
  readonly version: string | undefined;
}

/** A look at the source before anything is read. */
export interface SourceInfo {
  /**
   * What the server itself says: identifies it across addresses and restarts, and no other server.
   * Undefined where it has no such thing; then {@link ConnectorKind.declaredSource} stands in.
   */
  readonly sourceId?: string | undefined;
  /** The kind that it really is, where that is another than was asked for: MariaDB at `mysql://`. */
  readonly kind?: string;
  /**
   * Where exactly this machine found it, if its declaration leaves that open: the file behind a
   * relative path. Two runs on one machine with different places are of different sources.
   */
  readonly place?: string;
  /** `PostgreSQL`, `MariaDB`, `MySQL`, `MongoDB`, `SQLite`. */
  readonly flavour: string;
  /** The server's version, as short as it gets: `15.18`. */
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
  /** The oldest moment that its change log reaches back to, where it lets go of the log by itself. */
  readonly logSince?: Date;
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
  /** True where a full backup would be taken for others to build on: see {@link DumpPlan.isBase}. */
  readonly isBase?: boolean;
}
