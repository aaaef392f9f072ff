import type { Abortable, Bytes } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
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
import {
  assertRestored,
  compareInventories,
  type DatabaseInventory,
  type InventoryDifference,
  type RestoreLeftover,
} from "../../contracts/inventory.ts";
import { createAccounts, grantAccounts, openAccounts } from "./accounts-restore.ts";
import type { MysqlAddress } from "./address.ts";
import { type Client, quoteName } from "./client.ts";
import type { DumpedColumn } from "./columns.ts";
import { type Complaints, createComplaints } from "./complaints.ts";
import { readInventory } from "./inventory.ts";
import { mark, markerTable, unmark } from "./marker.ts";
import { lookAbroad } from "./other-flavour.ts";
import { rewriteDump } from "./rewrite.ts";
import { partOf, select, type Selection } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { checkUnique, keepOldKeys } from "./settings.ts";
import { type ClientTool, complaint, requireTool, toolSpec } from "./tools.ts";
import { type Abroad, translate, translated } from "./translate.ts";
import { undo } from "./undo.ts";
import { editValues, type ValueEdit } from "./values.ts";
import { dumpFormat } from "./walker.ts";

type Context = Abortable & { readonly runtime: Runtime };

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
  client: Client,
  address: MysqlAddress,
  chain: RestorableChain,
  plan: RestorePlan,
  options: RestoreOptions,
  o: Context,
): Promise<RestoreResult> {
  const selection = select(chain, options, address);
  const server = await readServer(client, o);
  const abroad = await lookAbroad(client, selection, server, o);
  const tool = await requireTool("restore", server, address, o);
  const isEncrypted = await client.isEncrypted(o);
  const accounts = options.isWithAccounts ? await openAccounts(selection, client, server, o) : [];
  const { made, warnings } = await createAccounts(accounts, client, o);
  const steps = plan.steps.filter(({ adopts }) => adopts === undefined);
  const complaints = options.isKeepGoing ? createComplaints() : undefined;
  const cleared: RestoreStep[] = [];
  try {
    for (const step of steps) {
      if (step.mode !== "replace") continue;
      cleared.push(step);
      await clear(client, step, selection, o);
    }
    for (const artifact of steps.length === 0 ? [] : selection.backup.artifacts) {
      if (!isWanted(artifact, selection)) continue;
      const bytes = chosen(artifact, steps, selection, server, abroad, complaints, o);
      await feed(tool, address, isEncrypted, bytes, options, complaints, o);
    }
  } catch (error) {
    throw await undo(error, client, steps, cleared, selection, o);
  }
  warnings.push(...await grantAccounts(made, client, o));
  const failures = complaints?.failures() ?? [];
  const differences = await compare(
    client,
    server,
    plan,
    selection,
    failures.length > 0,
    options,
    o,
  );
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

function leftover({ from, to }: RestoreStep): RestoreLeftover {
  return { from, to, name: to };
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

function chosen(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  selection: Selection,
  server: Server,
  abroad: Abroad | undefined,
  complaints: Complaints | undefined,
  o: Context,
): Bytes {
  const targets = new Map(steps.map((step) => [step.from, step]));
  const opened = server.flavour === "MySQL"
    // Dumps of older versions of this program have it not in them.
    ? editValues(keepOldKeys(artifact.open(o)), asMysqlTakes)
    : artifact.open(o);
  return rewriteDump(complaints === undefined ? opened : checkUnique(opened), {
    rename: (database) => targets.get(database)?.to,
    keeps: (database, object, name) =>
      selection.isPartial
        ? ["table", "view", "sequence"].includes(object) && selection.has(database, name)
        : true,
    keepsRows: () => true,
    keepsServerLines: false,
    movesSequences: true,
    ...abroad === undefined ? {} : { translate: (head) => translate(head, abroad) },
    // An empty database that was there has a character set of its own.
    afterCreate: (database, rest) => {
      const step = targets.get(database);
      return step?.mode === "fill" && !selection.isPartial && !/^\s*;?\s*$/.test(rest)
        ? `\nALTER DATABASE ${quoteName(step.to)}${
          abroad === undefined ? rest : translated(rest, abroad)
        }`
        : "";
    },
    ...complaints === undefined ? {} : { note: complaints.note },
  });
}

/** MySQL computes generated columns itself, and takes `-0` for an integer, which has no sign. */
function asMysqlTakes({ isGenerated, type }: DumpedColumn): ValueEdit | undefined {
  if (isGenerated) return { to: "DEFAULT" };
  return type === "DOUBLE" || type === "FLOAT" ? { from: "-0", to: "-0e0" } : undefined;
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

async function feed(
  tool: ClientTool,
  address: MysqlAddress,
  isEncrypted: boolean,
  bytes: Bytes,
  options: RestoreOptions,
  complaints: Complaints | undefined,
  o: Context,
): Promise<void> {
  const args = [
    "--batch",
    "--binary-mode",
    // A new connection would know nothing of the settings that the dump begins with.
    "--skip-reconnect",
    // Statements hold data, which belongs into no log.
    ...tool.flavour === "MariaDB" ? ["--loose-skip-print-query-on-error"] : [],
    ...complaints === undefined ? [] : ["--force"],
    ...options.restoreArgs,
  ];
  const spec = {
    ...toolSpec(tool, address, isEncrypted, args),
    input: bytes,
    ...complaints === undefined ? {} : { onStderr: complaints.hear },
  };
  try {
    await childText(spec, o);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw failure(tool, complaint(error), error);
  }
  const lost = complaints?.lost();
  if (lost !== undefined) throw failure(tool, lost);
}

function failure({ name }: ClientTool, message: string, cause?: ChildError): BackupError {
  return new BackupError("restore/failed", `${name} failed: ${message}`, {
    ...cause === undefined ? {} : { cause, details: { stderr: cause.exit.stderr } },
    hint:
      "Its whole output is in the log at --log-level debug. With --keep-going a restore goes on " +
      "after statements that fail.",
  });
}

/**
 * @param isFailed whether statements failed, which explain what differs
 * @throws BackupError `restore/incomplete`
 */
async function compare(
  client: Client,
  { foldsNames }: Server,
  { steps }: RestorePlan,
  selection: Selection,
  isFailed: boolean,
  options: RestoreOptions,
  o: Context,
): Promise<InventoryDifference[]> {
  const pairs = [];
  for (const { from, to } of steps) {
    const expected = selection.databases.find(({ database }) => database === from);
    if (expected === undefined) continue;
    const live = await readInventory(client, to, o);
    const found = selection.isPartial
      ? partOf(live, (name) => isChosen(selection, from, name, foldsNames))
      : { ...live, objects: live.objects.filter(({ name }) => name !== markerTable) };
    pairs.push(
      foldsNames ? { expected: folded(expected), found: folded(found) } : { expected, found },
    );
  }
  const differences = compareInventories(pairs);
  const isAccepted = options.isDifferenceAccepted || isFailed;
  if (!isAccepted && !selection.isPartial && differences.some(({ isFailure }) => isFailure)) {
    for (const { to } of steps) {
      const own = differences.filter(({ database, isFailure }) => isFailure && database === to);
      await mark(client, to, options.backupId, own, o).catch((error) => {
        o.signal.throwIfAborted();
        // The difference is what matters; without the mark, accepting it restores again.
        o.runtime.log.warn("Database {to} could not be marked: {error}", {
          to,
          error: String(error),
        });
      });
    }
  }
  assertRestored(differences, { left: steps.map(leftover), isAccepted });
  return differences;
}

/** Whether a table of the target is one that was asked for. */
function isChosen(
  { databases, has }: Selection,
  database: string,
  name: string,
  foldsNames: boolean,
): boolean {
  if (!foldsNames) return has(database, name);
  const { objects = [] } = databases.find((one) => one.database === database) ?? {};
  return objects.some((object) => object.name.toLowerCase() === name.toLowerCase());
}

/** As a server sees it to which upper and lower case are one in names of tables. */
function folded({ database, objects }: DatabaseInventory): DatabaseInventory {
  return {
    database,
    objects: objects.map((object) =>
      ["table", "view", "sequence"].includes(object.type)
        ? { ...object, name: object.name.toLowerCase() }
        : object
    ),
  };
}
