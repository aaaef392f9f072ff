import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { formatBytes, shellQuote } from "../../core/text.ts";
import type {
  RestorableBackup,
  RestorableChain,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/connector.ts";
import {
  assertRestored,
  compareInventories,
  type DatabaseInventory,
  type InventoryDifference,
} from "../../contracts/inventory.ts";
import { checkFile } from "./check.ts";
import { openDatabase } from "./database.ts";
import { removeDatabase, statOrNone } from "./files.ts";
import { install } from "./install.ts";
import { readInventory } from "./inventory.ts";
import { type SourceOptions, withSource } from "./source.ts";
import { onlyBackup } from "./target.ts";
import { formatId, writeBytes } from "./walker.ts";

/**
 * Restores beside the target, checks every page and the inventory, and only then puts the content in
 * its place; see {@link install} for how.
 *
 * @throws BackupError `restore/in-use`, `restore/no-space`, `restore/failed`, `restore/incomplete`
 */
export async function restore(
  chain: RestorableChain,
  plan: RestorePlan,
  o: SourceOptions & { backupId: string },
): Promise<RestoreResult> {
  const backup = onlyBackup(chain);
  const step = plan.steps[0]!;
  const beside = `${step.to}_restore_${o.backupId}`;
  const expected = backup.inventory.databases.find(({ database }) => database === step.from);
  await removeDatabase(beside);
  await assertSpace(step, backup);
  try {
    await writeBytes(beside, bytesOf(backup, o));
    await assertSound(beside, o);
    const name = step.to;
    const pages = await openDatabase(beside, "ro", o);
    const staged = await readInventory(name, pages).finally(() => pages.close());
    assertSame(step, differencesOf(expected, staged));
    await install(beside, step, o);
  } finally {
    await removeDatabase(beside);
  }
  const found = await withSource(step.to, o, (s) => readInventory(step.to, s.database));
  const differences = differencesOf(expected, found);
  assertSame(step, differences);
  return {
    steps: [step],
    failures: [],
    left: [],
    differences,
    isCompared: expected !== undefined,
    warnings: [],
    followUps: await followUps(step),
  };
}

function bytesOf(backup: RestorableBackup, o: Abortable) {
  const artifact = backup.artifacts.find(({ role }) => role === "dump");
  if (artifact?.format === formatId) return artifact.open(o);
  throw new BackupError("restore/failed", "The backup holds no SQLite database", {
    hint: "Restore it to a database of the kind that it was taken from.",
  });
}

/** The new content once beside and once more in place or in the journal, and the old one kept. */
async function assertSpace(step: RestoreStep, backup: RestorableBackup): Promise<void> {
  const artifact = backup.artifacts.find(({ role }) => role === "dump");
  const newBytes = artifact?.rawBytes ?? 0;
  const oldBytes = Number((await statOrNone(step.to))?.size ?? 0n);
  const needBytes = step.mode === "create" ? newBytes : 2 * newBytes + oldBytes;
  const space = await statfs(dirname(step.to));
  const freeBytes = space.bavail * space.bsize;
  if (freeBytes >= needBytes) return;
  throw new BackupError(
    "restore/no-space",
    `The folder of "${step.to}" has ${formatBytes(freeBytes)} free and ` +
      `${formatBytes(needBytes)} are needed`,
    { hint: "Free some space, or restore to a path on a larger disk. Nothing was changed." },
  );
}

async function assertSound(path: string, o: Abortable): Promise<void> {
  const { problems } = await checkFile(path, o);
  if (problems.length === 0) return;
  throw new BackupError(
    "restore/failed",
    `The restored database is damaged: ${problems.slice(0, 3).join("; ")}`,
    { details: { problems }, hint: "The target is as it was. Restore another backup." },
  );
}

function differencesOf(
  expected: DatabaseInventory | undefined,
  found: DatabaseInventory,
): InventoryDifference[] {
  return expected === undefined ? [] : compareInventories([{ expected, found }]);
}

function assertSame(step: RestoreStep, differences: readonly InventoryDifference[]): void {
  assertRestored(differences, { target: step.to, left: [], isAccepted: false });
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
