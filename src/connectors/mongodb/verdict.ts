import type { RestoreFailure, RestoreStep } from "../../contracts/restore.ts";
import {
  assertRestored,
  compareInventories,
  type DatabaseInventory,
  type InventoryDifference,
} from "../../contracts/inventory.ts";
import type { RestoreContext } from "./context.ts";
import { readInventory } from "./inventory.ts";
import { mark } from "./leftover.ts";
import { partOf } from "./selection.ts";

/** Compares what these steps made with what the backup says, or another description. */
export async function compare(
  steps: readonly RestoreStep[],
  r: RestoreContext,
  databases: readonly DatabaseInventory[] = r.selection.databases,
): Promise<InventoryDifference[]> {
  const pairs = [];
  for (const { from, to } of steps) {
    const expected = databases.find(({ database }) => database === from);
    if (expected === undefined) continue;
    const live = await r.client.ask((driver) => readInventory(driver.db(to)), r);
    const names = new Set(expected.objects.map(({ name }) => `${to}.${name}`));
    pairs.push({ expected, found: r.selection.isPartial ? partOf(live, names) : live });
  }
  return compareInventories(pairs);
}

/** What differs stays in place, marked, so that it can be taken as it is. */
export async function assertSame(
  differences: readonly InventoryDifference[],
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<void> {
  const differing = new Set(
    differences.filter(({ isFailure }) => isFailure).map(({ database }) => database),
  );
  const left = steps.filter(({ to }) => differing.has(to))
    .map(({ from, to }) => ({ from, to, name: to }));
  const { isDifferenceAccepted: isAccepted, backupId } = r.options;
  if (!isAccepted) {
    for (const { to } of left) await r.client.ask((driver) => mark(driver.db(to), backupId), r);
  }
  assertRestored(differences, { left, isAccepted });
}

/** Differences that no failure has told already. */
export function untold(
  differences: readonly InventoryDifference[],
  failures: readonly RestoreFailure[],
): RestoreFailure[] {
  const told = new Set(failures.map(({ database, object }) => `${database} ${object}`));
  return differences.filter(({ isFailure }) => isFailure).flatMap((one) => {
    const object = `${one.type} ${one.name}`;
    if (told.has(`${one.database} ${object}`)) return [];
    const isMissing = one.problem === "missing";
    return [{
      ...{ database: one.database, object },
      message: isMissing
        ? "it is not there after the restore"
        : `it holds ${one.found} instead of ${one.expected} documents`,
      leaves: isMissing ? "It is missing." : "Some of its documents are missing.",
    }];
  });
}
