import {
  booleanElement,
  documentOf,
  type Element,
  element,
  elements,
  int32Element,
  types,
  valueKey,
} from "../archive/bson.ts";
import { simpleCollation } from "./catalog.ts";
import type { Write, WriteMode } from "./sink.ts";

/** Statements of one command, as raw BSON: every type, and the order of fields, survives. */
export interface Statements {
  readonly command: "insert" | "update" | "delete";
  readonly documents: Uint8Array[];
  /** How many documents it is to find or make; undefined where less is fine. */
  expected: number | undefined;
}

/** A write whose difference is applied already. */
export type PlainWrite = Exclude<Write, { readonly type: "diff" }>;

/**
 * The commands that carry out writes in their order. Always with the simple collation: with a
 * collection's own, `_id: "a"` may find "A".
 */
export function statementsOf(writes: readonly PlainWrite[], mode: WriteMode): Statements[] {
  return inOrder(mode.isCapped ? writes : removalsLast(writes), mode);
}

/**
 * The same writes in fewer commands: those to different documents do not touch each other, so that
 * what removes can come after what writes, as long as nothing is written under an _id again.
 */
function removalsLast(writes: readonly PlainWrite[]): PlainWrite[] {
  const ordered: PlainWrite[] = [];
  let removals = new Map<string, PlainWrite>();
  for (const write of writes) {
    const key = valueKey(write.id);
    if (write.type === "remove") {
      removals.set(key, write);
      continue;
    }
    if (removals.has(key)) {
      ordered.push(...removals.values());
      removals = new Map();
    }
    ordered.push(write);
  }
  return [...ordered, ...removals.values()];
}

function inOrder(writes: readonly PlainWrite[], mode: WriteMode): Statements[] {
  const all: Statements[] = [];
  const add = (command: Statements["command"], document: Uint8Array, isCounted: boolean) => {
    const last = all.at(-1);
    const same = last?.command === command && (last.expected !== undefined) === isCounted
      ? last
      : undefined;
    const into: Statements = same ??
      { command, documents: [], expected: isCounted ? 0 : undefined };
    if (same === undefined) all.push(into);
    into.documents.push(document);
    if (into.expected !== undefined) into.expected++;
  };
  for (const write of writes) {
    const isExact = !mode.isLenient;
    if (write.type === "remove") add("delete", removal(write.id), false);
    else if (write.type === "modify") {
      add("update", update(write.id, write.operators, false), isExact);
    } else if (write.type === "insert" && (mode.isCapped || hasOddFields(write.document))) {
      add("insert", write.document, isExact);
    } else {
      const isUpsert = write.type === "insert";
      const isOdd = hasOddFields(write.document);
      if (!isOdd) add("update", update(write.id, write.document, isUpsert), isExact);
      if (isOdd || hasEmptyTimestamp(write.document)) {
        add("update", literally(write.id, write.document), isExact);
      }
    }
  }
  return all;
}

/** Addressed so that an _id that is a document is no condition of its own. */
function byId(id: Element): Uint8Array {
  const equal = documentOf([element(id.type, "$eq", id.value)]);
  return element(types.document, "q", documentOf([element(types.document, "_id", equal)]));
}

function update(id: Element, document: Uint8Array, isUpsert: boolean): Uint8Array {
  return documentOf([
    byId(id),
    element(types.document, "u", document),
    booleanElement("upsert", isUpsert),
    simpleCollation,
  ]);
}

function removal(id: Element): Uint8Array {
  return documentOf([byId(id), int32Element("limit", 1), simpleCollation]);
}

/**
 * Puts a document where one is, byte by byte: a replacement as such would put the time of day where
 * a timestamp of zero is, and takes no field whose name begins with "$".
 */
function literally(id: Element, document: Uint8Array): Uint8Array {
  const literal = element(types.document, "$literal", document);
  const root = element(types.document, "newRoot", documentOf([literal]));
  const stage = element(types.document, "$replaceRoot", documentOf([root]));
  const pipeline = documentOf([element(types.document, "0", documentOf([stage]))]);
  return documentOf([
    byId(id),
    element(types.array, "u", pipeline),
    booleanElement("upsert", false),
    simpleCollation,
  ]);
}

function hasOddFields(document: Uint8Array): boolean {
  for (const { name } of elements(document)) if (name.startsWith("$")) return true;
  return false;
}

function hasEmptyTimestamp(document: Uint8Array): boolean {
  for (const { type, name, value } of elements(document)) {
    if (type === types.timestamp && name !== "_id" && value.every((byte) => byte === 0)) {
      return true;
    }
  }
  return false;
}
