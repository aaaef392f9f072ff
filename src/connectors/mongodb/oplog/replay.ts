import { BackupError } from "../../../core/errors.ts";
import { elements, find, inner, text } from "../archive/bson.ts";
import { isOwn, plainName } from "../archive/namespace.ts";
import { splitNamespace } from "../archive/oplog.ts";
import { batches } from "./batches.ts";
import {
  addIndex,
  asMade,
  type CollectionState,
  isCapped,
  isView,
  modifyIndex,
  removeIndex,
  withFields,
  without,
} from "./catalog.ts";
import { assertDiff, UnknownDiff } from "./diff.ts";
import { type Operation, type OplogEntry, readOperation } from "./entry.ts";
import type { Namespace, ReplaySink, Write } from "./sink.ts";
import type { Spool } from "./spool.ts";
import { BrokenTransaction, type OpenTransaction, transactions } from "./transactions.ts";

/** What of an oplog is replayed, and onto what. */
export interface ReplayRules {
  readonly sink: ReplaySink;
  /** What transactions are held in until they end. */
  readonly spool: () => Spool;
  /** The database's name on the target; undefined for a collection that is left out. */
  nameOf(db: string, collection: string): string | undefined;
  /** Whether a database is only there on the way, and goes at the end. */
  isPassing?(db: string): boolean;
  /** Transactions that had begun before the first entry that this replay is given. */
  readonly begun?: readonly OpenTransaction[];
  /** Asked before the first collection is made in a database that the base did not have. */
  onDatabase?(db: string): Promise<void>;
}

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
  /** The transactions that are under way. */
  open(): OpenTransaction[];
  /** The indexes that each collection gets, under the names of the target. */
  indexes(): { target: Namespace; definitions: Uint8Array[] }[];
  /** Collections whose documents go after a time that the collection itself says, with that option. */
  expiring(): { target: Namespace; change: Uint8Array }[];
}

/** Made by the server on its way to something else; a replay that stops in between leaves them. */
const temporary = /^tmp\.agg_out\.|^tmp.{5}\.(renameCollection|convertToCapped\..*|rename)$/;

/** Whether a collection is one that a server makes on its way to another one. */
export function isPassing(collection: string): boolean {
  return temporary.test(collection);
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
    if (op === "c") return await command(db, object, isLenient);
    if (!["i", "u", "d"].includes(op)) throw failed(`its operation, "${op}", is not known`);
    if (db === "local" || db === "config") return;
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
      held.set(namespace, [...held.get(namespace) ?? [], write]);
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

  async function changeView({ op, db, object, target }: Operation, isLenient: boolean) {
    const id = text(find(target ?? object, "_id"));
    if (id === undefined) throw failed("a view has no name");
    const { collection } = splitNamespace(id);
    // A time series is made and dropped with the collection of its buckets.
    if (collections.has(`${db}.system.buckets.${collection}`)) return;
    if (op === "i" && startsWithBuckets(object)) return;
    await flush();
    if (op !== "i") await drop(db, collection);
    if (op !== "d") await create(db, collection, without(object, "_id"), isLenient);
  }

  async function command(db: string, object: Uint8Array, isLenient: boolean): Promise<void> {
    const [first] = elements(object);
    if (first === undefined) throw failed("a command is empty");
    if (first.name === "applyOps") {
      for (const { value } of elements(first.value)) await apply(readOperation(value), isLenient);
      return;
    }
    if (db === "local" || db === "config") return;
    const name = text(first) ?? "";
    if (first.name === "renameCollection") {
      await flush();
      return await rename(name, object);
    }
    // The server's own collections stay as they are, whatever is done to them.
    if (first.name !== "dropDatabase" && name !== "" && !isOwn(name)) return;
    const state = collections.get(`${db}.${name}`);
    switch (first.name) {
      case "startIndexBuild":
      case "abortIndexBuild":
        return;
      case "createIndexes":
      case "commitIndexBuild":
        for (const one of indexesOf(object)) if (state !== undefined) addIndex(state, one);
        break;
      case "dropIndexes":
      case "deleteIndexes":
        if (state !== undefined) removeIndex(state, object);
        break;
      case "create":
        await flush();
        return await create(
          db,
          name,
          without(object, "create", "idIndex", "autoIndexId", "uuid"),
          isLenient,
        );
      case "collMod":
        if (state === undefined) break;
        await flush();
        await modify(db, name, state, without(object, "collMod"));
        break;
      case "drop":
        await flush();
        return await drop(db, name);
      case "dropDatabase":
        await flush();
        for (const namespace of [...collections.keys()]) {
          if (namespace.startsWith(`${db}.`)) await drop(db, namespace.slice(db.length + 1));
        }
        return;
      case "emptycapped": {
        if (state === undefined) break;
        await flush();
        const { options, indexes } = state;
        await drop(db, name);
        await create(db, name, options, isLenient);
        const again = collections.get(`${db}.${name}`);
        indexes.forEach((definition) => again && addIndex(again, definition));
        return;
      }
      default:
        throw failed(`its command, "${first.name}", is not known`);
    }
    const isLost = state === undefined && !isLenient &&
      rules.nameOf(db, plainName(name)) !== undefined;
    if (isLost) throw failed(`collection "${db}.${name}" is not there`);
  }

  async function create(
    db: string,
    collection: string,
    options: Uint8Array,
    isLenient: boolean,
  ): Promise<void> {
    const target = targetOf(db, collection);
    const namespace = `${db}.${collection}`;
    if (target === undefined) return;
    // The dump has seen it already.
    if (collections.has(namespace) && isLenient) return;
    if (!databases.has(db)) await rules.onDatabase?.(db);
    databases.add(db);
    await sink.create(target, without(options, "temp", "expireAfterSeconds"));
    collections.set(namespace, {
      options: without(options, "temp"),
      indexes: new Map(),
      isTemporary: find(options, "temp") !== undefined || isPassing(collection),
      count: isLenient ? undefined : 0,
    });
  }

  async function drop(db: string, collection: string): Promise<void> {
    const target = targetOf(db, collection);
    if (target === undefined || !collections.delete(`${db}.${collection}`)) return;
    held.delete(`${db}.${collection}`);
    await sink.drop(target);
  }

  async function modify(db: string, name: string, state: CollectionState, change: Uint8Array) {
    const target = targetOf(db, name);
    if (target === undefined) return;
    const index = inner(find(change, "index"));
    if (index !== undefined) modifyIndex(state, index);
    const fields = [...elements(change)].filter((one) => one.name !== "index");
    if (fields.length === 0) return;
    state.options = withFields(state.options, fields);
    const now = fields.filter((one) => one.name !== "expireAfterSeconds");
    if (now.length === 0) return;
    await sink.modify(target, without(change, "index", "expireAfterSeconds"));
  }

  async function rename(fromName: string, object: Uint8Array): Promise<void> {
    const toName = text(find(object, "to")) ?? "";
    const from = splitNamespace(fromName);
    const to = splitNamespace(toName);
    const [fromTarget, toTarget] = [from, to].map(({ db, collection }) => targetOf(db, collection));
    if (fromTarget === undefined && toTarget === undefined) return;
    if (toTarget === undefined) return await drop(from.db, from.collection);
    if (fromTarget === undefined) {
      throw failed(
        `"${toName}" comes from "${fromName}", which is not restored`,
        "Restore all databases, or these two together.",
      );
    }
    const state = collections.get(fromName);
    if (state === undefined) throw failed(`collection "${fromName}" is not there`);
    await settle(fromName);
    await flush();
    const dropTarget = find(object, "dropTarget");
    const isTargetDropped = dropTarget !== undefined &&
      dropTarget.value.some((byte) => byte !== 0) && collections.has(toName);
    await sink.rename(fromTarget, toTarget, { isTargetDropped });
    collections.delete(fromName);
    held.delete(toName);
    const isStaying = find(object, "stayTemp")?.value.some((byte) => byte !== 0) === true;
    collections.set(toName, {
      ...state,
      isTemporary: (state.isTemporary && isStaying) || isPassing(to.collection),
    });
    if (written.has(fromName)) written.add(toName);
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
    open: underWay.open,
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

const noDocument = Uint8Array.of(5, 0, 0, 0, 0);

/** Those of `commitIndexBuild`, or the one that a `createIndexes` itself describes. */
function indexesOf(command: Uint8Array): Uint8Array[] {
  const several = inner(find(command, "indexes"));
  if (several === undefined) return [without(command, "createIndexes")];
  return [...elements(several)].map(({ value }) => value);
}

function startsWithBuckets(view: Uint8Array): boolean {
  return text(find(view, "viewOn"))?.startsWith("system.buckets.") === true;
}

function writeOf({ op, object, target }: Operation): Write {
  const id = find(op === "u" ? target ?? noDocument : object, "_id");
  if (id === undefined) throw failed("a write names no _id");
  if (op === "i") return { type: "insert", id, document: object };
  if (op === "d") return { type: "remove", id };
  const [first] = elements(object);
  const isChange = first !== undefined &&
    (first.name === "$v" || first.name === "$set" || first.name === "$unset");
  if (!isChange) return { type: "replace", id, document: object };
  const diff = inner(find(object, "diff"));
  if (diff !== undefined) {
    assertDiff(diff);
    return { type: "diff", id, diff };
  }
  return { type: "modify", id, operators: without(object, "$v") };
}

/** What cannot be replayed. */
class Unreplayable extends Error {
  override readonly name = "Unreplayable";
  constructor(problem: string, readonly hint?: string) {
    super(problem);
  }
}

function failed(problem: string, hint?: string): Unreplayable {
  return new Unreplayable(problem, hint);
}

function atEntry(error: unknown, { time: { t, i } }: OplogEntry): unknown {
  const isOurs = error instanceof Unreplayable || error instanceof BrokenTransaction ||
    error instanceof UnknownDiff;
  if (!isOurs) return error;
  const when = new Date(t * 1000).toISOString();
  const what = error instanceof BrokenTransaction ? "a transaction is not whole: " : "";
  return new BackupError(
    "restore/failed",
    `The oplog cannot be replayed beyond ${t}:${i} (${when}): ${what}${error.message}`,
    {
      cause: error,
      hint: (error instanceof Unreplayable ? error.hint : undefined) ??
        "Restore to a moment before that with --at, or an older backup.",
    },
  );
}
