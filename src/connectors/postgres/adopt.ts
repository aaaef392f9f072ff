import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { compare } from "./comparison.ts";
import { databaseStatements } from "./create.ts";
import { findLeftovers, isOf, unmark } from "./leftover.ts";
import { choosePart } from "./part.ts";
import { newDatabase } from "./present.ts";
import { type Act, markOfAct, type Scene, type StepResult } from "./scene.ts";
import { putInPlace } from "./swap.ts";

/** Takes what an earlier restore of this backup left, as it is. */
export async function adopt(
  scene: Scene,
  act: Act,
  name: string,
  o: Abortable,
): Promise<StepResult> {
  const { client, place, options } = scene;
  const { step, head } = act;
  const wanted = markOfAct(scene, act, "complete");
  const found = (await findLeftovers(client, place, o)).find((one) =>
    one.name === name && isOf(one, wanted)
  );
  if (found === undefined) {
    throw new BackupError("restore/failed", `"${name}" is no longer what the restore left`, {
      hint: "Run the restore again, without --accept-differences.",
    });
  }
  const ids = options.only.length === 0
    ? undefined
    : choosePart(head, options.only, newDatabase).ids;
  const differences = await compare(scene, act, name, { ids }, o);
  const nothing = { failures: [], left: [], warnings: [], differences };
  if (name === step.to) {
    await unmark(client, found, o);
    await client.release(name);
    return { ...nothing, followUps: [] };
  }
  const statements = databaseStatements(head, name, options.restoreArgs);
  return { ...nothing, followUps: await putInPlace(scene, name, step, statements, o) };
}
