import type { z } from "zod";
import type { DumpSettings, SourceInfo } from "./source.ts";
import type { Kind, Manifest } from "./manifest.ts";

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
  /** Stored bytes of its data, as its manifest tells them: without the manifest, recipe and marks. */
  readonly storedBytes: number;
  readonly marks: readonly Mark[];
  /** File names in the folder with their sizes in bytes. */
  readonly files: ReadonlyMap<string, number>;
}

/**
 * A small create-only object beside the manifest. `suspect` says that something was not right which
 * a restore does without, or which nobody has looked at twice.
 */
export type Mark =
  | { readonly type: "verified" | "suspect" | "damaged"; readonly at: Date }
  | {
    /** A drill restored it, with all that it builds on, and found what it should. */
    readonly type: "drilled";
    readonly at: Date;
    /** Milliseconds that the restore took, reading included. */
    readonly restoreMs: number;
    /** What was fetched for it, in bytes. */
    readonly fetchedBytes: number;
  }
  | { readonly type: "hold" };

/** What the next backup of a job is to be, by history and clock alone. */
export interface StrategyWish {
  readonly kind: Kind;
  /** What it would build on; undefined for a full one. */
  readonly parent: BackupRef | undefined;
  /** Why, as a sentence without its full stop: `the last full backup, k3v9x2ma, is 7 days old`. */
  readonly reason: string;
}

/** What the next backup of a job is. */
export interface StrategyPlan extends StrategyWish {
  /** True where later ones may build on it: a full one is then taken so that they can. */
  readonly isBase: boolean;
  /** The kind that was to be taken, where it could not; `reason` says why not. */
  readonly wanted?: Kind;
}

/** What a strategy knows in its first step. */
export interface StrategyInput {
  /**
   * Good backups of this job and source, none from the future, oldest first. What they build on is
   * there, too.
   */
  readonly history: readonly BackupRef[];
  readonly now: Date;
  /** What `--kind` asks for. */
  readonly forced?: Kind;
}

/** What it knows in its second. */
export interface StrategyFacts {
  /** Of the wish's parent; undefined for a full one. */
  readonly parent: Manifest | undefined;
  /** With `continues`, where the wish has a parent. */
  readonly info: SourceInfo;
  /** The job's, which the parent was to have been taken with, too. */
  readonly settings: DumpSettings;
  readonly forced?: Kind;
}

/**
 * Decides what to take next, in two steps: a server can say whether its log goes on only when it is
 * known from where. Both are pure functions.
 */
export interface Strategy {
  /** `full`, `incremental`, `differential`. */
  readonly id: string;
  /** The kinds that it takes; a kind of database must have them all. */
  readonly kinds: readonly Kind[];
  /**
   * What history and clock ask for.
   *
   * @throws BackupError `usage/kind-unsupported` when the forced kind cannot be had
   */
  wants(input: StrategyInput): StrategyWish;
  /**
   * What is taken, now that the parent's manifest is read and the server was asked: the wish, or a
   * full backup and the reason.
   *
   * @throws BackupError `usage/kind-unsupported` when the forced kind cannot be had
   */
  decide(wish: StrategyWish, facts: StrategyFacts): StrategyPlan;
}

/** A strategy as a job names it: `id`, or `{ type: id, … }` with its options. */
export interface StrategyKind<N extends string = string, O extends object = object> {
  readonly id: N;
  /** What each run takes, as a sentence, for editors. */
  readonly description: string;
  /** What a job may say besides `type`; every option has a default. */
  readonly options: z.ZodObject & z.ZodType<O>;
  /** The strategy of a job that says this. */
  open(options: O): Strategy;
}
