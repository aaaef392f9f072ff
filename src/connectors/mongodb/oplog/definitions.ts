import { elements, find, inner, isSet, text } from "../archive/bson.ts";
import { isOwn, plainName } from "../archive/namespace.ts";
import { splitNamespace } from "../archive/oplog.ts";
import {
  addIndex,
  type CollectionState,
  isPassing,
  modifyIndex,
  removeIndex,
  withFields,
  without,
} from "./catalog.ts";
import type { Operation } from "./entry.ts";
import type { ReplayRules } from "./replay-rules.ts";
import type { Namespace } from "./sink.ts";
import { failed } from "./unreplayable.ts";

/** What replays the entries that make, change and remove collections, views and indexes. */
export interface Definitions {
  /** A command but `applyOps`. */
  command(db: string, object: Uint8Array, isLenient: boolean): Promise<void>;
  /** A write to `system.views`, whose documents are the views. */
  changeView(operation: Operation, isLenient: boolean): Promise<void>;
  drop(db: string, collection: string): Promise<void>;
}

/** What it shares with what replays the documents. */
export interface DefinitionsContext {
  readonly rules: ReplayRules;
  readonly collections: Map<string, CollectionState>;
  readonly written: Set<string>;
  /** The databases that are known to be there. */
  readonly databases: Set<string>;
  targetOf(db: string, collection: string): Namespace | undefined;
  /** Writes what is held back. */
  flush(): Promise<void>;
  /** Writes what is held back of a capped collection, too. */
  settle(namespace: string): Promise<void>;
  /** Lets go of what is held back of one that is gone. */
  forget(namespace: string): void;
}

/** See {@link Definitions}. */
export function definitions(
  { rules, collections, written, databases, targetOf, flush, settle, forget }: DefinitionsContext,
): Definitions {
  const { sink } = rules;

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
    const name = text(first) ?? "";
    if (first.name === "renameCollection") {
      await flush();
      return await rename(name, object, isLenient);
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
    forget(`${db}.${collection}`);
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

  async function rename(
    fromName: string,
    object: Uint8Array,
    isLenient: boolean,
  ): Promise<void> {
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
    if (state === undefined && isLenient) return;
    if (state === undefined) throw failed(`collection "${fromName}" is not there`);
    await settle(fromName);
    const isTargetDropped = isSet(find(object, "dropTarget")) && collections.has(toName);
    await sink.rename(fromTarget, toTarget, { isTargetDropped });
    collections.delete(fromName);
    forget(toName);
    const isStaying = isSet(find(object, "stayTemp"));
    collections.set(toName, {
      ...state,
      isTemporary: (state.isTemporary && isStaying) || isPassing(to.collection),
    });
    if (written.has(fromName)) written.add(toName);
  }

  return { command, changeView, drop };
}

/** Those of `commitIndexBuild`, or the one that a `createIndexes` itself describes. */
function indexesOf(command: Uint8Array): Uint8Array[] {
  const several = inner(find(command, "indexes"));
  if (several === undefined) return [without(command, "createIndexes")];
  return [...elements(several)].map(({ value }) => value);
}

function startsWithBuckets(view: Uint8Array): boolean {
  return text(find(view, "viewOn"))?.startsWith("system.buckets.") === true;
}
