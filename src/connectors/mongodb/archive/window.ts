import { elements, find, inner, text } from "./bson.ts";
import { type CollectionMetadata, dataNamespaceOf } from "./namespace.ts";
import { splitNamespace, withOperations } from "./oplog.ts";

/**
 * The time that a dump takes, as its oplog tells it: the dump may have seen any of it already.
 *
 * A collection that is neither in the prelude nor made by an earlier entry was dropped before the
 * dump came to it, so what the oplog does to it until then is done to nothing. A server refuses to
 * replay that (NamespaceNotFound), and the whole restore with it; so it is left out.
 */
export interface IdempotencyWindow {
  /** Takes note of a collection of the prelude. */
  announce(entry: CollectionMetadata): void;
  /**
   * The entry without what it does to collections that are not there: itself, one with fewer
   * operations, or undefined. Entries come in their order.
   *
   * @throws BsonError
   */
  pass(entry: Uint8Array): Uint8Array | undefined;
  /**
   * Collections that were written to while they were not there and that were not dropped later: they
   * were made after mongodump had listed the collections and before its oplog begins, and the archive
   * lacks them.
   */
  lost(): { db: string; collection: string }[];
}

/** Commands that need their collection to be there. */
const needy = new Set([
  ...["createIndexes", "startIndexBuild", "commitIndexBuild", "abortIndexBuild", "dropIndexes"],
  ...["deleteIndexes", "collMod", "drop", "convertToCapped", "emptycapped"],
]);

/** Starts where nothing is there. */
export function idempotencyWindow(): IdempotencyWindow {
  const there = new Set<string>();
  const orphans = new Set<string>();

  function make(namespace: string): void {
    there.add(namespace);
    orphans.delete(namespace);
  }

  function unmake(namespace: string): boolean {
    orphans.delete(namespace);
    return there.delete(namespace);
  }

  function isCommandKept(db: string, command: Uint8Array): boolean {
    const [first] = elements(command);
    const value = text(first) ?? "";
    const namespace = `${db}.${value}`;
    switch (first?.name) {
      case "create":
        make(namespace);
        return true;
      case "drop":
        return unmake(namespace);
      case "dropDatabase":
        for (const set of [there, orphans]) {
          for (const one of set) if (one.startsWith(`${db}.`)) set.delete(one);
        }
        return true;
      case "renameCollection":
        unmake(value);
        make(text(find(command, "to")) ?? "");
        return true;
      default:
        return !needy.has(first?.name ?? "") || there.has(namespace);
    }
  }

  function pass(entry: Uint8Array): Uint8Array | undefined {
    const operation = text(find(entry, "op"));
    if (operation === "n") return entry;
    const namespace = text(find(entry, "ns")) ?? "";
    const { db, collection } = splitNamespace(namespace);
    const object = inner(find(entry, "o"));
    if (object === undefined) return entry;
    if (operation !== "c") {
      // Views are written there, and it is never in a prelude.
      if (collection === "system.views" || there.has(namespace)) return entry;
      orphans.add(namespace);
      return undefined;
    }
    const [first] = elements(object);
    if (first?.name !== "applyOps") return isCommandKept(db, object) ? entry : undefined;
    let isWhole = true;
    const changed = withOperations(entry, object, (operation) => {
      const passed = pass(operation);
      isWhole &&= passed === operation;
      return passed;
    });
    return isWhole ? entry : changed;
  }

  return {
    announce: (entry) => void there.add(dataNamespaceOf(entry)),
    pass,
    lost: () => [...orphans].map(splitNamespace),
  };
}
