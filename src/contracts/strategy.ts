import type { Kind } from "./manifest.ts";
import type { SourceInfo } from "./connector.ts";

/** A backup as its folder's name and its marks tell: no manifest is read for it. */
export interface BackupRef {
  readonly id: string;
  readonly job: string;
  /** One of `kinds`, or what a newer program calls it. */
  readonly kind: string;
  /**
   * When the run started, by the clock of the machine that made it: to the millisecond where the
   * seal tells it, else to the second.
   */
  readonly createdAt: Date;
  /** When its manifest was stored, by the store's clock; absent where that is this machine's. */
  readonly storedAt?: Date;
  /** `s41f0c2`: which server it is of. */
  readonly sourceTag: string;
  /** The parent's id; undefined for a full backup. */
  readonly parentId: string | undefined;
  /** The folder's key, ending in "/". */
  readonly prefix: string;
  /** Sum of all stored objects. */
  readonly storedBytes: number;
  readonly marks: readonly Mark[];
  /** File names in the folder with their sizes in bytes. */
  readonly files: ReadonlyMap<string, number>;
  /** What the seal's name says; absent where there is no seal, or none that can be read. */
  readonly facts?: SealedFacts;
}

/** What the seal of a backup's manifest tells by its name, for lists. Only the manifest proves it. */
export interface SealedFacts {
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly consistentAt: Date;
  /** Raw bytes of all artifacts but the inventory. */
  readonly rawBytes: number;
  /** The length of `manifest.json`. */
  readonly manifestBytes: number;
  /** How many names `omitted` has. */
  readonly omissions: number;
}

/**
 * A small create-only object beside the manifest. `suspect` says that something was not right which
 * a restore does without, or which nobody has looked at twice.
 */
export type Mark =
  | { readonly type: "verified" | "suspect" | "damaged"; readonly at: Date }
  | { readonly type: "hold" };

/** What the next backup of a job is to be. */
export interface StrategyPlan {
  readonly kind: Kind;
  /** What it builds on; undefined for a full one. */
  readonly parent: BackupRef | undefined;
  /** Why this kind, as a sentence for the log and `schedule next`. */
  readonly reason: string;
}

/**
 * Decides what to take next: a pure function of what there is.
 *
 * @throws BackupError `usage/kind-unsupported` when the forced kind cannot be had
 */
export interface Strategy {
  readonly id: string;
  plan(input: {
    /** Backups of this job and source whose whole chain is on every destination, oldest first. */
    readonly history: readonly BackupRef[];
    readonly info: SourceInfo;
    readonly now: Date;
    readonly forced?: Kind;
  }): StrategyPlan;
}
