import { BackupError, hasCode } from "../../core/errors.ts";
import type { RestoreStep } from "../../contracts/restore.ts";
import { assertTaken, compare } from "./comparison.ts";
import {
  createDatabase,
  databaseStatements,
  dropDatabase,
  dropUnfinished,
  runInside,
} from "./create.ts";
import { databaseNames } from "./databases.ts";
import { findLeftovers, markDatabase } from "./leftover.ts";
import { loadAct, partFor } from "./load-act.ts";
import { derivedName } from "./names.ts";
import { type Act, markOfAct, type RestoreContext, type Scene, type StepResult } from "./scene.ts";
import { putInPlace } from "./swap.ts";

/** Beside, under a name of its own, until it can take its place. */
export async function restoreBeside(
  scene: Scene,
  act: Act,
  o: RestoreContext,
): Promise<StepResult> {
  const { client, place, options } = scene;
  const { step, head } = act;
  await dropLeftovers(scene, step, o);
  const present = await databaseNames(client, place, o);
  const name = derivedName(step.to, `_restore_${options.backupId}`, present);
  const statements = databaseStatements(head, name, options.restoreArgs);
  const create = () =>
    createDatabase(
      client,
      { place, name, mark: markOfAct(scene, act, "unfinished") },
      statements,
      o,
    );
  await create();
  let isLoaded = false;
  try {
    const settled = await partFor(scene, act, name, o);
    const ids = settled?.part.ids;
    // The connection stays: by it others see that this database is being restored.
    const { result, leftOut, made } = await loadAct(scene, act, {
      database: name,
      settled,
      async renew() {
        await dropDatabase(client, place, name);
        await create();
      },
    }, o);
    await markDatabase(client, place, name, markOfAct(scene, act, "complete"), o);
    isLoaded = true;
    await runInside(client, name, statements.after, o);
    const differences = await compare(scene, act, name, { ids, leftOut, made }, o);
    // In the place of nothing, a part is better than none.
    if (result.failures.length > 0 && step.mode === "swap") {
      await client.release(name);
      const left = [{ from: step.from, to: step.to, name }];
      return { ...result, left, differences, followUps: [] };
    }
    if (result.failures.length === 0) {
      assertTaken(scene, act, { name, isMarked: true }, differences);
    }
    const followUps = await putInPlace(scene, name, step, statements, o);
    return { ...result, left: [], differences, followUps };
  } catch (error) {
    await client.release(name);
    if (isLoaded) throw kept(error, step, name);
    if (o.signal.aborted) await dropDatabase(client, place, name);
    else await dropUnfinished(client, place, name, error);
    throw error;
  }
}

/** What killed restores of this database left is half of something, and only in the way. */
async function dropLeftovers(
  { client, place }: Scene,
  { to }: RestoreStep,
  o: RestoreContext,
): Promise<void> {
  for (const one of await findLeftovers(client, place, o)) {
    if (one.to !== to || one.name === to || one.state !== "unfinished" || one.isInUse) continue;
    await dropDatabase(client, place, one.name);
  }
}

/** A failure after everything was loaded: that is kept, and the next restore can take it. */
function kept(error: unknown, { from, to }: RestoreStep, name: string): unknown {
  if (!(error instanceof Error) || hasCode(error, "restore/incomplete")) return error;
  const known = error instanceof BackupError ? error : undefined;
  return new BackupError(known?.code ?? "restore/failed", error.message, {
    cause: error,
    hint: `${known?.hint === undefined ? "" : `${known.hint} `}What was restored for "${to}" is ` +
      `whole, as "${name}". Run the same restore again with --accept-differences: it takes that, ` +
      "and restores nothing again.",
    details: { ...known?.details, left: [{ from, to, name }] },
  });
}
