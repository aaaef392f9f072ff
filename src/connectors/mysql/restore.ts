import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/connector.ts";
import { createAccounts, grantAccounts, openAccounts } from "./accounts-restore.ts";
import type { MysqlAddress } from "./address.ts";
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
 * Restores with mysql or mariadb and compares with the inventory. Which databases and tables, and
 * under which names, is decided by rewriting the dump on its way.
 *
 * What differs stays where it is, marked as such, since neither server can rename a database.
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
  try {
    for (const step of steps) {
      if (step.mode !== "replace") continue;
      cleared.push(step);
      await clear(client, step, selection, o);
    }
    for (const artifact of steps.length === 0 ? [] : selection.backup.artifacts) {
      if (isWanted(artifact, selection)) await feedDump(artifact, steps, r);
    }
  } catch (error) {
    throw await undo(error, { client, steps, cleared, selection }, o);
  }
  warnings.push(...await grantAccounts(made, client, o));
  const failures = r.complaints?.failures() ?? [];
  const differences = await compareRestored(plan.steps, failures.length > 0, r);
  for (const { adopts } of plan.steps) {
    if (adopts !== undefined) await unmark(client, adopts, o);
  }
  const failed = new Set(failures.map(({ database }) => database));
  return {
    steps: plan.steps,
    failures,
    left: steps.filter(({ to }) => failed.has(to)).map(leftover),
    differences,
    isCompared: true,
    warnings,
    followUps: [],
  };
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
