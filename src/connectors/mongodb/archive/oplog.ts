import {
  documentOf,
  element,
  elements,
  find,
  halves,
  inner,
  noDocument,
  stringElement,
  text,
  types,
} from "./bson.ts";
import { plainName } from "./namespace.ts";

/** What happens to the objects of a database, as an oplog entry says it. */
export type OplogChange =
  | { readonly type: "write"; readonly db: string; readonly collection: string }
  | { readonly type: "create" | "drop"; readonly db: string; readonly collection: string }
  | { readonly type: "create-view"; readonly db: string; readonly collection: string }
  | {
    readonly type: "create-index" | "drop-index";
    readonly db: string;
    readonly collection: string;
    /** The index's name; `*` for all but that of _id. */
    readonly index: string;
    /** Of `create-index`: the index as the entry describes it. */
    readonly definition?: Uint8Array;
  }
  /** Documents begin to be removed when their time has passed, or to be so at another time. */
  | { readonly type: "expire"; readonly db: string; readonly collection: string }
  | { readonly type: "drop-database"; readonly db: string };

/** Where an entry stands in the log. */
export interface OplogTime {
  /** Seconds since 1970. */
  readonly t: number;
  /** Counts within the second. */
  readonly i: number;
  readonly term: number | undefined;
}

/** When an entry was written. @throws BsonError */
export function timeOf(entry: Uint8Array): OplogTime | undefined {
  const ts = halves(find(entry, "ts"));
  const term = halves(find(entry, "t"));
  return ts && { t: ts[0] >>> 0, i: ts[1] >>> 0, term: term?.[1] };
}

/** Whether an entry is one write to one document. @throws BsonError */
export function isWrite(entry: Uint8Array): boolean {
  return ["i", "u", "d"].includes(text(find(entry, "op")) ?? "");
}

/** The changes of an entry, those inside a transaction too. @throws BsonError */
export function* changesOf(entry: Uint8Array): Generator<OplogChange> {
  const operation = text(find(entry, "op"));
  const namespace = text(find(entry, "ns")) ?? "";
  const { db, collection } = splitNamespace(namespace);
  const object = inner(find(entry, "o"));
  if (object === undefined || operation === undefined || operation === "n") return;
  if (operation === "c") {
    yield* commandChanges(db, object);
  } else {
    yield { type: "write", db, collection };
  }
}

function* commandChanges(db: string, command: Uint8Array): Generator<OplogChange> {
  const [first] = elements(command);
  const collection = text(first) ?? "";
  switch (first?.name) {
    case "applyOps":
      for (const { value } of elements(inner(first) ?? noDocument)) yield* changesOf(value);
      return;
    case "create": {
      const isView = find(command, "viewOn") !== undefined;
      yield { type: isView ? "create-view" : "create", db, collection };
      return;
    }
    case "drop":
      yield { type: "drop", db, collection };
      return;
    case "dropDatabase":
      yield { type: "drop-database", db };
      return;
    case "createIndexes":
      yield* indexChanges(
        db,
        collection,
        documentOf([...elements(command)].slice(1).map(({ raw }) => raw)),
      );
      return;
    case "commitIndexBuild":
      for (const { value } of elements(inner(find(command, "indexes")) ?? noDocument)) {
        yield* indexChanges(db, collection, value);
      }
      return;
    case "collMod":
      if (text(first) !== undefined && mayExpire(command)) yield { type: "expire", db, collection };
      return;
    case "dropIndexes":
    case "deleteIndexes":
      yield { type: "drop-index", db, collection, index: text(find(command, "index")) ?? "*" };
  }
}

function* indexChanges(
  db: string,
  collection: string,
  definition: Uint8Array,
): Generator<OplogChange> {
  const index = text(find(definition, "name")) ?? "";
  yield { type: "create-index", db, collection, index, definition };
  if (mayExpire(definition)) yield { type: "expire", db, collection };
}

/** Whether an index, or the change of one or of a collection, is about documents that expire. */
function mayExpire(definition: Uint8Array): boolean {
  const changed = inner(find(definition, "index"));
  return find(definition, "expireAfterSeconds") !== undefined ||
    (changed !== undefined && find(changed, "expireAfterSeconds") !== undefined);
}

/** Which namespaces to keep, and under which database name. */
export interface NamespaceRules {
  /** `collection` is undefined for what concerns a whole database. */
  keep(db: string, collection: string | undefined): boolean;
  /** Whether the documents of a kept collection are kept; by default they are. */
  hasData?(db: string, collection: string): boolean;
  rename(db: string): string;
}

/**
 * The entry as the rules leave it: itself, one without the other namespaces' operations, one with
 * databases renamed, or undefined. A transaction keeps its frame even when nothing is left in it,
 * since later entries refer to it.
 *
 * @throws BsonError
 */
export function ruledEntry(entry: Uint8Array, rules: NamespaceRules): Uint8Array | undefined {
  const operation = text(find(entry, "op"));
  if (operation === "n") return undefined;
  const { db, collection } = splitNamespace(text(find(entry, "ns")) ?? "");
  const object = inner(find(entry, "o"));
  if (collection === "system.views" && object !== undefined) {
    const command = viewCommand(entry, operation, db, object);
    return command && ruledEntry(command, rules);
  }
  const [command] = operation === "c" && object !== undefined ? elements(object) : [];
  if (command?.name === "applyOps") {
    return withOperations(entry, object!, (operation) => ruledEntry(operation, rules));
  }
  const target = operation === "c" ? text(command) : collection;
  // The first view makes it.
  if (target === "system.views") return undefined;
  if (!rules.keep(db, target === undefined ? undefined : plainName(target))) return undefined;
  if (operation !== "c" && !hasData(rules, db, plainName(collection))) return undefined;
  const renamed = rules.rename(db);
  if (renamed === db) return entry;
  return replaced(entry, "ns", stringElement("ns", `${renamed}.${collection}`));
}

/** Whether the rules keep a collection's documents. */
export function hasData(rules: NamespaceRules, db: string, collection: string): boolean {
  return rules.hasData?.(db, collection) ?? true;
}

/**
 * A view is a document of `system.views`. Servers refuse to replay writes to that ("Modifications to
 * system.views must take an exclusive lock", 4.4), so such a write becomes the command that led to it.
 */
function viewCommand(
  entry: Uint8Array,
  operation: string | undefined,
  db: string,
  object: Uint8Array,
): Uint8Array | undefined {
  const id = text(find(inner(find(entry, "o2")) ?? object, "_id"));
  if (id === undefined) return undefined;
  const view = splitNamespace(id).collection;
  const definition = [...elements(object)].filter(({ name }) => name !== "_id");
  const create = documentOf([
    stringElement("create", view),
    ...definition.map(({ raw }) => raw),
  ]);
  const drop = documentOf([stringElement("drop", view)]);
  if (operation === "i") return asCommand(entry, db, create);
  if (operation === "d") return asCommand(entry, db, drop);
  const both = [drop, create].map((command) => asCommand(entry, db, command));
  return asCommand(entry, "admin", documentOf([element(types.array, "applyOps", listOf(both))]));
}

/** The entry with a command instead of a write. */
function asCommand(entry: Uint8Array, db: string, command: Uint8Array): Uint8Array {
  const own = ["op", "ns", "o", "o2", "ui"];
  return documentOf([
    stringElement("op", "c"),
    stringElement("ns", `${db}.$cmd`),
    ...[...elements(entry)].filter(({ name }) => !own.includes(name)).map(({ raw }) => raw),
    element(types.document, "o", command),
  ]);
}

/** An entry of `applyOps` with each of its operations changed, or without it. */
export function withOperations(
  entry: Uint8Array,
  command: Uint8Array,
  change: (operation: Uint8Array) => Uint8Array | undefined,
): Uint8Array {
  const raws = [...elements(command)].map((part) => {
    if (part.name !== "applyOps") return part.raw;
    const kept = [...elements(part.value)].map(({ value }) => change(value))
      .filter((operation) => operation !== undefined);
    return element(part.type, part.name, listOf(kept));
  });
  return replaced(entry, "o", element(types.document, "o", documentOf(raws)));
}

/** An array's value. */
function listOf(documents: readonly Uint8Array[]): Uint8Array {
  return documentOf(documents.map((value, at) => element(types.document, String(at), value)));
}

function replaced(document: Uint8Array, name: string, raw: Uint8Array): Uint8Array {
  const parts = [...elements(document)];
  return documentOf(parts.map((part) => part.name === name ? raw : part.raw));
}

/** Database names have no dot; collection names may. */
export function splitNamespace(namespace: string): { db: string; collection: string } {
  const dot = namespace.indexOf(".");
  return dot < 0
    ? { db: namespace, collection: "" }
    : { db: namespace.slice(0, dot), collection: namespace.slice(dot + 1) };
}
