import { elements, find, inner, noDocument } from "../archive/bson.ts";
import { isOwn, plainName } from "../archive/namespace.ts";
import { splitNamespace } from "../archive/oplog.ts";
import { batches } from "./batches.ts";
import { asMade, type CollectionState, isCapped, isView, withFields } from "./catalog.ts";
import { definitions } from "./definitions.ts";
import { type Operation, type OplogEntry, readOperation } from "./entry.ts";
import type { ReplayRules } from "./replay-rules.ts";
import type { Namespace, Write } from "./sink.ts";
import type { Spool } from "./spool.ts";
import { BrokenTransaction, transactions } from "./transactions.ts";
import { atEntry, failed } from "./unreplayable.ts";
import { writeOf } from "./writes.ts";

/** How an entry is meant: see WriteMode. */
export type ReplayPhase = "window" | "exact";

/** A replay under way. */
export interface Replay {
  /** What is there, by namespace of the source; to begin with, what the base restored. */
  readonly collections: ReadonlyMap<string, CollectionState>;
  /** Namespaces that were written to. */
  readonly written: ReadonlySet<string>;
  /** Takes note of a collection that the base restored. */
  announce(namespace: string, state: CollectionState): void;
  /**
   * Replays an entry. Entries come in their order, those of the base's window first.
   *
   * @throws BackupError `restore/failed`
   */
  entry(entry: OplogEntry, phase: ReplayPhase): Promise<void>;
  /** Writes what is held back for larger batches; a transaction that has not ended stays held. */
  flush(): Promise<void>;
  /** Ends it: what was there for a while only goes. What transactions under way have done counts not. */
  end(): Promise<void>;
  /** The indexes that each collection gets, under the names of the target. */
  indexes(): { target: Namespace; definitions: Uint8Array[] }[];
  /** Collections whose documents go after a time that the collection itself says, with that option. */
  expiring(): { target: Namespace; change: Uint8Array }[];
}

/**
 * Replays an oplog entry by entry, without `applyOps`, which managed services refuse.
 *
 * Documents are addressed by namespace and _id. Indexes are only kept account of, and are built at
 * the end: so no unique one is in the way of what the window does twice, none with a time to live
 * removes what later entries change, and whatever is renamed takes its own along.
 */
export function replay(rules: ReplayRules): Replay {
  const { sink } = rules;
  const collections = new Map<string, CollectionState>();
  const written = new Set<string>();
  const databases = new Set<string>();
  const underWay = transactions(rules.spool, rules.begun);
  const pending = batches(sink);
  /** Inserts of the window into capped collections: see {@link settle}. */
  const held = new Map<string, Write[]>();

  const { command, changeView, drop } = definitions({
    ...{ rules, collections, written, databases, targetOf, flush },
    async settle(namespace) {
      await settle(namespace);
      await flush();
    },
    forget: (namespace) => void held.delete(namespace),
  });

  async function entry(read: OplogEntry, phase: ReplayPhase): Promise<void> {
    const isLenient = phase === "window";
    try {
      if (!isLenient && held.size > 0) await settleAll();
      if (read.transaction === undefined) await apply(read, isLenient);
      else await applyTransaction(read, isLenient);
    } catch (error) {
      throw atEntry(error, read);
    }
  }

  async function applyTransaction(read: OplogEntry, isLenient: boolean): Promise<void> {
    let whole: Spool | undefined;
    try {
      whole = underWay.take(read, !isLenient);
    } catch (error) {
      // One that began before the window ended before the dump did begin: it is in the documents.
      if (isLenient && error instanceof BrokenTransaction) return;
      throw error;
    }
    if (whole === undefined) return;
    for (const operation of whole.documents()) await apply(readOperation(operation), isLenient);
    whole.drop();
  }

  async function apply(operation: Operation, isLenient: boolean): Promise<void> {
    const { op, db, collection, object } = operation;
    if (op === "n") return;
    const several = op === "c" ? inner(find(object, "applyOps")) : undefined;
    if (several !== undefined) {
      for (const { value } of elements(several)) await apply(readOperation(value), isLenient);
      return;
    }
    if (db === "local" || db === "config") return;
    if (op === "c") return await command(db, object, isLenient);
    if (!["i", "u", "d"].includes(op)) throw failed(`its operation, "${op}", is not known`);
    if (collection === "system.views") return await changeView(operation, isLenient);
    if (!isOwn(collection)) return;
    const target = targetOf(db, collection);
    if (target === undefined) return;
    const namespace = `${db}.${collection}`;
    const state = collections.get(namespace);
    if (state === undefined) {
      if (isLenient) return;
      throw failed(`collection "${namespace}" is not there`);
    }
    written.add(namespace);
    const write = writeOf(operation);
    count(state, write, isLenient);
    if (isLenient && isCapped(state)) {
      const before = held.get(namespace);
      if (before === undefined) held.set(namespace, [write]);
      else before.push(write);
      return;
    }
    await pending.add(target, write, { isLenient, isCapped: isCapped(state) });
  }

  function count(state: CollectionState, { type }: Write, isLenient: boolean): void {
    if (state.count === undefined) return;
    if (isLenient || isCapped(state)) state.count = undefined;
    else if (type === "insert") state.count++;
    else if (type === "remove") state.count--;
  }

  function targetOf(db: string, collection: string): Namespace | undefined {
    const to = rules.nameOf(db, plainName(collection));
    return to === undefined ? undefined : { db: to, collection };
  }

  /**
   * Documents of a capped collection keep the order in which they came. Those of the window up to the
   * last one that the dump has seen are in it, or have fallen out of it, and the others follow.
   */
  async function settle(namespace: string): Promise<void> {
    const writes = held.get(namespace);
    if (writes === undefined) return;
    held.delete(namespace);
    const { db, collection } = splitNamespace(namespace);
    const target = targetOf(db, collection)!;
    const inserts = writes.filter(({ type }) => type === "insert");
    const present = await sink.present(target, inserts.map(({ id }) => id));
    const last = inserts.findLastIndex((_, index) => present.has(index));
    const seen = new Set(inserts.slice(0, last + 1));
    const rest = writes.filter((write) => !seen.has(write));
    for (const write of rest) await pending.add(target, write, { isLenient: true, isCapped: true });
  }

  async function settleAll(): Promise<void> {
    for (const namespace of [...held.keys()]) await settle(namespace);
  }

  async function flush(): Promise<void> {
    await pending.flush();
  }

  return {
    collections,
    written,
    announce(namespace, state) {
      collections.set(namespace, state);
      databases.add(splitNamespace(namespace).db);
    },
    entry,
    flush: async () => {
      await settleAll();
      await flush();
    },
    async end() {
      await settleAll();
      await flush();
      for (const [namespace, { isTemporary }] of [...collections]) {
        const { db, collection } = splitNamespace(namespace);
        if (isTemporary || rules.isPassing?.(db) === true) await drop(db, collection);
      }
    },
    indexes: () =>
      [...collections].flatMap(([namespace, state]) => {
        const { db, collection } = splitNamespace(namespace);
        const target = targetOf(db, plainName(collection));
        if (target === undefined || isView(state) || state.indexes.size === 0) return [];
        const definitions = [...state.indexes.values()].map((one) => asMade(state, one));
        return [{ target, definitions }];
      }),
    expiring: () =>
      [...collections].flatMap(([namespace, { options }]) => {
        const { db, collection } = splitNamespace(namespace);
        const target = targetOf(db, plainName(collection));
        const after = [...elements(options)].filter(({ name }) => name === "expireAfterSeconds");
        if (target === undefined || after.length === 0) return [];
        return [{ target, change: withFields(noDocument, after) }];
      }),
  };
}
