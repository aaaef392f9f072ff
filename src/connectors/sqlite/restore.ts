import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { shellQuote } from "../../core/text.ts";
import type {
  RestorableBackup,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/restore.ts";
import {
  assertRestored,
  compareInventories,
  type DatabaseInventory,
  type InventoryDifference,
  type RestoreLeftover,
} from "../../contracts/inventory.ts";
import { applyIncrement } from "./changes/apply.ts";
import { checkFile } from "./check.ts";
import { openDatabase } from "./database.ts";
import { removeDatabase } from "./files.ts";
import { install } from "./install.ts";
import { readInventory } from "./inventory.ts";
import { besideOf, holds, keepingOf } from "./leftovers.ts";
import { type SourceOptions, withSource } from "./source.ts";
import { assertSpace } from "./space.ts";
import { formatId, writeBytes } from "./walker.ts";

/**
 * Restores beside the target, checks every page and the inventory, and only then puts the content in
 * its place; see {@link install} for how.
 *
 * What differs from the inventory stays beside under its own name. So does, when it keeps going,
 * what SQLite finds damaged: it is what the backup holds, and some of it may be all there is.
 *
 * @throws BackupError `restore/in-use`, `restore/no-space`, `restore/failed`, `restore/incomplete`
 */
export async function restore(
  chain: RestorableChain,
  plan: RestorePlan,
  options: RestoreOptions,
  o: SourceOptions,
): Promise<RestoreResult> {
  const backup = chain.at(-1)!;
  const step = plan.steps[0]!;
  const beside = besideOf(step.to, options.backupId);
  const left = [{ from: step.from, to: step.to, name: beside }];
  await removeDatabase(keepingOf(step.to, options.backupId));
  const isTaken = step.adopts !== undefined && await holds(beside, chain, o);
  let isLeft = isTaken;
  try {
    if (!isTaken) await fill(beside, step, chain, o);
    const { problems, warnings } = await checkFile(beside, true, o);
    const done = { steps: [step], failures: [], left: [], differences: [], warnings };
    if (problems.length > 0 && !isTaken) {
      if (!options.isKeepGoing) throw damaged(problems);
      const failures = problems.map((message) => ({ database: step.to, message, leaves }));
      // In the place of nothing, a part is better than none.
      isLeft = step.mode === "swap";
      if (isLeft) return { ...done, failures, left, followUps: [] };
      await install(beside, step, { ...o, backupId: options.backupId });
      return { ...done, failures, followUps: await followUps(step) };
    }
    if (problems.length === 0) {
      const pages = await openDatabase(beside, "ro", o);
      const found = await readInventory(step.to, pages).finally(() => pages.close());
      isLeft = true;
      assertSame(step, differencesOf(backup, step, found), left, options);
      isLeft = isTaken;
    }
    await install(beside, step, { ...o, backupId: options.backupId });
    isLeft = false;
    if (problems.length > 0) {
      const damage = `It was taken as it is, and SQLite finds it damaged: ${firstOf(problems)}`;
      return { ...done, warnings: [...warnings, damage], followUps: await followUps(step) };
    }
    const found = await withSource(step.to, o, (s) => readInventory(step.to, s.database));
    const differences = differencesOf(backup, step, found);
    assertSame(step, differences, [{ ...left[0]!, name: step.to }], options);
    return { ...done, differences, isCompared: true, followUps: await followUps(step) };
  } finally {
    if (!isLeft) await removeDatabase(beside);
  }
}

/** Writes the full backup's file, and over it what changed since. */
async function fill(
  beside: string,
  step: RestoreStep,
  chain: RestorableChain,
  o: SourceOptions,
): Promise<void> {
  await removeDatabase(beside);
  await assertSpace(step, chain);
  const [full, ...increments] = chain;
  await writeBytes(beside, bytesOf(full!, o));
  if (increments.length === 0) return;
  for (const increment of increments) await applyIncrement(beside, increment, o);
  // Each artifact is what was stored; this says that they belong together.
  if (await holds(beside, chain, o)) return;
  throw new BackupError(
    "restore/failed",
    `What was put together of ${chain.length} backups is not what the database was`,
    {
      hint:
        "The target is as it was. Restore an older backup, the full one first, and take a new " +
        "full backup.",
    },
  );
}

/** What is to be had of a damaged database, nobody can tell from here. */
const leaves = "What lies on the damaged pages may be missing or wrong; the rest can be read, " +
  "with `sqlite3 FILE .recover` where a query fails";

function bytesOf(backup: RestorableBackup, o: Abortable) {
  const artifact = backup.artifacts.find(({ role }) => role === "dump");
  if (artifact?.format === formatId) return artifact.open(o);
  throw new BackupError("restore/failed", "The backup holds no SQLite database", {
    hint: "Restore it to a database of the kind that it was taken from.",
  });
}

function damaged(problems: readonly string[]): BackupError {
  return new BackupError(
    "restore/failed",
    `The restored database is damaged: ${firstOf(problems)}`,
    {
      details: { problems },
      hint: "The target is as it was. Restore another backup, or take what is there of this one: " +
        "--keep-going leaves it beside.",
    },
  );
}

function firstOf(problems: readonly string[]): string {
  return problems.slice(0, 3).join("; ");
}

function differencesOf(
  { inventory }: RestorableBackup,
  { from }: RestoreStep,
  found: DatabaseInventory,
): InventoryDifference[] {
  const expected = inventory.databases.find(({ database }) => database === from);
  return expected === undefined ? [] : compareInventories([{ expected, found }]);
}

function assertSame(
  step: RestoreStep,
  differences: readonly InventoryDifference[],
  left: readonly RestoreLeftover[],
  { isDifferenceAccepted }: RestoreOptions,
): void {
  assertRestored(differences, { target: step.to, left, isAccepted: isDifferenceAccepted });
}

async function followUps(step: RestoreStep): Promise<string[]> {
  if (step.keptAs !== undefined) return [`rm -- ${shellQuote(step.keptAs)}`];
  if (step.mode !== "create") return [];
  const [file, folder] = await Promise.all([stat(step.to), stat(dirname(step.to))]);
  // Only its own user can open the new file; the folder tells who that should be.
  return file.uid === folder.uid && file.gid === folder.gid
    ? []
    : [`chown ${folder.uid}:${folder.gid} -- ${shellQuote(step.to)}`];
}
