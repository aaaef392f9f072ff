import {
  documentOf,
  type Element,
  element,
  elements,
  find,
  inner,
  types,
} from "../../../src/connectors/mongodb/archive/bson.ts";

/** What a server makes of a document with the `$set` and `$unset` of an oplog entry, byte by byte. */
export function operated(document: Uint8Array, operators: Uint8Array): Uint8Array {
  let now = document;
  const sets = [...elements(inner(find(operators, "$set")) ?? documentOf([]))];
  for (const set of sets.sort(({ name: a }, { name: b }) => a < b ? -1 : 1)) {
    now = put(now, false, set.name.split("."), set);
  }
  for (const unset of elements(inner(find(operators, "$unset")) ?? documentOf([]))) {
    now = put(now, false, unset.name.split("."), undefined);
  }
  return now;
}

/** @param value undefined takes the field away, and leaves null in an array */
function put(
  holder: Uint8Array,
  isArray: boolean,
  [name = "", ...rest]: readonly string[],
  value: Element | undefined,
): Uint8Array {
  const fields = [...elements(holder)];
  const index = fields.findIndex((field) => field.name === name);
  const old = fields[index];
  if (old === undefined && value === undefined) return holder;
  const raws = fields.map(({ raw }) => raw);
  const made = rest.length === 0 ? leaf(name, value, isArray) : branch(name, old, rest, value);
  if (old !== undefined) raws.splice(index, 1, ...made);
  else {
    while (isArray && raws.length < Number(name)) raws.push(nullOf(String(raws.length)));
    raws.push(...made);
  }
  return documentOf(raws);
}

function leaf(name: string, value: Element | undefined, isArray: boolean): Uint8Array[] {
  if (value !== undefined) return [element(value.type, name, value.value)];
  return isArray ? [nullOf(name)] : [];
}

function branch(
  name: string,
  old: Element | undefined,
  rest: readonly string[],
  value: Element | undefined,
): Uint8Array[] {
  const holder = inner(old);
  if (old !== undefined && holder === undefined) return [old.raw];
  const isArray = old?.type === types.array;
  const type = isArray ? types.array : types.document;
  return [element(type, name, put(holder ?? documentOf([]), isArray, rest, value))];
}

function nullOf(name: string): Uint8Array {
  return element(0x0a, name, new Uint8Array());
}
