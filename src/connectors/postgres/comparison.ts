import type { Abortable } from "../../core/bytes.ts";
import {
  assertRestored,
  compareInventories,
  type InventoryDifference,
  type InventoryObject,
  type RestoreLeftover,
} from "../../contracts/inventory.ts";
import { readInventory, templateExtensions } from "./inventory.ts";
import { partOf, withoutPart } from "./part-inventory.ts";
import type { Act, Scene } from "./scene.ts";
import type { SequenceName } from "./sequences.ts";

/** The differences of a restored database from the inventory. */
export async function compare(
  { client, inventories }: Scene,
  { source, step, head }: Act,
  database: string,
  { ids, leftOut, made = [] }: {
    ids?: ReadonlySet<number> | undefined;
    leftOut?: ReadonlySet<number>;
    made?: readonly SequenceName[];
  },
  o: Abortable,
): Promise<InventoryDifference[]> {
  const whole = inventories.find((one) => one.database === source.name);
  if (whole === undefined) return [];
  const expected = leftOut === undefined ? whole : withoutPart(whole, head, leftOut);
  const all = await readInventory(client, database, o);
  const isMade = ({ type, schema, name }: InventoryObject) =>
    type === "sequence" && made.some((one) => one.schema === schema && one.name === name);
  const found = { ...all, objects: all.objects.filter((one) => !isMade(one)) };
  const given = (await templateExtensions(client, database, o)).filter(({ name }) =>
    expected.objects.some((one) => one.type === "extension" && one.name === name)
  );
  return compareInventories([{
    expected: ids === undefined ? expected : partOf(expected, head, ids),
    found: {
      objects: [...(ids === undefined ? found : partOf(found, head, ids)).objects, ...given],
      database: step.to,
    },
  }]);
}

/** Whether one of them makes the restore fail. */
export function hasFailed(differences: readonly InventoryDifference[]): boolean {
  return differences.some(({ isFailure }) => isFailure);
}

/** @throws BackupError `restore/incomplete`, with where what was restored is */
export function assertTaken(
  { options }: Scene,
  { step: { from, to } }: Act,
  { name, isMarked }: { readonly name: string; readonly isMarked: boolean },
  differences: readonly InventoryDifference[],
): void {
  const left: RestoreLeftover[] = isMarked ? [{ from, to, name }] : [];
  assertRestored(differences, { target: to, left, isAccepted: options.isDifferenceAccepted });
}
