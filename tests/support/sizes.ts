import type { DatabaseInventory } from "../../src/contracts/inventory.ts";

/** Inventories without the bytes in the dump, for tests that are about the rest. */
export function withoutSizes(databases: readonly DatabaseInventory[]): DatabaseInventory[] {
  return databases.map(({ objects, ...one }) => ({
    ...one,
    objects: objects.map(({ bytes: _, ...object }) => object),
  }));
}
