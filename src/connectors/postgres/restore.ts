import { open } from "node:fs/promises";
import { join } from "node:path";
import { type Abortable, type Bytes, collectText } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { withTempDir } from "../../core/temp.ts";
import { shellQuote } from "../../core/text.ts";
import type {
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
} from "../../contracts/inventory.ts";
import type { Address } from "./address.ts";
import { applyAccounts } from "./apply-accounts.ts";
import { accountsFormat } from "./accounts.ts";
import { readHead } from "./archive/head.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { sqlState } from "./failure.ts";
import { createDatabase, dropDatabase } from "./create.ts";
import { readInventory, templateExtensions } from "./inventory.ts";
import { databaseArgument, derivedName, quoteName } from "./names.ts";
import { choosePart, idsFor, partOf } from "./part.ts";
import { onlyBackup, selectDatabases, type SelectedDatabase } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { archiveTool, assertFree, inUse } from "./target.ts";
import { noteObjects } from "./undo.ts";
import { complaint, findToolSets, type ToolSet, toolsForRestore, toolSpec } from "./tools.ts";

const undoLimitMs = 60_000;

type Context = Abortable & { readonly runtime: Runtime };

/** What every step of one restore needs. */
interface Scene {
  readonly client: Client;
  readonly address: Address;
  readonly server: Server;
  readonly toolSets: readonly ToolSet[];
  /** A database to give orders from; none of those that are restored. */
  readonly place: string;
  readonly options: RestoreOptions;
  readonly inventories: readonly DatabaseInventory[];
}

/**
 * Restores with pg_restore: into a new or empty database, or beside and then swapped in by rename.
 * Every database is compared with the inventory before it takes the old one's place.
 *
 * @throws BackupError `restore/failed`, `restore/incomplete`, `restore/in-use`
 */
export async function restore(
  client: Client,
  address: Address,
  chain: RestorableChain,
  plan: RestorePlan,
  options: RestoreOptions,
  o: Context,
): Promise<RestoreResult> {
  const { artifacts, inventory } = onlyBackup(chain);
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
  };
  const warnings: string[] = [];
  const accounts = artifacts.find(({ role }) => role === "accounts");
  if (options.isWithAccounts && accounts?.format === accountsFormat.id) {
    const sql = await collectText(accounts.open(o), 256 * 1024 * 1024);
    warnings.push(...await applyAccounts(client, place, sql, o));
  }
  const differences: InventoryDifference[] = [];
  const followUps: string[] = [];
  for (const step of plan.steps) {
    differences.push(...await restoreStep(scene, wanted.get(step.from)!, step, o));
    if (step.keptAs !== undefined) followUps.push(dropCommand(address, place, step.keptAs));
  }
  const done = { steps: plan.steps, failures: [], left: [], differences, isCompared: true };
  return { ...done, warnings, followUps };
}

async function restoreStep(
  scene: Scene,
  source: SelectedDatabase,
  step: RestoreStep,
  o: Context,
): Promise<InventoryDifference[]> {
  const { client, place, options } = scene;
  const head = await readHead(source.artifact, o);
  if (step.mode === "fill" || step.mode === "replace") {
    return await load(scene, source, step.to, step, head, o);
  }
  const rows = await client.rows(place, "SELECT datname AS name FROM pg_catalog.pg_database", o);
  const present = new Set(rows.map((row) => String(row["name"])));
  const name = step.mode === "create"
    ? step.to
    : derivedName(step.to, `_restore_${options.backupId}`, present);
  await createDatabase(client, place, name, head, options.restoreArgs, o);
  try {
    const differences = await load(scene, source, name, step, head, o);
    if (step.mode === "swap") await swap(scene, name, step, o);
    return differences;
  } catch (error) {
    await dropDatabase(client, place, name);
    throw error;
  }
}

/** Loads an archive into a database and compares. */
async function load(
  scene: Scene,
  source: SelectedDatabase,
  database: string,
  step: RestoreStep,
  head: ArchiveHead,
  o: Context,
): Promise<InventoryDifference[]> {
  const { client, options, inventories } = scene;
  const part = options.only.length === 0 ? undefined : choosePart(head, options.only);
  const ids = part === undefined ? undefined : await idsFor(client, database, part, o);
  await client.release(database);
  await runTool(scene, source, database, step, head, ids, o);
  const expected = inventories.find((one) => one.database === source.name);
  if (expected === undefined) return [];
  const found = await readInventory(client, database, o);
  const given = (await templateExtensions(client, database, o)).filter(({ name }) =>
    expected.objects.some((one) => one.type === "extension" && one.name === name)
  );
  await client.release(database);
  const wanted = ids === undefined ? expected : partOf(expected, head, ids);
  const differences = compareInventories([{
    expected: wanted,
    found: {
      objects: [...(ids === undefined ? found : partOf(found, head, ids)).objects, ...given],
      database: step.to,
    },
  }]);
  assertRestored(differences, {
    target: step.to,
    left: [{ from: step.from, to: step.to, name: database }],
    isAccepted: options.isDifferenceAccepted,
  });
  return differences;
}

async function runTool(
  scene: Scene,
  { artifact }: SelectedDatabase,
  database: string,
  step: RestoreStep,
  head: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
  o: Context,
): Promise<void> {
  const { address, options, server, toolSets } = scene;
  const tools = toolsForRestore(toolSets, archiveTool(head), server.major, address.toolsDir);
  // pg_restore 17 and newer set a parameter that older servers do not know, and go on after that.
  const isForgiving = tools.major >= 17 && server.major < 17;
  const isParallel = options.jobs > 1 && step.mode !== "replace";
  // In a database that stays, a failure leaves nothing behind.
  const isOneTransaction = !isForgiving && !isParallel &&
    (step.mode === "fill" || step.mode === "replace");
  const spec = toolSpec(tools, "pg_restore", address, database, [
    databaseArgument(database),
    ...isForgiving ? [] : ["--exit-on-error"],
    ...isOneTransaction ? ["--single-transaction"] : [],
    ...isParallel ? [`--jobs=${options.jobs}`] : [],
    ...step.mode === "replace" ? ["--clean", "--if-exists"] : [],
    ...ids === undefined ? [] : ["--use-list=/dev/fd/LIST"],
    ...options.restoreArgs,
  ]);
  // The list is the second file without a name when there is a password, else the first.
  const files = [...spec.secretFiles ?? [], ...ids === undefined ? [] : [listOf(head, ids)]];
  const args = spec.args.map((arg) =>
    arg.replace(/^(--use-list=\/dev\/fd\/)LIST$/, `$1${2 + files.length}`)
  );
  const run = async (more: { input: Bytes } | { file: string }) => {
    const isPiped = "input" in more;
    try {
      await childText({
        ...spec,
        args: isPiped ? args : [...args, more.file],
        secretFiles: files,
        ...isPiped ? { input: more.input } : {},
      }, o);
    } catch (error) {
      if (!(error instanceof ChildError)) throw error;
      if (isForgiving && isOnlyUnknownParameter(error.exit.stderr)) return;
      throw new BackupError("restore/failed", `pg_restore failed: ${complaint(error)}`, {
        cause: error,
        details: { stderr: error.exit.stderr },
        hint: hintFor(error.exit.stderr),
      });
    }
  };
  const runAll = async () => {
    if (!isParallel) return await run({ input: artifact.open(o) });
    // Parallel workers read a file from several places at once.
    await withTempDir(o.runtime, artifact.rawBytes, async (folder) => {
      const file = join(folder, "archive.pgdump");
      await writeFile(file, artifact.open(o));
      await run({ file });
    });
  };
  if (step.mode !== "fill" || isOneTransaction) return await runAll();
  await undoingFailure(scene.client, database, runAll, o);
}

/** What one transaction would do: a database that stays is left as it was found. */
async function undoingFailure(
  client: Client,
  database: string,
  use: () => Promise<void>,
  o: Context,
): Promise<void> {
  const undo = await noteObjects(client, database, o);
  await client.release(database);
  try {
    await use();
  } catch (error) {
    // Also after an interrupt.
    await undo({ signal: AbortSignal.timeout(undoLimitMs) }).catch((failure) =>
      o.runtime.log.warn("Cannot take away what the restore made in {database}: {error}", {
        database,
        error: String(failure),
      })
    );
    throw error;
  } finally {
    await client.release(database);
  }
}

/** The list of `pg_restore -L`, in the archive's own order: only the ids count. */
function listOf({ entries }: ArchiveHead, ids: ReadonlySet<number>): string {
  return entries.filter(({ dumpId }) => ids.has(dumpId)).map(({ dumpId }) => `${dumpId};\n`)
    .join("");
}

async function writeFile(path: string, bytes: Bytes): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    for await (const chunk of bytes) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

function isOnlyUnknownParameter(stderr: string): boolean {
  return /errors ignored on restore: 1$/m.test(stderr) &&
    /unrecognized configuration parameter "transaction_timeout"/.test(stderr);
}

function hintFor(stderr: string): string {
  if (/must be (owner|member|able to SET ROLE)|permission denied to set role/i.test(stderr)) {
    return "Restore as a superuser, or make all objects your own: --restore-arg=--no-owner.";
  }
  if (/out of shared memory|max_locks_per_transaction/i.test(stderr)) {
    return "Raise max_locks_per_transaction on the target, or restore with --jobs 2.";
  }
  if (/extension .* is not available|could not open extension control file/i.test(stderr)) {
    return "Install the extension on the target's machine first.";
  }
  return "Its whole output is in the log at --log-level debug. What was there before still is.";
}

/** Puts the restored database in the old one's place: both renames or none. */
async function swap(
  { client, place }: Scene,
  beside: string,
  { to, keptAs }: RestoreStep,
  o: Context,
): Promise<void> {
  await assertFree(client, place, to, o);
  await client.release(beside);
  try {
    // Sent as one text, the two run in one transaction.
    await client.rows(
      place,
      `ALTER DATABASE ${quoteName(to)} RENAME TO ${quoteName(keptAs!)};
       ALTER DATABASE ${quoteName(beside)} RENAME TO ${quoteName(to)}`,
      o,
    );
  } catch (error) {
    if (sqlState(error) === "55006") throw inUse(to, [], error);
    if (sqlState(error) === undefined || !(error instanceof Error)) throw error;
    throw new BackupError("restore/failed", `Cannot rename "${to}": ${error.message}`, {
      cause: error,
      hint: "Renaming takes the owner of the database, with CREATEDB, or a superuser.",
    });
  }
}

/** How to drop what was kept. */
function dropCommand({ hosts, user }: Address, place: string, name: string): string {
  const [first] = hosts;
  return [
    "psql",
    ...["-h", shellQuote(first!.host), "-p", String(first!.port), "-U", shellQuote(user)],
    ...["-d", shellQuote(place), "-c", shellQuote(`DROP DATABASE ${quoteName(name)}`)],
  ].join(" ");
}
