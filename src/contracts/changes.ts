import type { Kind, Manifest, Position } from "./manifest.ts";

/** From where a next backup would go on: what `inspect` is asked about. */
export interface Since {
  /** What it would be. */
  readonly kind: Kind;
  /** What it would build on; its `position.to` is where it would start. */
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
    /** Why not, for people, as the rest of a sentence: `binlog.000007 was purged`. */
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
   * Negative where `a` is before `b`, positive where it is after it, 0 where nothing lies between
   * them; undefined where they are of different histories, or not both of this kind's log.
   */
  compare(a: Position, b: Position): number | undefined;
  /**
   * Reads what people write: `0/1ECB830@1`, `binlog.000007:154`.
   *
   * @throws BackupError `usage/bad-position`
   */
  parse?(text: string): Position;
  /** The same text, for people; absent: its fields. */
  format?(position: Position): string;
}
