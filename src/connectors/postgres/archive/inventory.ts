import type {
  DatabaseInventory,
  InventoryObject,
  ObjectType,
} from "../../../contracts/inventory.ts";
import type { ArchiveHead, TocEntry } from "./entries.ts";

/** The kinds of entries that are objects of the inventory, by pg_dump's words. */
const objectTypes: Readonly<Record<string, ObjectType>> = {
  TABLE: "table",
  "FOREIGN TABLE": "table",
  VIEW: "view",
  "MATERIALIZED VIEW": "materialized-view",
  SEQUENCE: "sequence",
  FUNCTION: "routine",
  PROCEDURE: "routine",
  AGGREGATE: "routine",
  TRIGGER: "trigger",
  "EVENT TRIGGER": "trigger",
  INDEX: "index",
  TYPE: "type",
  DOMAIN: "type",
  EXTENSION: "extension",
};

/** The name under which large objects are counted. */
export const largeObjectsName = "large objects";

/** What the data blocks held, by dump id. */
export interface BlockCounts {
  /** Rows of a COPY, or large objects; undefined where they cannot be counted. */
  readonly items: number | undefined;
}

/** What an archive holds, in the terms of a live database's inventory. */
export function inventoryOf(
  { header, entries }: ArchiveHead,
  counts: ReadonlyMap<number, BlockCounts>,
): DatabaseInventory {
  const rows = new Map<string, number>();
  let largeObjects = 0;
  for (const entry of entries) {
    const items = counts.get(entry.dumpId)?.items;
    if (items === undefined) continue;
    if (entry.description === "BLOBS") largeObjects += items;
    else if (entry.description === "TABLE DATA") rows.set(keyOf(entry), items);
  }
  const objects = entries.flatMap((entry): InventoryObject[] => {
    const type = typeOf(entry);
    if (type === undefined) return [];
    const schema = entry.schema === undefined ? {} : { schema: entry.schema };
    const object = { type, ...schema, name: entry.tag };
    const count = type === "table" ? rows.get(keyOf(entry)) : undefined;
    return [count === undefined ? object : { ...object, count, isExact: true }];
  });
  if (largeObjects > 0) {
    objects.push({
      type: "large-objects",
      name: largeObjectsName,
      count: largeObjects,
      isExact: true,
    });
  }
  return { database: header.database, objects };
}

/** What an entry is in an inventory; undefined for what is not in it. */
export function typeOf({ description, definition }: TocEntry): ObjectType | undefined {
  // A constraint with an index: its tag is the table's name and its own.
  if (description === "CONSTRAINT") {
    return / (PRIMARY KEY|UNIQUE|EXCLUDE) /.test(definition) ? "index" : undefined;
  }
  return objectTypes[description];
}

function keyOf({ schema, tag }: TocEntry): string {
  return JSON.stringify([schema, tag]);
}
