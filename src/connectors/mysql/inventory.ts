import type { Abortable } from "../../core/bytes.ts";
import type { DatabaseInventory, InventoryObject } from "../../contracts/inventory.ts";
import { type Client, quoteName } from "./client.ts";
import { listPrograms, listRelations } from "./databases.ts";

// Their rows are other tables', and the tools dump none of them.
const rowsElsewhere = /^(MRG_MyISAM|MRG_ISAM|FEDERATED)$/i;

/**
 * Describes a live database: tables with their exact counts, views, sequences, routines, triggers
 * and events. A table with history counts its rows of all times, which a dump may hold.
 */
export async function readInventory(
  client: Client,
  database: string,
  o: Abortable,
): Promise<DatabaseInventory> {
  const objects: InventoryObject[] = [];
  for (const { type, name, engine, isVersioned } of await listRelations(client, [database], o)) {
    if (type !== "table") {
      objects.push({ type, name });
      continue;
    }
    if (rowsElsewhere.test(engine ?? "")) {
      objects.push({ type, name });
      continue;
    }
    const place = `${quoteName(database)}.${quoteName(name)}`;
    const history = isVersioned ? " FOR SYSTEM_TIME ALL" : "";
    const [row] = await client.query(`SELECT COUNT(*) AS n FROM ${place}${history}`, o);
    objects.push({ type, name, count: Number(row!["n"]), isExact: !isVersioned });
  }
  const seen = new Set<string>();
  for (const { type, kind, name } of await listPrograms(client, [database], o)) {
    const key = `${kind ?? type} ${name}`;
    if (!seen.has(key)) objects.push({ type, name });
    seen.add(key);
  }
  return { database, objects };
}
