import { assertTaken, compare, hasFailed } from "./comparison.ts";
import { markInPlace } from "./leftover.ts";
import { loadAct, partFor } from "./load-act.ts";
import { tellingLocks } from "./lock-watch.ts";
import { finishPart } from "./part-plan.ts";
import { type Act, markOfAct, type RestoreContext, type Scene, type StepResult } from "./scene.ts";

/** Into a database that is there already. */
export async function restoreInPlace(
  scene: Scene,
  act: Act,
  o: RestoreContext,
): Promise<StepResult> {
  const { client, options } = scene;
  const { step } = act;
  const settled = await partFor(scene, act, step.to, o);
  const ids = settled?.part.ids;
  await client.release(step.to);
  const renew = () => Promise.resolve();
  const { result: loaded, leftOut, made } = await tellingLocks(
    client,
    { place: scene.place, database: step.to },
    () => loadAct(scene, act, { database: step.to, settled, renew }, o),
    o,
  );
  const finished = settled === undefined ? [] : await finishPart(client, step.to, settled, o);
  const result = { ...loaded, warnings: [...loaded.warnings, ...finished] };
  const differences = await compare(scene, act, step.to, { ids, leftOut, made }, o);
  const isMarked = options.only.length === 0 && hasFailed(differences) &&
    !options.isDifferenceAccepted && !options.isKeepGoing &&
    await markInPlace(client, step.to, markOfAct(scene, act, "complete"), o);
  await client.release(step.to);
  if (!options.isKeepGoing) assertTaken(scene, act, { name: step.to, isMarked }, differences);
  return { ...result, left: [], differences, followUps: [] };
}
