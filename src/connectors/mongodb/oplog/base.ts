import type { BSON } from "mongodb";
import { type CollectionMetadata, dataNamespaceOf } from "../archive/namespace.ts";
import { addIndex, type CollectionState } from "./catalog.ts";

/** A collection as the archive of a base describes it: its namespace, and what replay knows of it. */
export function announced(
  entry: CollectionMetadata,
  bson: Pick<typeof BSON, "EJSON" | "serialize">,
): { readonly namespace: string; readonly state: CollectionState } {
  const { options = {}, indexes = [] } = entry.metadata === ""
    ? {}
    : bson.EJSON.parse(withNamesMarked(entry.metadata), { relaxed: false });
  const bytesOf = (document: object) => bson.serialize(inOrder(document) as object);
  const state = { options: bytesOf(options), indexes: new Map(), isTemporary: false };
  for (const index of indexes) addIndex(state, bytesOf(index));
  return { namespace: dataNamespaceOf(entry), state };
}

const mark = "\u0001";
const marked = new RegExp(`^${mark}(?=${mark}*\\d+$)`);

/**
 * Names of fields that look like numbers come first in JavaScript's objects, whatever their order in
 * the text; with a mark more than they have they stay where they are.
 */
function withNamesMarked(json: string): string {
  return json.replaceAll(/(?<!\\)"((?:\\u0001)*\d+)"(?=\s*:)/g, '"\\u0001$1"');
}

/** Documents as maps, which keep the order of their fields, without the marks. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  const isDocument = typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  if (!isDocument) return value;
  return new Map(
    Object.entries(value).map(([name, one]) => [name.replace(marked, ""), inOrder(one)]),
  );
}
