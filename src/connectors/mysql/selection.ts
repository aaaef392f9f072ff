import { BackupError } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import type { RestorableBackup, RestorableChain, RestoreOptions } from "../../contracts/restore.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { MysqlAddress } from "./address.ts";

/** What of a backup is restored. */
export interface Selection {
  /** The full backup. */
  readonly backup: RestorableBackup;
  /** What is replayed on it, oldest first. */
  readonly later: readonly RestorableBackup[];
  /** The databases, as the backup describes them, with only the objects chosen. */
  readonly databases: readonly DatabaseInventory[];
  /** Whether only some tables were asked for. */
  readonly isPartial: boolean;
  /** Whether a table, view or sequence is among those chosen. */
  has(database: string, name: string): boolean;
}

/**
 * Works out what to restore. A target that names one database gets that one out of many.
 *
 * @throws BackupError `restore/no-such-object`
 */
export function select(
  chain: RestorableChain,
  options: RestoreOptions,
  { selected }: MysqlAddress,
): Selection {
  const [backup, ...later] = chain;
  if (backup === undefined) throw new RangeError("a chain has a full backup");
  const known = new Set(backup.inventory.databases.map(({ database }) => database));
  // What was made since has nothing in the full backup.
  const added = later.flatMap(({ inventory }) => inventory.databases).filter(({ database }) =>
    !known.has(database) && known.add(database)
  ).map(({ database }) => ({ database, objects: [] }));
  const all = [...backup.inventory.databases, ...added];
  const names = all.map(({ database }) => database);
  const isNamed = selected?.every((name) => names.includes(name)) === true;
  const wanted = options.databases ?? (isNamed ? selected : undefined);
  const databases = wanted?.map((name) => {
    const found = all.find(({ database }) => database === name);
    if (found !== undefined) return found;
    throw noSuch("database", name, names);
  }) ?? all;
  const isPartial = options.only.length > 0;
  const chosen = chooseObjects(databases, options.only);
  const has = (database: string, name: string) =>
    !isPartial || chosen.has(JSON.stringify([database, name]));
  return {
    backup,
    later,
    isPartial,
    has,
    databases: isPartial
      ? databases.map((database) => partOf(database, (name) => has(database.database, name)))
        .filter(({ objects }) => objects.length > 0)
      : databases,
  };
}

/** A database's description with only some tables, views and sequences. */
export function partOf(
  { database, objects }: DatabaseInventory,
  has: (name: string) => boolean,
): DatabaseInventory {
  return { database, objects: objects.filter(({ type, name }) => isRelation(type) && has(name)) };
}

function isRelation(type: string): boolean {
  return type === "table" || type === "view" || type === "sequence";
}

/** The tables asked for, as `TABLE` or `DATABASE.TABLE`. */
function chooseObjects(
  databases: readonly DatabaseInventory[],
  only: readonly string[],
): Set<string> {
  const known = databases.flatMap(({ database, objects }) =>
    objects.filter(({ type }) => isRelation(type)).map(({ name }) => ({ database, name }))
  );
  return new Set(only.flatMap((wanted) => {
    const found = known.filter(({ database, name }) =>
      name === wanted || `${database}.${name}` === wanted
    );
    if (found.length > 0) {
      return found.map(({ database, name }) => JSON.stringify([database, name]));
    }
    throw noSuch("table", wanted, known.map(({ name }) => name));
  }));
}

function noSuch(what: string, name: string, known: readonly string[]): BackupError {
  return new BackupError("restore/no-such-object", `The backup has no ${what} "${name}"`, {
    hint: suggestion(name, known.slice(0, 50)),
  });
}
