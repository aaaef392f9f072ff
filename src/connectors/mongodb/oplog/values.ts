import type { BSON } from "mongodb";
import { documentOf, type Element, elements, types } from "../archive/bson.ts";

/** What decodes BSON: the driver is loaded only where it is used. */
export type Decoder = Pick<typeof BSON, "deserialize">;

/**
 * The fields of a document as the driver takes them for a command. Documents inside are maps, which
 * keep the order of their keys: JavaScript's own objects put those first that look like numbers.
 */
export function fieldsOf(document: Uint8Array, bson: Decoder): Record<string, unknown> {
  return Object.fromEntries(entriesOf(document, bson));
}

/** A document as a map, see {@link fieldsOf}. */
export function mapOf(document: Uint8Array, bson: Decoder): Map<string, unknown> {
  return new Map(entriesOf(document, bson));
}

/** One value, with its type. */
export function valueOf(element: Element, bson: Decoder): unknown {
  if (element.type === types.document) return mapOf(element.value, bson);
  if (element.type === types.array) {
    return [...elements(element.value)].map((one) => valueOf(one, bson));
  }
  const options = { promoteValues: false, promoteLongs: false, bsonRegExp: true };
  return bson.deserialize(documentOf([element.raw]), options)[element.name];
}

function entriesOf(document: Uint8Array, bson: Decoder): [string, unknown][] {
  return [...elements(document)].map((one) => [one.name, valueOf(one, bson)]);
}
