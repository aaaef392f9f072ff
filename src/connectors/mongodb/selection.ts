import { BackupError } from "../../core/errors.ts";
import { nearest } from "../../core/text.ts";
import type { RestorableBackup, RestorableChain, RestoreOptions } from "../../contracts/restore.ts";
import type { DatabaseInventory, InventoryObject } from "../../contracts/inventory.ts";

/** What of a backup is restored. */
export interface Selection {
  readonly backup: RestorableBackup;
  /** The databases, as the backup describes them, with only the objects chosen. */
  readonly databases: readonly DatabaseInventory[];
  /** Whether a collection or view is among them; undefined asks for a whole database. */
  has(db: string, collection: string | undefined): boolean;
  /** Whether only some collections were asked for. */
  readonly isPartial: boolean;
}

/**
 * Works out what to restore.
 *
 * @throws BackupError `restore/no-such-object`
 */
export function select(chain: RestorableChain, options: RestoreOptions): Selection {
  const backup = chain[0]!;
  const all = databasesOf(chain, options);
  const wanted = options.databases?.map((name) => {
    const found = all.find(({ database }) => database === name);
    if (found !== undefined) return found;
    throw noSuch("database", name, all.map(({ database }) => database));
  }) ?? all;
  const names = namesOf(wanted, options.only);
  const isPartial = options.only.length > 0;
  const isWhole = !isPartial && options.databases === undefined;
  const chosen = new Set(wanted.map(({ database }) => database));
  return {
    backup,
    isPartial,
    // Everything means everything in the archive, named in the inventory or not.
    has: (db, collection) =>
      isWhole || (chosen.has(db) && (!isPartial || names.has(`${db}.${collection}`))),
    databases: isPartial
      ? wanted.map((database) => partOf(database, names)).filter((d) => d.objects.length > 0)
      : wanted,
  };
}

/**
 * What is there at the end; before it, what any backup of the chain has may be there, too, as the last
 * one that has it describes it.
 */
function databasesOf(chain: RestorableChain, { until }: RestoreOptions): DatabaseInventory[] {
  const last = chain.at(-1)!.inventory.databases;
  if (until === undefined) return [...last];
  const known = new Map<string, DatabaseInventory>();
  for (const { inventory } of chain) {
    for (const one of inventory.databases) {
      const before = known.get(one.database)?.objects ?? [];
      const names = new Set(one.objects.map(({ name }) => name));
      // What is gone by then can still be asked for.
      const gone = before.filter(({ name }) => !names.has(name));
      known.set(one.database, { database: one.database, objects: [...one.objects, ...gone] });
    }
  }
  return [...known.values()].sort((a, b) => a.database < b.database ? -1 : 1);
}

function namesOf(databases: readonly DatabaseInventory[], only: readonly string[]): Set<string> {
  const known = databases.flatMap(({ database, objects }) =>
    objects.filter(({ type }) => type !== "index").map(({ name }) => ({ database, name }))
  );
  return new Set(only.flatMap((wanted) => {
    const found = known.filter(({ database, name }) =>
      name === wanted || `${database}.${name}` === wanted
    );
    if (found.length > 0) return found.map(({ database, name }) => `${database}.${name}`);
    throw noSuch("collection", wanted, known.map(({ name }) => name));
  }));
}

function noSuch(what: string, name: string, known: readonly string[]): BackupError {
  const near = nearest(name, known);
  return new BackupError("restore/no-such-object", `The backup has no ${what} "${name}"`, {
    hint: near === undefined
      ? `It has ${known.slice(0, 20).map((one) => JSON.stringify(one)).join(", ") || "none"}.`
      : `Did you mean "${near}"?`,
  });
}

/** A database's description with only some collections and views, and the indexes of those. */
export function partOf(
  { database, objects }: DatabaseInventory,
  names: ReadonlySet<string>,
): DatabaseInventory {
  const collections = objects.filter(({ type }) => type === "collection").map(({ name }) => name);
  const owner = (index: InventoryObject) =>
    collections.filter((name) => index.name.startsWith(`${name}.`))
      .sort((a, b) => b.length - a.length)[0];
  return {
    database,
    objects: objects.filter((object) => {
      const name = object.type === "index" ? owner(object) : object.name;
      return names.has(`${database}.${name}`);
    }),
  };
}
