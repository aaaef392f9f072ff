import { type Inventory, type InventoryObject, objectName } from "../contracts/inventory.ts";
import type { Manifest } from "../contracts/manifest.ts";
import { counted, formatBytes } from "../core/text.ts";
import { formatTable } from "./table.ts";

/** One table, collection or materialized view of a backup. */
interface Table {
  readonly database: string;
  readonly type: InventoryObject["type"];
  /** Null where the engine has none. */
  readonly schema: string | null;
  readonly name: string;
  /** Rows or documents; null where they were not counted. */
  readonly rows: number | null;
  /** True where the count is that of the very bytes of the dump. */
  readonly isExact: boolean;
  /** Of its rows in the dump, uncompressed; null where that is not told. */
  readonly bytes: number | null;
}

const holdRows: ReadonlySet<InventoryObject["type"]> = new Set([
  "table",
  "collection",
  "materialized-view",
]);

/** What of an inventory holds rows, as `show --tables --json` tells it. */
export function tablesOf({ databases }: Inventory): Table[] {
  return databases.flatMap(({ database, objects }) =>
    objects.filter(({ type }) => holdRows.has(type)).map((object) => ({
      database,
      type: object.type,
      schema: object.schema ?? null,
      name: object.name,
      rows: object.count ?? null,
      isExact: object.count !== undefined && object.isExact === true,
      bytes: object.bytes ?? null,
    }))
  );
}

/** The tables of a backup for people, with the size of each database's dump. */
export function describeTables(inventory: Inventory, manifest: Manifest | undefined): string {
  const tables = tablesOf(inventory);
  const sections = inventory.databases.map(({ database, objects }) => {
    const own = objects.filter(({ type }) => holdRows.has(type));
    const rows = own.map((object) => [
      objectName(object),
      rowsText(object),
      object.bytes === undefined ? "" : formatBytes(object.bytes),
      noteOf(object),
    ]);
    const dump = manifest?.artifacts.filter(({ role, databases }) =>
      role === "dump" && databases.includes(database)
    ) ?? [];
    const rawBytes = dump.reduce((sum, one) =>
      sum + one.rawBytes, 0);
    // A dump of several databases does not say how much of it is whose.
    const isItsOwn = dump.length > 0 && dump.every(({ databases }) => databases.length === 1);
    const size = isItsOwn ? `, ${formatBytes(rawBytes)} of dump` : "";
    const head = `${database}: ${counted(own.length, wordFor(own))}${size}`;
    if (own.length === 0) return head;
    const columns = [
      { title: "NAME" },
      { title: "ROWS", isRight: true },
      { title: own.some(({ bytes }) => bytes !== undefined) ? "IN DUMP" : "", isRight: true },
      { title: "" },
    ];
    return `${head}\n${formatTable(columns, rows)}`;
  });
  if (sections.length === 0) return "The backup's inventory names no database.";
  if (tables.some(({ rows, isExact }) => rows !== null && !isExact)) {
    sections.push("~ is a count that was taken apart from the dump, or an estimate.");
  }
  return sections.join("\n\n");
}

function wordFor(objects: readonly InventoryObject[]): string {
  return objects.some(({ type }) => type === "collection") ? "collection" : "table";
}

function rowsText({ count, isExact }: InventoryObject): string {
  if (count === undefined) return "?";
  return `${isExact === true ? "" : "~"}${count}`;
}

function noteOf({ type, expires }: InventoryObject): string {
  if (type === "materialized-view") return "materialized view";
  return expires === true ? "documents expire" : "";
}
