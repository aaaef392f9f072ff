import type { MongoClient } from "mongodb";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/connector.ts";
import {
  assertRestored,
  compareInventories,
  type InventoryDifference,
} from "../../contracts/inventory.ts";
import { rewriteArchive } from "./archive/rewrite.ts";
import { accountsFormat, archiveFormat } from "./archive/walker.ts";
import { readInventory } from "./inventory.ts";
import { restoreFlags } from "./recipe.ts";
import { partOf, select, type Selection } from "./selection.ts";
import { collectionNames } from "./target.ts";
import { complaint, requireTool, toolSpec } from "./tools.ts";
import type { MongoAddress } from "./uri.ts";

type Context = Abortable & { readonly runtime: Runtime };

/**
 * Restores with mongorestore and compares with the inventory. Which databases and collections, and
 * under which names, is decided by rewriting the archive on its way, so that the oplog in it is
 * always replayed, for exactly what is restored.
 *
 * @throws BackupError `restore/failed`, `restore/incomplete`, `dump/tool-missing`
 */
export async function restore(
  client: MongoClient,
  address: MongoAddress,
  chain: RestorableChain,
  plan: RestorePlan,
  options: RestoreOptions,
  o: Context,
): Promise<RestoreResult> {
  const tool = await requireTool("mongorestore", address, o);
  const selection = select(chain, options);
  const { manifest, artifacts } = selection.backup;
  const run = (bytes: Bytes, flags: readonly string[]) => feed(tool, address, bytes, flags, o);
  for (const step of plan.steps) {
    if (step.mode === "replace") await clear(client, step, selection);
  }
  try {
    for (const artifact of artifacts) {
      if (!isWanted(artifact, selection)) continue;
      const flags = [...restoreFlags(manifest), ...workers(options), ...options.restoreArgs];
      await run(chosen(artifact, plan, selection, o), flags);
    }
  } catch (error) {
    await undo(client, plan, selection);
    throw error;
  }
  const accounts = artifacts.find(({ role }) => role === "accounts");
  if (options.isWithAccounts && accounts?.format === accountsFormat.id) {
    await run(accounts.open(o), []);
  }
  const differences = await compare(client, plan, selection, options);
  const done = { steps: plan.steps, failures: [], left: [], differences, isCompared: true };
  return { ...done, warnings: [], followUps: [] };
}

function isWanted(artifact: RestorableArtifact, selection: Selection): boolean {
  if (artifact.role !== "dump") return false;
  if (artifact.format !== archiveFormat.id) {
    throw new BackupError("restore/failed", `Cannot restore an artifact of ${artifact.format}`, {
      hint: "Restore it to a database of the kind that it was taken from.",
    });
  }
  const isAny = artifact.databases.length === 0;
  return isAny ||
    artifact.databases.some((name) =>
      selection.databases.some(({ database }) => database === name)
    );
}

function chosen(
  artifact: RestorableArtifact,
  { steps }: RestorePlan,
  selection: Selection,
  o: Context,
): Bytes {
  const names = new Map(steps.map(({ from, to }) => [from, to]));
  return rewriteArchive(artifact.open(o), {
    keep: (db, collection) => selection.has(db, collection),
    rename: (db) => names.get(db) ?? db,
  });
}

function workers({ jobs }: RestoreOptions): string[] {
  return [`--numParallelCollections=${jobs}`];
}

/** Drops what a step replaces; a database that the server needs itself, collection by collection. */
async function clear(client: MongoClient, step: RestoreStep, selection: Selection): Promise<void> {
  const db = client.db(step.to);
  if (!selection.isPartial && step.to !== "admin") {
    await db.dropDatabase();
    return;
  }
  for (const name of await collectionNames(client, step.to)) {
    if (!selection.isPartial || selection.has(step.from, name)) await db.dropCollection(name);
  }
}

/** Removes what a failed restore left where nothing was before. */
async function undo(
  client: MongoClient,
  { steps }: RestorePlan,
  selection: Selection,
): Promise<void> {
  for (const step of steps) {
    if (step.mode === "replace") continue;
    // The failure itself matters more than one to clean up, which may have the same cause.
    await clear(client, step, selection).catch(() => {});
  }
}

async function feed(
  tool: string,
  address: MongoAddress,
  bytes: Bytes,
  flags: readonly string[],
  o: Context,
): Promise<void> {
  const spec = { ...toolSpec(tool, address, ["--archive", ...flags]), input: bytes };
  try {
    const { stderr } = await childText(spec, o);
    // mongorestore counts failed documents and exits 0 all the same.
    const failed = /(\d+) document\(s\) failed to restore/.exec(stderr)?.[1];
    if (failed === "0") return;
    throw new BackupError(
      "restore/failed",
      failed === undefined
        ? "mongorestore ended without its summary"
        : `mongorestore could not restore ${counted(Number(failed), "document")}`,
      { details: { stderr }, hint: "Its whole output is in the log at --log-level debug." },
    );
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new BackupError("restore/failed", `mongorestore failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: hintFor(error.exit.stderr),
    });
  }
}

function hintFor(stderr: string): string {
  return /not authorized|requires authentication/i.test(stderr)
    ? "Grant the user the roles restore and readAnyDatabase; to replay some entries of an oplog it " +
      "also needs anyAction on anyResource."
    : "Its whole output is in the log at --log-level debug.";
}

async function compare(
  client: MongoClient,
  { steps }: RestorePlan,
  selection: Selection,
  options: RestoreOptions,
): Promise<InventoryDifference[]> {
  const pairs = [];
  for (const { from, to } of steps) {
    const expected = selection.databases.find(({ database }) => database === from);
    if (expected === undefined) continue;
    const live = await readInventory(client.db(to));
    const names = new Set(expected.objects.map(({ name }) => `${to}.${name}`));
    pairs.push({ expected, found: selection.isPartial ? partOf(live, names) : live });
  }
  const differences = compareInventories(pairs);
  assertRestored(differences, {
    left: steps.map(({ from, to }) => ({ from, to, name: to })),
    isAccepted: options.isDifferenceAccepted,
  });
  return differences;
}
