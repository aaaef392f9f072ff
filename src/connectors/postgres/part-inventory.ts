import type { DatabaseInventory, InventoryObject } from "../../contracts/inventory.ts";
import { typeOf } from "./archive/inventory.ts";
import type { ArchiveHead } from "./archive/toc.ts";

/** What a part holds of an inventory. */
export function partOf(
  inventory: DatabaseInventory,
  head: ArchiveHead,
  ids: ReadonlySet<number>,
): DatabaseInventory {
  const isIn = membership(head, ids);
  return { ...inventory, objects: inventory.objects.filter(isIn) };
}

/** An inventory without what a part holds of it. */
export function withoutPart(
  inventory: DatabaseInventory,
  head: ArchiveHead,
  ids: ReadonlySet<number>,
): DatabaseInventory {
  const isIn = membership(head, ids);
  return { ...inventory, objects: inventory.objects.filter((object) => !isIn(object)) };
}

function membership({ entries }: ArchiveHead, ids: ReadonlySet<number>) {
  const key = (type: string | undefined, schema: string | undefined, name: string) =>
    JSON.stringify([type, schema ?? null, name]);
  const chosen = new Set(
    entries.filter(({ dumpId }) => ids.has(dumpId))
      .map((entry) => key(typeOf(entry), entry.schema, entry.tag)),
  );
  return ({ type, schema, name }: InventoryObject) => chosen.has(key(type, schema, name));
}
