import { collectText } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type {
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/restore.ts";
import { accountsFormat } from "./accounts.ts";
import type { Address } from "./address.ts";
import { adopt } from "./adopt.ts";
import { applyAccounts } from "./apply-accounts.ts";
import { readHead } from "./archive/head.ts";
import { restoreBeside } from "./beside.ts";
import type { Client } from "./client.ts";
import { restoreInPlace } from "./in-place.ts";
import { dependentTables, isPartialBackup } from "./losses.ts";
import type { RestoreContext, Scene, StepResult } from "./scene.ts";
import { onlyBackup, selectDatabases, type SelectedDatabase } from "./selection.ts";
import { readServer } from "./server.ts";
import { type FailedStep, severalFailed } from "./several-failed.ts";
import { findToolSets } from "./tools.ts";

/**
 * Restores with pg_restore: beside, under a name of its own, and then renamed to its place; or into an
 * empty database. Each is compared with the inventory before it takes its place; one that differs is
 * kept where it is.
 *
 * Of several databases, all are tried, whatever becomes of one.
 *
 * @throws BackupError `restore/failed`, `restore/incomplete`, `restore/in-use`
 */
export async function restore(
  client: Client,
  address: Address,
  { chain, plan, options }: {
    readonly chain: RestorableChain;
    readonly plan: RestorePlan;
    readonly options: RestoreOptions;
  },
  o: RestoreContext,
): Promise<RestoreResult> {
  const { manifest, artifacts, inventory } = onlyBackup(chain);
  const wanted = new Map(selectDatabases(chain, options).map((one) => [one.name, one]));
  const targets = plan.steps.map(({ to }) => to);
  const swapped = plan.steps.filter(({ mode }) => mode === "swap").map(({ to }) => to);
  const place = await client.anyDatabase(o, targets).catch(() => client.anyDatabase(o, swapped));
  const scene: Scene = {
    client,
    address,
    server: await readServer(client, address, place, o),
    toolSets: await findToolSets(address.toolsDir, o),
    place,
    options,
    inventories: inventory.databases,
    isPartial: isPartialBackup(manifest),
    // What is asked for by name is not left out.
    unrestorable: new Set(
      options.only.length > 0 ? [] : manifest.omitted.filter(({ name }) => name === dependentTables)
        .flatMap(({ objects }) => objects ?? []),
    ),
  };
  const warnings: string[] = [];
  const accounts = artifacts.find(({ role }) => role === "accounts");
  if (options.isWithAccounts && accounts?.format === accountsFormat.id) {
    const sql = await collectText(accounts.open(o), 256 * 1024 * 1024);
    warnings.push(...await applyAccounts(client, place, scene.server.major, sql, o));
  }
  const done: StepResult[] = [];
  const failed: FailedStep[] = [];
  for (const step of plan.steps) {
    try {
      done.push(await restoreStep(scene, wanted.get(step.from)!, step, o));
    } catch (error) {
      o.signal.throwIfAborted();
      if (plan.steps.length === 1 || !(error instanceof BackupError)) throw error;
      failed.push({ step, error });
      // Where nobody answers, all the others would fail, too.
      if (hasCode(error, "connection/")) break;
    }
  }
  if (failed.length > 0) throw severalFailed(plan.steps, done, failed);
  return {
    steps: plan.steps,
    failures: done.flatMap(({ failures }) => failures),
    left: done.flatMap(({ left }) => left),
    differences: done.flatMap(({ differences }) => differences),
    isCompared: true,
    warnings: [...warnings, ...done.flatMap((one) => one.warnings)],
    followUps: done.flatMap(({ followUps }) => followUps),
  };
}

async function restoreStep(
  scene: Scene,
  source: SelectedDatabase,
  step: RestoreStep,
  o: RestoreContext,
): Promise<StepResult> {
  const act = { step, source, head: await readHead(source.artifact, o) };
  if (step.adopts !== undefined) return await adopt(scene, act, step.adopts, o);
  return step.mode === "fill" || step.mode === "replace"
    ? await restoreInPlace(scene, act, o)
    : await restoreBeside(scene, act, o);
}
