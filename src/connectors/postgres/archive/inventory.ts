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
  /** Bytes of the data, as it lies in the archive. */
  readonly bytes: number;
}

/** What an archive holds, in the terms of a live database's inventory. */
export function inventoryOf(
  { header, entries }: ArchiveHead,
  counts: ReadonlyMap<number, BlockCounts>,
): DatabaseInventory {
  const rows = new Map<string, { count: number; bytes: number }>();
  const largeObjects = { count: 0, bytes: 0 };
  for (const entry of entries) {
    const { items, bytes = 0 } = counts.get(entry.dumpId) ?? {};
    if (items === undefined) continue;
    if (entry.description === "BLOBS") {
      largeObjects.count += items;
      largeObjects.bytes += bytes;
    } else if (entry.description === "TABLE DATA") rows.set(keyOf(entry), { count: items, bytes });
  }
  const objects = entries.flatMap((entry): InventoryObject[] => {
    const type = typeOf(entry);
    if (type === undefined) return [];
    const schema = entry.schema === undefined ? {} : { schema: entry.schema };
    const object = { type, ...schema, name: entry.tag };
    const own = type === "table" ? rows.get(keyOf(entry)) : undefined;
    return [own === undefined ? object : { ...object, ...own, isExact: true }];
  });
  if (largeObjects.count > 0) {
    objects.push({
      type: "large-objects",
      name: largeObjectsName,
      ...largeObjects,
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
