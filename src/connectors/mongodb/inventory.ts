import type { CollectionInfo, Db } from "mongodb";
import type { DatabaseInventory, InventoryObject } from "../../contracts/inventory.ts";
import { isOwn } from "./archive/namespace.ts";
import { isMark } from "./leftover.ts";

/**
 * Describes a live database: collections with their exact counts, their indexes but that of _id,
 * and views, in the order of a dump's inventory. What mongodump leaves out is left out.
 *
 * @param o.isCounted default true; counting reads every document
 */
export async function readInventory(
  db: Db,
  { isCounted = true }: { readonly isCounted?: boolean } = {},
): Promise<DatabaseInventory> {
  const found = (await db.listCollections<CollectionInfo>().toArray()).filter(({ name }) =>
    isOwn(name) && !isMark(name)
  )
    .sort((a, b) => a.name < b.name ? -1 : 1);
  const isView = ({ type }: { type?: string }) => type === "view" || type === "timeseries";
  const objects: InventoryObject[] = [];
  for (const { name, options } of found.filter((one) => !isView(one))) {
    const collection = db.collection(name);
    // Not the count of the metadata, which a crash can leave wrong.
    const count = isCounted ? await collection.countDocuments({}) : undefined;
    const indexes = await collection.listIndexes().toArray();
    const expires = [options ?? {}, ...indexes].some((one) => "expireAfterSeconds" in one);
    objects.push({
      ...{ type: "collection", name },
      ...count === undefined ? { isExact: false } : { count, isExact: !expires },
      ...expires ? { expires } : {},
    });
    for (const index of indexes.map((one) => String(one["name"])).sort()) {
      if (index !== "_id_") objects.push({ type: "index", name: `${name}.${index}` });
    }
  }
  objects.push(...found.filter(isView).map(({ name }) => ({ type: "view", name } as const)));
  return { database: db.databaseName, objects };
}
