import type { Abortable } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/restore.ts";
import type { InventoryDifference } from "../../contracts/inventory.ts";
import { createAccounts, grantAccounts, openAccounts } from "./accounts-restore.ts";
import type { MysqlAddress } from "./address.ts";
import { openChanges } from "./binlog/changes.ts";
import { type Client, quoteName } from "./client.ts";
import { compareRestored, leftover } from "./compare.ts";
import { createComplaints } from "./complaints.ts";
import { feedDump } from "./feed.ts";
import { unmark } from "./marker.ts";
import { lookAbroad } from "./other-flavour.ts";
import type { RestoreContext } from "./restore-context.ts";
import { select, type Selection } from "./selection.ts";
import { readServer } from "./server.ts";
import { requireTool } from "./tools.ts";
import { undo } from "./undo.ts";
import { dumpFormat } from "./walker.ts";

/** A plan, and what it was made from. */
export interface RestoreRequest {
  readonly client: Client;
  readonly address: MysqlAddress;
  readonly chain: RestorableChain;
  readonly plan: RestorePlan;
  readonly options: RestoreOptions;
}

/**
 * Restores with mysql or mariadb, compares with the full backup's inventory, and replays the changes
 * of a chain on that. Which databases and tables, and under which names, is decided by rewriting the
 * dump, and filtering the log, on their way.
 *
 * What differs stays where it is, since neither server can rename a database.
 *
 * @throws BackupError `restore/failed`, `restore/incomplete`, `dump/tool-missing`; what a failure or
 * an interruption left is in its hint
 */
export async function restore(
  { client, address, chain, plan, options }: RestoreRequest,
  o: Abortable & { readonly runtime: Runtime },
): Promise<RestoreResult> {
  const selection = select(chain, options, address);
  const server = await readServer(client, o);
  const r: RestoreContext = {
    ...o,
    client,
    address,
    server,
    selection,
    options,
    abroad: await lookAbroad(client, selection, server, o),
    tool: await requireTool("restore", server, address, o),
    isEncrypted: await client.isEncrypted(o),
    complaints: options.isKeepGoing ? createComplaints() : undefined,
  };
  const accounts = options.isWithAccounts ? await openAccounts(selection, client, server, o) : [];
  const { made, warnings } = await createAccounts(accounts, client, o);
  const steps = plan.steps.filter(({ adopts }) => adopts === undefined);
  const cleared: RestoreStep[] = [];
  const changes = selection.later.length === 0 ? undefined : await openChanges(r);
  let differences: InventoryDifference[] = [];
  let done: readonly RestoreStep[] = plan.steps;
  try {
    for (const step of steps) {
      // What is made by a change must not be there.
      const isInTheWay = step.mode === "fill" && isMadeLater(step, selection);
      if (step.mode !== "replace" && !isInTheWay) continue;
      cleared.push(step);
      await clear(client, step, selection, o);
    }
    for (const artifact of steps.length === 0 ? [] : selection.backup.artifacts) {
      if (isWanted(artifact, selection)) await feedDump(artifact, steps, r, changes?.stillEvents);
    }
    if (changes !== undefined) {
      assertNoneFailed(r);
      const compared = steps.filter((step) => !isMadeLater(step, selection));
      differences = await compareRestored(compared, false, r);
      const replayed = await changes.replay(steps);
      done = replayed.there;
      warnings.push(...replayed.warnings);
    }
  } catch (error) {
    if (hasCode(error, "restore/incomplete")) throw error;
    throw await undo(error, { client, steps, cleared, selection }, o);
  }
  warnings.push(...await grantAccounts(made, client, o));
  const failures = r.complaints?.failures() ?? [];
  if (changes === undefined) {
    differences = await compareRestored(plan.steps, failures.length > 0, r);
  }
  for (const { adopts } of plan.steps) {
    if (adopts !== undefined) await unmark(client, adopts, o);
  }
  const failed = new Set(failures.map(({ database }) => database));
  return {
    steps: done,
    failures,
    left: steps.filter(({ to }) => failed.has(to)).map(leftover),
    differences,
    // With changes, the full backup alone was compared, before they were replayed.
    ...changes === undefined ? { isCompared: true } : {},
    warnings,
    followUps: [],
  };
}

function isMadeLater({ from }: RestoreStep, { backup }: Selection): boolean {
  return !backup.inventory.databases.some(({ database }) => database === from);
}

/** Changes are made to what the full backup has, and go wrong where something of it is missing. */
function assertNoneFailed({ complaints }: RestoreContext): void {
  const [first, ...others] = complaints?.failures() ?? [];
  if (first === undefined) return;
  throw new BackupError(
    "restore/failed",
    `${counted(others.length + 1, "statement")} of the full backup failed, so its changes cannot ` +
      `be replayed; the first: ${first.message}`,
    { hint: "Restore the full backup alone with --keep-going, by its id." },
  );
}

function isWanted(artifact: RestorableArtifact, { databases }: Selection): boolean {
  if (artifact.role !== "dump") return false;
  if (artifact.format !== dumpFormat.id) {
    throw new BackupError("restore/failed", `Cannot restore an artifact of ${artifact.format}`, {
      hint: "Restore it to a database of the kind that it was taken from.",
    });
  }
  return artifact.databases.some((name) => databases.some(({ database }) => database === name));
}

/** Drops what a step replaces; of some tables the dump itself drops each before it makes it. */
async function clear(
  client: Client,
  { to }: RestoreStep,
  { isPartial }: Selection,
  o: Abortable,
): Promise<void> {
  if (!isPartial) await client.query(`DROP DATABASE ${quoteName(to)}`, o);
}
