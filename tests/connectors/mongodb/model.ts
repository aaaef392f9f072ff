import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { BSON, deserialize, EJSON } from "bson";
import { type Element, find } from "../../../src/connectors/mongodb/archive/bson.ts";
import { isOwn, plainName } from "../../../src/connectors/mongodb/archive/namespace.ts";
import { rewriteArchive } from "../../../src/connectors/mongodb/archive/rewrite.ts";
import { announced } from "../../../src/connectors/mongodb/oplog/base.ts";
import {
  type CollectionState,
  isCapped,
  isView,
  without,
} from "../../../src/connectors/mongodb/oplog/catalog.ts";
import { applyDiff } from "../../../src/connectors/mongodb/oplog/diff.ts";
import { numberOf, readEntry } from "../../../src/connectors/mongodb/oplog/entry.ts";
import { type Replay, replay } from "../../../src/connectors/mongodb/oplog/replay.ts";
import type { ReplayRules } from "../../../src/connectors/mongodb/oplog/replay-rules.ts";
import type { Namespace, ReplaySink, Write } from "../../../src/connectors/mongodb/oplog/sink.ts";
import type { Spool } from "../../../src/connectors/mongodb/oplog/spool.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { whole } from "./archives.ts";
import { contentOfArchive } from "./memoryReplay.ts";
import { operated } from "./operators.ts";
import type { Moments, RecordedCollection } from "./recording.ts";

/** A server's collections, in memory. */
export interface Model extends ReplaySink {
  /** Documents by their _id, by namespace; in the order of their insertion. */
  readonly collections: Map<string, ModelCollection>;
}

interface ModelCollection {
  options: Uint8Array;
  readonly documents: Map<string, Uint8Array>;
  indexes: Uint8Array[];
}

/**
 * A model of what a server does with the commands of a replay. It is strict where a server is: writes
 * to collections that are not there, and changes of documents that are missing, throw.
 */
export function model(): Model {
  const collections = new Map<string, ModelCollection>();
  const nameOf = ({ db, collection }: Namespace) => `${db}.${collection}`;
  const at = (target: Namespace) => {
    const found = collections.get(nameOf(target));
    if (found === undefined) throw new Error(`NamespaceNotFound: ${nameOf(target)}`);
    return found;
  };

  function write(target: ModelCollection, one: Write, isLenient: boolean): void {
    const { documents } = target;
    const key = keyOf(one.id);
    const before = documents.get(key);
    const isChange = one.type === "modify" || one.type === "diff" || one.type === "replace";
    if (isChange && before === undefined) {
      if (isLenient) return;
      throw new Error(`missing document ${key}`);
    }
    if (one.type === "insert" && before !== undefined && !isLenient) {
      throw new Error(`duplicate document ${key}`);
    }
    if (one.type === "remove") documents.delete(key);
    else if (one.type === "modify") documents.set(key, operated(before!, one.operators));
    else if (one.type === "diff") documents.set(key, applyDiff(before!, one.diff));
    else documents.set(key, one.document);
    if (isCapped(target)) evict(target);
  }

  return {
    collections,
    write(target, writes, { isLenient }) {
      for (const one of writes) write(at(target), one, isLenient);
      return Promise.resolve();
    },
    present(target, ids) {
      const { documents } = at(target);
      const found = ids.flatMap((id, index) => documents.has(keyOf(id)) ? [index] : []);
      return Promise.resolve(new Set(found));
    },
    create(target, options) {
      if (collections.has(nameOf(target))) throw new Error(`NamespaceExists: ${nameOf(target)}`);
      collections.set(nameOf(target), { options, documents: new Map(), indexes: [] });
      return Promise.resolve();
    },
    drop(target) {
      collections.delete(nameOf(target));
      return Promise.resolve();
    },
    rename(from, to, { isTargetDropped }) {
      const moved = at(from);
      if (collections.has(nameOf(to)) !== isTargetDropped) {
        throw new Error(`${nameOf(to)} is ${isTargetDropped ? "not there" : "there"}`);
      }
      collections.delete(nameOf(from));
      collections.set(nameOf(to), moved);
      return Promise.resolve();
    },
    modify(target, change) {
      const one = at(target);
      const options = { ...plain(one.options), ...plain(change) };
      one.options = BSON.serialize(options);
      return Promise.resolve();
    },
    createIndexes(target, definitions) {
      at(target).indexes.push(...definitions);
      return Promise.resolve();
    },
  };
}

/** The oldest go once there are more, or more bytes, than the collection may hold. */
function evict({ options, documents }: ModelCollection): void {
  const limit = (name: string) => {
    const found = find(options, name);
    return found === undefined ? Infinity : numberOf(found);
  };
  let bytes = [...documents.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  for (const [key, { byteLength }] of documents) {
    if (documents.size <= limit("max") && bytes <= limit("size")) return;
    documents.delete(key);
    bytes -= byteLength;
  }
}

/** A spool in memory alone. */
export function memorySpool(): Spool {
  let held: Uint8Array[] = [];
  return {
    push: (document) => void held.push(document),
    documents: () => held,
    drop: () => void (held = []),
  };
}

/** A replay onto a model that has begun with the window of a base. */
export async function restoredBase(
  archive: Uint8Array,
  rules: Partial<ReplayRules> = {},
): Promise<{ model: Model; replay: Replay }> {
  const server = model();
  const under = replay({ sink: server, spool: memorySpool, nameOf: (db) => db, ...rules });
  const nameOf = rules.nameOf ?? ((db: string) => db);
  const window: Uint8Array[] = [];
  const states = new Map<string, CollectionState>();
  const passed = await whole(rewriteArchive(bytesOf(archive), {
    keep: (db, collection = "") =>
      db !== "config" && db !== "local" && (db !== "admin" || isOwn(collection)) &&
      nameOf(db, plainName(collection)) !== undefined,
    rename: (db) => db,
    onCollection(entry) {
      const { namespace, state } = announced(entry, BSON);
      states.set(namespace, state);
    },
    onEntry: (entry) => void window.push(new Uint8Array(entry)),
  }));
  const { collections: documents } = contentOfArchive(passed);
  for (const [namespace, state] of states) {
    const [db, ...rest] = namespace.split(".");
    const target = `${nameOf(db!, plainName(rest.join(".")))}.${rest.join(".")}`;
    server.collections.set(target, {
      options: state.options,
      documents: new Map(
        (documents.get(namespace) ?? []).map((one) => [keyOf(find(one, "_id")!), one]),
      ),
      indexes: [],
    });
    under.announce(namespace, state);
  }
  for (const entry of window) await under.entry(readEntry(entry)!, "window");
  await under.flush();
  return { model: server, replay: under };
}

/** Everything as the recordings describe a moment, with the indexes that a replay would build. */
export function described(
  server: Model,
  under: Replay,
  { definitions }: Moments,
): Record<string, Record<string, RecordedCollection>> {
  const built = new Map(
    under.indexes().map(({ target, definitions }) => [
      `${target.db}.${target.collection}`,
      definitions,
    ]),
  );
  const keyed = (value: string | readonly string[]) =>
    Object.entries(definitions).find(([, one]) => JSON.stringify(one) === JSON.stringify(value))
      ?.[0] ?? JSON.stringify(value);
  const all: Record<string, Record<string, RecordedCollection>> = {};
  for (const [namespace, { options, documents }] of server.collections) {
    const dot = namespace.indexOf(".");
    const [db, name] = [namespace.slice(0, dot), namespace.slice(dot + 1)];
    const isOfView = isView({ options });
    const shown = { type: isOfView ? "view" : "collection", options: keyed(canonical(options)) };
    const ids = [canonicalSorted(idIndexOf(options))];
    const indexes = (built.get(namespace) ?? []).map((one) => canonicalSorted(asListed(one)));
    (all[db] ??= {})[name] = isOfView ? shown as RecordedCollection : {
      ...shown as RecordedCollection,
      count: documents.size,
      docs: digestOf(
        [...documents.values()],
        isCapped({ options }),
      ),
      indexes: keyed(
        [...ids, ...indexes].sort((a, b) => nameIn(a) < nameIn(b) ? -1 : 1),
      ),
    };
  }
  return all;
}

function nameIn(index: string): string {
  return String((JSON.parse(index) as { name: string }).name);
}

/** A simple collation is not listed. */
function asListed(index: Uint8Array): Uint8Array {
  const { collation } = plain(index);
  return collation?.locale === "simple" ? without(index, "collation") : index;
}

function idIndexOf(options: Uint8Array): Uint8Array {
  const { collation } = plain(options);
  const id = { v: 2, key: { _id: 1 }, name: "_id_" };
  return BSON.serialize(collation === undefined ? id : { ...id, collation });
}

function canonical(document: Uint8Array): string {
  return ascii(EJSON.stringify(plain(document), { relaxed: false }));
}

function canonicalSorted(document: Uint8Array): string {
  const sorted = Object.entries(plain(document)).sort(([a], [b]) => a < b ? -1 : 1);
  return ascii(EJSON.stringify(Object.fromEntries(sorted), { relaxed: false }));
}

function ascii(text: string): string {
  return text.replaceAll(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function plain(document: Uint8Array) {
  return deserialize(document, { promoteValues: false, bsonRegExp: true });
}

function keyOf({ type, value }: Element): string {
  return `${type} ${Buffer.from(value).toString("hex")}`;
}

function digestOf(documents: readonly Uint8Array[], isOrdered: boolean): string {
  const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
  const all = documents.map((document) => sha256(document));
  return sha256((isOrdered ? all : all.sort()).join("\n"));
}
