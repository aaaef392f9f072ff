import type { Position } from "../../contracts/manifest.ts";
import type { Until } from "../../contracts/changes.ts";
import type { DatabaseDefinition, DestinationDefinition } from "../../config/model.ts";
import type { RestorableChain, RestorePlan, RestoreResult } from "../../contracts/restore.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { Mark } from "../../contracts/strategy.ts";
import type { ShownBackup } from "../list/types.ts";
import type { BackupError } from "../../core/errors.ts";
import type { JobContext } from "../shared/context.ts";

/** What to restore, where to. */
export interface RestoreRequest {
  /** Where to look for it, in this order. */
  readonly destinations: readonly DestinationDefinition[];
  /** An id, shortened while unique; the latest of `job` when absent. */
  readonly backup?: string;
  /** Only backups of this job; needed when a destination has several and no id is given. */
  readonly job?: string;
  /** Not after this moment. */
  readonly at?: Date;
  /** Up to this position in the change log, in the place of `at`. */
  readonly position?: Position;
  readonly target: DatabaseDefinition;
  /** Makes the place to restore to, once it is known what is restored: the target's kind with these options. */
  readonly makePlace?: (chain: RestorableChain) => Promise<unknown>;
  readonly databases?: readonly string[];
  readonly only: readonly string[];
  readonly isOverwrite: boolean;
  readonly isWithAccounts: boolean;
  readonly isDifferenceAccepted: boolean;
  readonly isKeepGoing: boolean;
  readonly jobs: number;
  readonly restoreArgs: readonly string[];
  /** True where only the plan is wanted, and what would be refused. */
  readonly isDryRun?: boolean;
}

/** See Mark. */
export type DrilledMark = Extract<Mark, { readonly type: "drilled" }>;

/** One backup that a restore reads. */
export interface RestoredLink {
  readonly id: string;
  readonly kind: string;
  readonly consistentAt: Date;
  /** Of what is fetched of it. */
  readonly storedBytes: number;
}

/** A restore that is planned and not begun. `close` it in any case. */
export interface PreparedRestore {
  readonly backup: ShownBackup;
  readonly manifest: Manifest;
  /** The destination it is read from; several where no single one has its whole chain. */
  readonly from: string;
  /** What it reads, the full backup first. */
  readonly links: readonly RestoredLink[];
  /** Of what is fetched of all of them. */
  readonly storedBytes: number;
  /** The newest drill of the job, where there was one. */
  readonly lastDrill?: DrilledMark;
  /** The moment that was asked for; the data may be older where no log was kept. */
  readonly asked?: Date;
  /** Where it stops in the backup; absent for its end. */
  readonly until?: Until;
  readonly plan: RestorePlan;
  /** Why it would be refused; only with {@link RestoreRequest.isDryRun}, else the first is thrown. */
  readonly refusals: readonly BackupError[];
  /**
   * Does it, when no other run uses the databases, and what there is to do is still the same.
   *
   * @throws BackupError `locked/database`, `restore/changed`, those of the connector
   */
  run(): Promise<RestoreResult>;
  /** Marks the copy of the last backup that was read, in the place of older marks of this type. */
  mark(mark: Mark): Promise<void>;
  close(): Promise<void>;
}

/**
 * Finds the backup, checks that every object is there, looks at the target. It changes nothing, but
 * marks copies that turn out damaged. A copy that cannot be read gives way to another destination's.
 */
export type PrepareRestore = (request: RestoreRequest, o: JobContext) => Promise<PreparedRestore>;
