import type { Bytes } from "../core/bytes.ts";
import type { Window } from "./changes.ts";
import type { ArtifactContents } from "./format.ts";
import type { Inventory } from "./inventory.ts";
import type { Kind, Omission, Position } from "./manifest.ts";
import type { OpenableBackup } from "./restore.ts";
import type { DumpSettings } from "./source.ts";

/** What to dump. */
export interface DumpPlan {
  readonly kind: Kind;
  /** The job's name, see {@link InspectOptions.job}; absent: the source keeps nothing for it. */
  readonly job?: string;
  /** True where later backups may build on it: it is to be taken so that they can. Default false. */
  readonly isBase?: boolean;
  /** What it builds on, for kinds that do; its artifacts can be read. */
  readonly parent?: OpenableBackup;
  /** The parent after all that it builds on, the full backup first; there whenever `parent` is. */
  readonly chain?: readonly OpenableBackup[];
  readonly settings: DumpSettings;
  /** Milliseconds of silence from the tool after which the dump fails. */
  readonly stallMs: number;
  /** For progress: told now and then how many bytes are made ready before the first are emitted. */
  readonly onPrepared?: (bytes: number) => void;
  /** Told when all of that is ready and is checked, which may take long, before any of it goes by. */
  readonly onChecking?: () => void;
}

/** The head of an artifact that a dump is about to emit. */
export interface ArtifactHead {
  /** `dump`, `accounts`, `log`, or another of {@link ConnectorKind.roles}. */
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
  /** Where it starts in the change log; of what builds on another, exactly that one's `to`. */
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
