import {
  documentOf,
  type Element,
  element,
  elements,
  find,
  inner,
  isSet,
  keyOf,
  stringElement,
  text,
  truth,
  types,
} from "../archive/bson.ts";

/** A collection or a view, as replay knows it. */
export interface CollectionState {
  /** As `create` takes them. */
  options: Uint8Array;
  /** But that of _id, by name; they are built once the documents are there. */
  readonly indexes: Map<string, Uint8Array>;
  /** Made by the server for a while: it goes when the replay is over. */
  isTemporary: boolean;
  /** How many documents it has; undefined where only the server knows. */
  count?: number | undefined;
}

/** Whether it is a view: it has no documents and no indexes. */
export function isView({ options }: Pick<CollectionState, "options">): boolean {
  return find(options, "viewOn") !== undefined;
}

/** Whether its oldest documents go by themselves. */
export function isCapped({ options }: Pick<CollectionState, "options">): boolean {
  return isSet(find(options, "capped"));
}

/** Whether the server removes documents of it when their time has passed. */
export function expires({ options, indexes }: CollectionState): boolean {
  return [options, ...indexes.values()].some((one) =>
    find(one, "expireAfterSeconds") !== undefined
  );
}

/** A document of options or of an index, without some of its fields. */
export function without(document: Uint8Array, ...names: readonly string[]): Uint8Array {
  return documentOf(
    [...elements(document)].filter(({ name }) => !names.includes(name)).map(({ raw }) => raw),
  );
}

/** A document with fields put in, each in the place of the one of its name. */
export function withFields(document: Uint8Array, fields: readonly Element[]): Uint8Array {
  const names = new Set(fields.map(({ name }) => name));
  const kept = [...elements(document)].filter(({ name }) => !names.has(name));
  return documentOf([...kept, ...fields].map(({ raw }) => raw));
}

/** Puts an index where it is known by its name; that of _id comes with its collection. */
export function addIndex(collection: CollectionState, definition: Uint8Array): void {
  const name = text(find(definition, "name"));
  if (name === undefined || name === "_id_") return;
  collection.indexes.set(name, definition);
}

/** Takes an index away, or all, as `dropIndexes` names them. */
export function removeIndex({ indexes }: CollectionState, command: Uint8Array): void {
  const name = text(find(command, "index"));
  if (name === undefined || name === "*") indexes.clear();
  else indexes.delete(name);
}

/** Changes an index as the field `index` of a `collMod` says. */
export function modifyIndex(collection: CollectionState, change: Uint8Array): void {
  const name = text(find(change, "name")) ??
    nameByKey(collection, inner(find(change, "keyPattern")));
  const definition = name === undefined ? undefined : collection.indexes.get(name);
  if (definition === undefined) return;
  const fields = [...elements(change)].filter(({ name }) => !["name", "keyPattern"].includes(name));
  const isOff = (one: Element) => one.name !== "expireAfterSeconds" && truth(one) === false;
  const changed = withFields(definition, fields.filter((one) => !isOff(one)));
  const off = fields.filter(isOff).map(({ name }) => name);
  // An index that is made unique needs no more preparation.
  const done = fields.some((one) => one.name === "unique" && truth(one) === true);
  collection.indexes.set(name!, without(changed, ...off, ...done ? ["prepareUnique"] : []));
}

const nothing = new Uint8Array();

function nameByKey(
  { indexes }: CollectionState,
  key: Uint8Array | undefined,
): string | undefined {
  if (key === undefined) return undefined;
  const wanted = keyOf(key);
  return [...indexes].find(([, definition]) =>
    keyOf(inner(find(definition, "key")) ?? nothing) === wanted
  )?.[0];
}

/**
 * The index as a client makes it. One without a collation has the simple one, whatever its
 * collection's default is, which a client must say: else it inherits that.
 */
export function asMade({ options }: CollectionState, definition: Uint8Array): Uint8Array {
  const isInherited = find(options, "collation") !== undefined &&
    find(definition, "collation") === undefined;
  const plain = without(definition, "ns", "background");
  if (!isInherited) return plain;
  return documentOf([...[...elements(plain)].map(({ raw }) => raw), simpleCollation]);
}

/** `collation: { locale: "simple" }`. */
export const simpleCollation = element(
  types.document,
  "collation",
  documentOf([stringElement("locale", "simple")]),
);

/** Made by the server on its way to something else; a replay that stops in between leaves them. */
const temporary = /^tmp\.agg_out\.|^tmp.{5}\.(renameCollection|convertToCapped\..*|rename)$/;

/** Whether a collection is one that a server makes on its way to another one. */
export function isPassing(collection: string): boolean {
  return temporary.test(collection);
}
