import { elements, find, inner, noDocument } from "../archive/bson.ts";
import { without } from "./catalog.ts";
import { assertDiff } from "./diff.ts";
import type { Operation } from "./entry.ts";
import type { Write } from "./sink.ts";
import { failed } from "./unreplayable.ts";

/** The write that an operation is. @throws Unreplayable, UnknownDiff, BsonError */
export function writeOf({ op, object, target }: Operation): Write {
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
