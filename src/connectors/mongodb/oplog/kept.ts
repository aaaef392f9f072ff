import {
  documentOf,
  element,
  elements,
  find,
  noDocument,
  stringElement,
  text,
  types,
} from "../archive/bson.ts";
import { plainName } from "../archive/namespace.ts";
import { hasData, type NamespaceRules, splitNamespace, withOperations } from "../archive/oplog.ts";
import { type Operation, readOperation } from "./entry.ts";

/** Something took what is left out of the backups into what is in them: nothing can build on that. */
export class TakenIn extends Error {
  override readonly name = "TakenIn";
}

/** In place of an operation that is left out, so that a transaction still has as many. */
const placeholder = documentOf([
  stringElement("op", "n"),
  stringElement("ns", ""),
  element(types.document, "o", noDocument),
]);

/**
 * What is kept of an entry: of those that do nothing to what is backed up only when they were
 * written, so that it shows that none is missing.
 *
 * @throws TakenIn, BsonError
 */
export function keptEntry(entry: Uint8Array, rules: NamespaceRules): Uint8Array {
  return keptOperation(entry, rules) ?? timeOnly(entry);
}

/** An entry that does nothing, at the same place. */
export function timeOnly(entry: Uint8Array): Uint8Array {
  const times = ["ts", "t", "v", "wall"];
  return documentOf([
    stringElement("op", "n"),
    stringElement("ns", ""),
    element(types.document, "o", noDocument),
    ...[...elements(entry)].filter(({ name }) => times.includes(name)).map(({ raw }) => raw),
  ]);
}

/** @returns itself, one without what is left out, or undefined */
function keptOperation(document: Uint8Array, rules: NamespaceRules): Uint8Array | undefined {
  const operation = readOperation(document);
  const { op, db, collection, object } = operation;
  if (op === "c") return keptCommand(document, operation, rules);
  if (op === "n") return undefined;
  if (collection === "system.views") {
    const { collection: view } = splitNamespace(
      text(find(operation.target ?? object, "_id")) ?? "",
    );
    return rules.keep(db, view) ? document : undefined;
  }
  const name = plainName(collection);
  return rules.keep(db, collection) && rules.keep(db, name) && hasData(rules, db, name)
    ? document
    : undefined;
}

function keptCommand(
  document: Uint8Array,
  { db, object }: Operation,
  rules: NamespaceRules,
): Uint8Array | undefined {
  const [first] = elements(object);
  const name = text(first);
  switch (first?.name) {
    case "commitTransaction":
    case "abortTransaction":
      return document;
    case "applyOps": {
      let isWhole = true;
      const changed = withOperations(document, object, (operation) => {
        const kept = keptOperation(operation, rules);
        isWhole &&= kept === operation;
        return kept ?? placeholder;
      });
      return isWhole ? document : changed;
    }
    case "renameCollection":
      return keptRename(document, object, rules);
    default:
      if (name === undefined) return rules.keep(db, undefined) ? document : undefined;
      if (name === "system.views") return undefined;
      return rules.keep(db, name) && rules.keep(db, plainName(name)) ? document : undefined;
  }
}

function keptRename(
  document: Uint8Array,
  object: Uint8Array,
  rules: NamespaceRules,
): Uint8Array | undefined {
  const [from, to] = ["renameCollection", "to"].map((name) => text(find(object, name)) ?? "");
  const state = (namespace: string) => {
    const { db, collection } = splitNamespace(namespace);
    if (!rules.keep(db, collection)) return "out";
    return hasData(rules, db, collection) ? "in" : "empty";
  };
  const [before, after] = [state(from!), state(to!)];
  if (before === after) return before === "out" ? undefined : document;
  if (after !== "out") throw new TakenIn(`"${from}", which is left out, was renamed to "${to}"`);
  const { db, collection } = splitNamespace(from!);
  const command = documentOf([stringElement("drop", collection)]);
  return documentOf(
    [...elements(document)].map(({ name, raw }) =>
      name === "ns"
        ? stringElement("ns", `${db}.$cmd`)
        : name === "o"
        ? element(types.document, "o", command)
        : raw
    ),
  );
}
