import type { Element } from "../archive/bson.ts";

/** A collection on what is replayed onto. */
export interface Namespace {
  readonly db: string;
  readonly collection: string;
}

/** One write to one document. `id` is the element `_id` that addresses it. */
export type Write =
  | {
    /** `insert`: there is none of this id. `replace`: there is one, which it takes the place of. */
    readonly type: "insert" | "replace";
    readonly id: Element;
    readonly document: Uint8Array;
  }
  /** `$set` and `$unset`, of `$v: 1`. */
  | { readonly type: "modify"; readonly id: Element; readonly operators: Uint8Array }
  /** The difference of `$v: 2`; see {@link applyDiff}. */
  | { readonly type: "diff"; readonly id: Element; readonly diff: Uint8Array }
  | { readonly type: "remove"; readonly id: Element };

/** How writes are meant. */
export interface WriteMode {
  /**
   * Whether what is there may have seen them already, all or some: an insert replaces, what is to be
   * changed may be missing or of another shape, and later writes repair all of it. Otherwise each is
   * exact, and what does not fit is an error.
   */
  readonly isLenient: boolean;
  /** Whether the order of documents matters, and the oldest go by themselves. */
  readonly isCapped: boolean;
}

/** What an oplog is replayed onto: a server, or a model of one. */
export interface ReplaySink {
  /** Writes, in this order. */
  write(target: Namespace, writes: readonly Write[], mode: WriteMode): Promise<void>;
  /** Which of these ids are there, by their place in the list. */
  present(target: Namespace, ids: readonly Element[]): Promise<ReadonlySet<number>>;
  /** Makes a collection or a view. */
  create(target: Namespace, options: Uint8Array): Promise<void>;
  /** Removes one; that it is not there is fine. */
  drop(target: Namespace): Promise<void>;
  rename(from: Namespace, to: Namespace, o: { readonly isTargetDropped: boolean }): Promise<void>;
  /** Changes options; the fields are those of `collMod`, without its indexes. */
  modify(target: Namespace, change: Uint8Array): Promise<void>;
  /** Builds indexes, all of one collection. */
  createIndexes(target: Namespace, definitions: readonly Uint8Array[]): Promise<void>;
}
