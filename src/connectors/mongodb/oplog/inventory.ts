import { z } from "zod";
import type { OpenableBackup } from "../../../contracts/restore.ts";
import type { DatabaseInventory, InventoryObject } from "../../../contracts/inventory.ts";
import { type Abortable, collectText } from "../../../core/bytes.ts";
import { documentOf, int32Element, stringElement } from "../archive/bson.ts";
import { plainName } from "../archive/namespace.ts";
import { splitNamespace } from "../archive/oplog.ts";
import { type CollectionState, expires, isView } from "./catalog.ts";
import type { Replay } from "./replay.ts";

/** What is there after a replay, by the names of the source. */
export function inventoryOf(collections: Replay["collections"]): DatabaseInventory[] {
  const byDatabase = new Map<string, InventoryObject[]>();
  for (const namespace of [...collections.keys()].sort()) {
    const { db, collection } = splitNamespace(namespace);
    const objects = byDatabase.get(db) ?? [];
    byDatabase.set(db, objects);
    objects.push(...objectsOf(collection, collections.get(namespace)!));
  }
  const isLast = ({ type }: InventoryObject) => type === "view";
  return [...byDatabase].map(([database, objects]) => ({
    database,
    objects: [...objects.filter((one) => !isLast(one)), ...objects.filter(isLast)],
  }));
}

function objectsOf(name: string, state: CollectionState): InventoryObject[] {
  if (isView(state)) return [{ type: "view", name }];
  const { count, indexes } = state;
  const isExpiring = expires(state);
  const series = plainName(name);
  return [
    {
      ...{ type: "collection", name },
      ...count === undefined ? {} : { count },
      isExact: count !== undefined && !isExpiring,
      ...isExpiring ? { expires: true } : {},
    },
    ...[...indexes.keys()].sort().map((index) =>
      ({ type: "index", name: `${name}.${index}` }) as const
    ),
    // A time series is a view of its buckets.
    ...series === name ? [] : [{ type: "view", name: series } as const],
  ];
}

/** What a backup says that it holds, as a replay takes note of it; without documents. */
export function statesOf(
  databases: readonly DatabaseInventory[],
): { readonly namespace: string; readonly state: CollectionState }[] {
  return databases.flatMap(({ database, objects }) => {
    const named = objects.filter(({ type }) => type !== "index");
    const names = new Set(named.map(({ name }) => name));
    return named.flatMap(({ type, name, count, isExact, expires }) => {
      // A time series is known by its buckets.
      if (type === "view" && names.has(`system.buckets.${name}`)) return [];
      const state: CollectionState = {
        options: documentOf([
          ...type === "view" ? [stringElement("viewOn", "")] : [],
          ...expires === true ? [int32Element("expireAfterSeconds", 1)] : [],
        ]),
        indexes: new Map(
          indexesOf(name, names, objects).map((index) => [
            index,
            documentOf([stringElement("name", index)]),
          ]),
        ),
        isTemporary: false,
        count: isExact === true ? count : undefined,
      };
      return [{ namespace: `${database}.${name}`, state }];
    });
  });
}

/** An index's name begins with its collection's; of two that fit, the longer one. */
function indexesOf(
  collection: string,
  collections: ReadonlySet<string>,
  objects: readonly InventoryObject[],
): string[] {
  return objects.filter(({ type, name }) => {
    if (type !== "index" || !name.startsWith(`${collection}.`)) return false;
    for (const other of collections) {
      if (other.length > collection.length && name.startsWith(`${other}.`)) return false;
    }
    return true;
  }).map(({ name }) => name.slice(collection.length + 1));
}

const inventorySchema = z.looseObject({
  databases: z.array(z.looseObject({
    database: z.string(),
    objects: z.array(z.looseObject({
      type: z.custom<InventoryObject["type"]>((value) => typeof value === "string"),
      name: z.string(),
      count: z.number().optional(),
      isExact: z.boolean().optional(),
      expires: z.boolean().optional(),
    })),
  })),
});

/**
 * What a stored backup says that it holds; undefined where that cannot be read, as where the key is
 * not on the machine that takes backups.
 */
export async function storedInventory(
  { artifacts }: OpenableBackup,
  o: Abortable,
): Promise<DatabaseInventory[] | undefined> {
  const artifact = artifacts.find(({ role }) => role === "inventory");
  if (artifact === undefined) return undefined;
  try {
    const text = await collectText(artifact.open(o), 512 * 1024 * 1024);
    return inventorySchema.parse(JSON.parse(text)).databases;
  } catch {
    o.signal.throwIfAborted();
    return undefined;
  }
}
