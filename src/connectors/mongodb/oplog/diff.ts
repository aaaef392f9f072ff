import {
  documentOf,
  type Element,
  element,
  elements,
  find,
  inner,
  truth,
  types,
} from "../archive/bson.ts";
import { numberOf } from "./entry.ts";

/** A difference that is written in a way this program does not know. */
export class UnknownDiff extends Error {
  override readonly name = "UnknownDiff";
  constructor(part: string) {
    super(`an update is written in a way that is not known ("${part}")`);
  }
}

/** Makes sure that a difference is one that is known, as far as that shows at once. @throws UnknownDiff */
export function assertDiff(diff: Uint8Array): void {
  for (const { name } of elements(diff)) if (!/^([dui]$|s)/.test(name)) throw new UnknownDiff(name);
}

/**
 * Applies the difference of an update of 5.0 or newer (`$v: 2`) to a document.
 *
 * `u` sets in place, `i` sets and moves to the end, `d` removes, `sNAME` goes into a field; in an array
 * (`a: true`), `l` is its new length, and `uN` and `sN` mean an element. What is not of the type that
 * the difference expects becomes null, as servers do: a later entry replaces it.
 * (mongo/src/mongo/db/update/document_diff_applier.cpp)
 *
 * @throws UnknownDiff, BsonError
 */
export function applyDiff(document: Uint8Array, diff: Uint8Array): Uint8Array {
  const changes = new Map<
    string,
    { readonly type: "put" | "move" | "remove" | "go"; raw: Element }
  >();
  const added: Element[] = [];
  for (const section of elements(diff)) {
    if (section.name === "d") {
      for (const raw of within(section)) changes.set(raw.name, { type: "remove", raw });
    } else if (section.name === "u" || section.name === "i") {
      for (const raw of within(section)) {
        changes.set(raw.name, { type: section.name === "u" ? "put" : "move", raw });
        added.push(raw);
      }
    } else if (section.name.startsWith("s")) {
      changes.set(section.name.slice(1), { type: "go", raw: section });
    } else throw new UnknownDiff(section.name);
  }
  const kept: Uint8Array[] = [];
  const done = new Set<string>();
  for (const field of elements(document)) {
    const change = changes.get(field.name);
    if (change === undefined) kept.push(field.raw);
    else if (change.type === "put") kept.push(change.raw.raw);
    else if (change.type === "go") kept.push(changed(field, change.raw));
    if (change?.type === "put") done.add(field.name);
  }
  kept.push(...added.filter(({ name }) => !done.has(name)).map(({ raw }) => raw));
  return documentOf(kept);
}

function* within(section: Element): Generator<Element> {
  const fields = inner(section);
  if (fields === undefined) throw new UnknownDiff(section.name);
  yield* elements(fields);
}

function changed(field: Element, { value: diff }: Element): Uint8Array {
  const isArrays = truth(find(diff, "a")) === true;
  if (isArrays && field.type === types.array) {
    return element(types.array, field.name, applyToArray(field.value, diff));
  }
  if (!isArrays && field.type === types.document) {
    return element(types.document, field.name, applyDiff(field.value, diff));
  }
  return nullOf(field.name);
}

function applyToArray(array: Uint8Array, diff: Uint8Array): Uint8Array {
  const changes = new Map<number, Element>();
  let length: number | undefined;
  for (const part of elements(diff)) {
    if (part.name === "a") continue;
    if (part.name === "l") length = numberOf(part);
    else if (/^[us]\d+$/.test(part.name)) changes.set(Number(part.name.slice(1)), part);
    else throw new UnknownDiff(part.name);
  }
  const before = [...elements(array)];
  const end = length ?? Math.max(before.length, ...[...changes.keys()].map((index) => index + 1));
  const raws = Array.from({ length: end }, (_, index) => {
    const name = String(index);
    const [old, change] = [before[index], changes.get(index)];
    if (change === undefined) return old === undefined ? nullOf(name) : old.raw;
    if (change.name.startsWith("u")) return element(change.type, name, change.value);
    return old === undefined ? nullOf(name) : changed(old, change);
  });
  return documentOf(raws);
}

function nullOf(name: string): Uint8Array {
  return element(0x0a, name, new Uint8Array());
}
