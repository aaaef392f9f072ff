import { type Abortable, type Bytes, collect } from "../../core/bytes.ts";
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
  type InventoryDifference,
} from "../../contracts/inventory.ts";
import {
  accountName,
  accountsFormat,
  type AccountStatements,
  listAccounts,
  parseAccounts,
} from "./accounts.ts";
import type { MysqlAddress } from "./address.ts";
import { type Client, quoteName } from "./client.ts";
import { readInventory } from "./inventory.ts";
import { rewriteDump } from "./rewrite.ts";
import { partOf, select, type Selection } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { type ClientTool, complaint, requireTool, toolSpec } from "./tools.ts";
import { dumpFormat } from "./walker.ts";

type Context = Abortable & { readonly runtime: Runtime };

/**
 * Restores with mysql or mariadb and compares with the inventory. Which databases and tables, and
 * under which names, is decided by rewriting the dump on its way.
 *
 * @throws BackupError `restore/failed`, `restore/incomplete`, `dump/tool-missing`
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
  const tool = await requireTool("restore", server, address, o);
  const isEncrypted = await client.isEncrypted(o);
  const accounts = options.isWithAccounts ? await openAccounts(selection, client, server, o) : [];
  const warnings = await createAccounts(accounts, client, o);
  for (const step of plan.steps) {
    if (step.mode === "replace") await clear(client, step, selection, o);
  }
  try {
    for (const artifact of selection.backup.artifacts) {
      if (!isWanted(artifact, selection)) continue;
      await feed(tool, address, isEncrypted, chosen(artifact, plan, selection, o), options, o);
    }
  } catch (error) {
    await undo(client, plan, selection, o);
    throw error;
  }
  warnings.push(...await grantAccounts(accounts, client, o));
  const differences = await compare(client, plan, selection, options, o);
  const done = { steps: plan.steps, failures: [], left: [], differences, isCompared: true };
  return { ...done, warnings, followUps: [] };
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
  { steps }: RestorePlan,
  selection: Selection,
  o: Context,
): Bytes {
  const targets = new Map(steps.map((step) => [step.from, step]));
  return rewriteDump(artifact.open(o), {
    rename: (database) => targets.get(database)?.to,
    keeps: (database, object, name) =>
      selection.isPartial
        ? ["table", "view", "sequence"].includes(object) && selection.has(database, name)
        : true,
    keepsRows: () => true,
    keepsServerLines: false,
    // An empty database that was there has a character set of its own.
    afterCreate: (database, rest) => {
      const step = targets.get(database);
      return step?.mode === "fill" && !selection.isPartial && !/^\s*;?\s*$/.test(rest)
        ? `\nALTER DATABASE ${quoteName(step.to)}${rest}`
        : "";
    },
  });
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

/** Removes what a failed restore left in databases that were not there, or empty, before. */
async function undo(
  client: Client,
  { steps }: RestorePlan,
  { isPartial }: Selection,
  o: Context,
): Promise<void> {
  // An interruption must not keep us from cleaning up.
  const signal = o.signal.aborted ? new AbortController().signal : o.signal;
  for (const { to, mode } of steps) {
    if (mode === "replace" || (mode === "fill" && isPartial)) continue;
    const name = quoteName(to);
    try {
      const [row] = mode === "fill"
        ? await client.query(`SHOW CREATE DATABASE ${name}`, { signal })
        : [];
      await client.query(`DROP DATABASE IF EXISTS ${name}`, { signal });
      if (row !== undefined) await client.query(String(Object.values(row)[1]), { signal });
    } catch (error) {
      // The failure itself matters more than one to clean up, which may have the same cause.
      o.runtime.log.warn("Database {to} could not be emptied again: {error}", {
        to,
        error: String(error),
      });
    }
  }
}

async function feed(
  tool: ClientTool,
  address: MysqlAddress,
  isEncrypted: boolean,
  bytes: Bytes,
  options: RestoreOptions,
  o: Context,
): Promise<void> {
  const args = ["--batch", "--binary-mode", ...options.restoreArgs];
  const spec = { ...toolSpec(tool, address, isEncrypted, args), input: bytes };
  try {
    await childText(spec, o);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new BackupError("restore/failed", `${tool.name} failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: "Its whole output is in the log at --log-level debug.",
    });
  }
}

interface OpenAccount extends AccountStatements {
  /** Whether the target has it, so that it is left as it is. */
  readonly isThere: boolean;
}

async function openAccounts(
  { backup }: Selection,
  client: Client,
  server: Server,
  o: Context,
): Promise<OpenAccount[]> {
  const artifact = backup.artifacts.find(({ role }) => role === "accounts");
  if (artifact?.format !== accountsFormat.id) return [];
  const present = new Set((await listAccounts(client, server, o)).map(accountName));
  return parseAccounts(await collect(artifact.open(o))).map((account) => ({
    ...account,
    isThere: present.has(account.name),
  }));
}

async function createAccounts(
  accounts: readonly OpenAccount[],
  client: Client,
  o: Abortable,
): Promise<string[]> {
  const kept = accounts.filter(({ isThere }) => isThere).map(({ name }) => name);
  const warnings = kept.length === 0
    ? []
    : [`These accounts were there and are left as they are: ${kept.join(", ")}`];
  for (const account of accounts) {
    if (!account.isThere) warnings.push(...await run(account.create, account, client, o));
  }
  return warnings;
}

async function grantAccounts(
  accounts: readonly OpenAccount[],
  client: Client,
  o: Abortable,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const account of accounts.filter(({ isThere }) => !isThere)) {
    for (const grant of account.grants) warnings.push(...await run(grant, account, client, o));
  }
  return warnings;
}

/** A grant on a table that was not restored cannot be given; the rest still can. */
async function run(
  statement: string,
  { name }: OpenAccount,
  client: Client,
  o: Abortable,
): Promise<string[]> {
  try {
    await client.query(statement, o);
    return [];
  } catch (error) {
    o.signal.throwIfAborted();
    const what = statement.startsWith("CREATE") ? "made" : "given all of its grants";
    return [
      `Account ${name} could not be ${what}: ${error instanceof Error ? error.message : error}`,
    ];
  }
}

async function compare(
  client: Client,
  { steps }: RestorePlan,
  selection: Selection,
  options: RestoreOptions,
  o: Abortable,
): Promise<InventoryDifference[]> {
  const pairs = [];
  for (const { from, to } of steps) {
    const expected = selection.databases.find(({ database }) => database === from);
    if (expected === undefined) continue;
    const live = await readInventory(client, to, o);
    const found = selection.isPartial ? partOf(live, (name) => selection.has(from, name)) : live;
    pairs.push({ expected, found });
  }
  const differences = compareInventories(pairs);
  assertRestored(differences, {
    left: steps.map(({ from, to }) => ({ from, to, name: to })),
    isAccepted: options.isDifferenceAccepted,
  });
  return differences;
}
