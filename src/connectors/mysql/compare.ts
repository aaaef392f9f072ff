import type { RestoreStep } from "../../contracts/restore.ts";
import {
  assertRestored,
  compareInventories,
  type DatabaseInventory,
  type InventoryDifference,
  type RestoreLeftover,
} from "../../contracts/inventory.ts";
import { readInventory } from "./inventory.ts";
import { mark, markerTable } from "./marker.ts";
import type { RestoreContext } from "./restore-context.ts";
import { partOf, type Selection } from "./selection.ts";

/**
 * Compares what was restored with the full backup's inventory. What differs stays; it is marked where
 * it can be adopted: whole databases without changes to replay.
 *
 * @param isFailed whether statements failed, which explain what differs
 * @throws BackupError `restore/incomplete`
 */
export async function compareRestored(
  steps: readonly RestoreStep[],
  isFailed: boolean,
  { client, server: { foldsNames }, selection, options, ...o }: RestoreContext,
): Promise<InventoryDifference[]> {
  const pairs = [];
  for (const { from, to } of steps) {
    const expected = selection.databases.find(({ database }) => database === from);
    if (expected === undefined) continue;
    const live = await readInventory(client, to, o);
    const found = selection.isPartial
      ? partOf(live, (name) => isChosen(selection, from, name, foldsNames))
      : { ...live, objects: live.objects.filter(({ name }) => name !== markerTable) };
    pairs.push(
      foldsNames ? { expected: folded(expected), found: folded(found) } : { expected, found },
    );
  }
  const differences = compareInventories(pairs);
  const isAccepted = options.isDifferenceAccepted || isFailed;
  const isMarkable = !selection.isPartial && selection.later.length === 0;
  if (!isAccepted && isMarkable && differences.some(({ isFailure }) => isFailure)) {
    for (const { to } of steps) {
      const own = differences.filter(({ database, isFailure }) => isFailure && database === to);
      await mark(client, to, options.backupId, own, o).catch((error) => {
        o.signal.throwIfAborted();
        // The difference is what matters; without the mark, accepting it restores again.
        o.runtime.log.warn("Database {to} could not be marked: {error}", {
          to,
          error: String(error),
        });
      });
    }
  }
  assertRestored(differences, { left: steps.map(leftover), isAccepted });
  return differences;
}

/** A database of which something failed, or that differs. */
export function leftover({ from, to }: RestoreStep): RestoreLeftover {
  return { from, to, name: to };
}

/** Whether a table of the target is one that was asked for. */
function isChosen(
  { databases, has }: Selection,
  database: string,
  name: string,
  foldsNames: boolean,
): boolean {
  if (!foldsNames) return has(database, name);
  const { objects = [] } = databases.find((one) => one.database === database) ?? {};
  return objects.some((object) => object.name.toLowerCase() === name.toLowerCase());
}

/** As a server sees it to which upper and lower case are one in names of tables. */
function folded({ database, objects }: DatabaseInventory): DatabaseInventory {
  return {
    database,
    objects: objects.map((object) =>
      ["table", "view", "sequence"].includes(object.type)
        ? { ...object, name: object.name.toLowerCase() }
        : object
    ),
  };
}
