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
    : bson.EJSON.parse(entry.metadata, { relaxed: false });
  const state = { options: bson.serialize(options), indexes: new Map(), isTemporary: false };
  for (const index of indexes) addIndex(state, bson.serialize(index));
  return { namespace: dataNamespaceOf(entry), state };
}
