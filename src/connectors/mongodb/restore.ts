import type { Abortable } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreFailure,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/restore.ts";
import { restoreAccounts } from "./accountsRestore.ts";
import { archiveFormat } from "./archive/walker.ts";
import { bring } from "./bring.ts";
import type { Client } from "./client.ts";
import type { RestoreContext } from "./context.ts";
import { assertAllRestored } from "./feed.ts";
import { restoreGoingOn } from "./keepGoing.ts";
import { restoring, unmark } from "./leftover.ts";
import { restoreFlags } from "./recipe.ts";
import { restoreChain, type Restored } from "./restoreChain.ts";
import { select } from "./selection.ts";
import { requireTool } from "./tools.ts";
import { clear, undo, withTheRest } from "./undo.ts";
import type { MongoAddress } from "./uri.ts";
import { assertSame, compare, untold } from "./verdict.ts";

/** A plan, and what it was made from. */
export interface RestoreRequest {
  readonly client: Client;
  readonly address: MongoAddress;
  readonly chain: RestorableChain;
  readonly plan: RestorePlan;
  readonly options: RestoreOptions;
}

/**
 * Restores with mongorestore and compares with the inventory. Which databases and collections, and
 * under which names, is decided by rewriting the archive on its way, so that the oplog in it is
 * always replayed, for exactly what is restored.
 *
 * @throws BackupError `restore/failed`, `restore/incomplete`, `dump/tool-missing`
 */
export async function restore(
  { client, address, chain, plan, options }: RestoreRequest,
  o: Abortable & { readonly runtime: Runtime },
): Promise<RestoreResult> {
  const tool = await requireTool("mongorestore", address, o);
  const selection = select(chain, options);
  const r: RestoreContext = { ...o, client, address, tool, selection, options };
  const steps = restoring(plan.steps);
  for (const step of steps) {
    if (step.mode === "replace") await client.ask((driver) => clear(driver, step, selection), r);
  }
  const restored = chain.length > 1
    ? await restoreChain(chain, steps, r)
    : await restoreBackup(steps, r);
  await restoreAccounts(chain.at(-1)!.artifacts, r);
  const made = [...steps, ...restored.added];
  const differences = [
    ...await compare(made, r, restored.inventory),
    ...await compare(plan.steps.filter((step) => !steps.includes(step)), r),
  ];
  let { failures } = restored;
  if (options.isKeepGoing) failures = [...failures, ...untold(differences, failures)];
  else await assertSame(differences, made, r);
  for (const { to, adopts } of plan.steps) {
    if (adopts !== undefined) await client.ask((driver) => unmark(driver.db(to)), r);
  }
  return {
    ...{ steps: [...plan.steps, ...restored.added], failures, left: [], differences },
    ...{ warnings: [], followUps: [] },
  };
}

async function restoreBackup(steps: readonly RestoreStep[], r: RestoreContext): Promise<Restored> {
  const { backup, databases } = r.selection;
  const dumps = backup.artifacts.filter((artifact) => isWanted(artifact, steps));
  let failures: RestoreFailure[] = [];
  try {
    if (r.options.isKeepGoing) failures = await restoreGoingOn(dumps, steps, r);
    else await restoreAll(dumps, steps, r);
  } catch (error) {
    throw await withTheRest(error, steps, r);
  }
  return { inventory: databases, failures, added: [] };
}

function isWanted(artifact: RestorableArtifact, steps: readonly RestoreStep[]): boolean {
  if (artifact.role !== "dump") return false;
  if (artifact.format !== archiveFormat.id) {
    throw new BackupError("restore/failed", `Cannot restore an artifact of ${artifact.format}`, {
      hint: "Restore it to a database of the kind that it was taken from.",
    });
  }
  return steps.some((step) => isOf(artifact, step));
}

function isOf({ databases }: RestorableArtifact, { from }: RestoreStep): boolean {
  return databases.length === 0 || databases.includes(from);
}

/**
 * Restores database after database where it must: one that fails is undone and named, and the others
 * are restored all the same.
 */
async function restoreAll(
  dumps: readonly RestorableArtifact[],
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<void> {
  const failed: { step: RestoreStep; error: BackupError }[] = [];
  for (const artifact of dumps) {
    let left = steps.filter((step) => isOf(artifact, step));
    while (left.length > 0) {
      const error = await restoreOnce(artifact, left, r);
      if (error === undefined) break;
      const culprit = left.length === 1 ? left[0] : culpritOf(error, left);
      if (culprit === undefined) throw error;
      failed.push({ step: culprit, error });
      await undo([culprit], r);
      left = await unfinished(left.filter((step) => step !== culprit), r);
    }
  }
  const [first] = failed;
  if (first === undefined) return;
  if (steps.length === 1) throw first.error;
  const names = failed.map(({ step }) => step.to);
  throw new BackupError(
    "restore/failed",
    `${failed.length} of ${steps.length} databases could not be restored: ` +
      failed.map(({ step, error }) => `"${step.to}": ${error.message}`).join("; "),
    {
      cause: first.error,
      details: { failed: names },
      hint: "The others are restored. Mend it, then restore what is left: " +
        failed.map(({ step }) => `--database ${step.from}`).join(" ") + ".",
    },
  );
}

/** @returns the error that is of one database's making */
async function restoreOnce(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<BackupError | undefined> {
  const flags = restoreFlags(r.selection.backup.manifest);
  try {
    assertAllRestored(await bring(artifact, steps, { flags }, r));
    return undefined;
  } catch (error) {
    if (hasCode(error, "restore/failed") && !r.signal.aborted) return error;
    throw error;
  }
}

/** mongorestore's failure begins with the namespace that failed. */
function culpritOf(
  { message }: BackupError,
  steps: readonly RestoreStep[],
): RestoreStep | undefined {
  const named = steps.filter(({ to }) =>
    message.includes(` ${to}.`) || message.includes(`"${to}.`)
  );
  return named.length === 1 ? named[0] : undefined;
}

/** Those that are not complete, emptied for another try. */
async function unfinished(
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<RestoreStep[]> {
  const left: RestoreStep[] = [];
  for (const step of steps) {
    const differences = await compare([step], r);
    if (!differences.some(({ isFailure }) => isFailure)) continue;
    await r.client.ask((driver) => clear(driver, step, r.selection), r);
    left.push(step);
  }
  return left;
}
