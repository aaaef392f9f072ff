import { type Abortable, collectText } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { counted, shellQuote } from "../../core/text.ts";
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
  type RestoreLeftover,
} from "../../contracts/inventory.ts";
import type { Address } from "./address.ts";
import { applyAccounts } from "./apply-accounts.ts";
import { accountsFormat } from "./accounts.ts";
import { readHead } from "./archive/head.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import {
  createDatabase,
  type DatabaseStatements,
  databaseStatements,
  dropDatabase,
  runInside,
} from "./create.ts";
import { sqlState } from "./failure.ts";
import { readInventory, templateExtensions } from "./inventory.ts";
import { findLeftovers, isOf, markDatabase, markInPlace, markOf, unmark } from "./leftover.ts";
import { loadArchive } from "./load.ts";
import { derivedName, quoteName } from "./names.ts";
import { choosePart, idsFor, partOf, withoutPart } from "./part.ts";
import { onlyBackup, selectDatabases, type SelectedDatabase } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { archiveTool, assertFree, dropCommand, inUse } from "./target.ts";
import { findToolSets, type ToolSet, toolsForRestore } from "./tools.ts";

// Also after an interrupt.
const markLimitMs = 10_000;

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

/** What one step did. */
type StepResult = Omit<RestoreResult, "steps">;

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

interface FailedStep {
  readonly step: RestoreStep;
  readonly error: BackupError;
}

/** Of several databases some are restored: those stay, and the rest can be restored by itself. */
function severalFailed(
  steps: readonly RestoreStep[],
  done: readonly StepResult[],
  failed: readonly FailedStep[],
): BackupError {
  const [first] = failed;
  const untried = steps.slice(done.length + failed.length);
  const rest = [...failed.map(({ step }) => step), ...untried].map(({ from }) => from);
  const names = rest.map((name) => `--database ${shellQuote(name)}`).join(" ");
  const left = failed.flatMap(({ error }) => leftOf(error));
  const hints = [...new Set(failed.map(({ error }) => error.hint))].filter((hint) =>
    hint !== undefined
  );
  return new BackupError(
    first!.error.code,
    [
      `${counted(rest.length, "database")} of ${steps.length} could not be restored:`,
      ...failed.map(({ step, error }) => `  ${step.from}: ${error.message}`),
      ...untried.map(({ from }) => `  ${from}: not tried`),
    ].join("\n"),
    {
      cause: first!.error,
      hint: [
        ...hints,
        `${done.length === 0 ? "None" : "The others"} of the databases ` +
        `${done.length === 0 ? "is" : "are"} restored. For what is left, run it again with ` +
        `${names}.`,
      ].join("\n"),
      details: {
        failed: failed.map(({ step, error }) => ({
          from: step.from,
          to: step.to,
          code: error.code,
          message: error.message,
        })),
        rest,
        left,
        differences: failed.flatMap(({ error }) => listOf(error.details?.["differences"])),
        followUps: done.flatMap(({ followUps }) => followUps),
      },
    },
  );
}

function leftOf(error: BackupError): readonly unknown[] {
  return listOf(error.details?.["left"]);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

async function restoreStep(
  scene: Scene,
  source: SelectedDatabase,
  step: RestoreStep,
  o: Context,
): Promise<StepResult> {
  const head = await readHead(source.artifact, o);
  if (step.adopts !== undefined) return await adopt(scene, source, step, step.adopts, head, o);
  return step.mode === "fill" || step.mode === "replace"
    ? await restoreInPlace(scene, source, step, head, o)
    : await restoreBeside(scene, source, step, head, o);
}

/** Into a database that is there already. */
async function restoreInPlace(
  scene: Scene,
  source: SelectedDatabase,
  step: RestoreStep,
  head: ArchiveHead,
  o: Context,
): Promise<StepResult> {
  const { client, options } = scene;
  const ids = await partIds(scene, step.to, head, o);
  await client.release(step.to);
  const renew = () => Promise.resolve();
  const { result, leftOut } = await load(scene, source, step.to, step, head, ids, renew, o);
  const differences = await compare(scene, source, step.to, step, head, { ids, leftOut }, o);
  const isMarked = options.only.length === 0 && hasFailed(differences) &&
    !options.isDifferenceAccepted && !options.isKeepGoing &&
    await markInPlace(client, step.to, mark(scene, source, step, "complete"), o);
  await client.release(step.to);
  if (!options.isKeepGoing) assertTaken(scene, step, step.to, differences, isMarked);
  return { ...result, left: [], differences, followUps: [] };
}

/** Beside, under a name of its own, until it can take its place. */
async function restoreBeside(
  scene: Scene,
  source: SelectedDatabase,
  step: RestoreStep,
  head: ArchiveHead,
  o: Context,
): Promise<StepResult> {
  const { client, place, options } = scene;
  await dropUnfinished(scene, step, o);
  const rows = await client.rows(place, "SELECT datname AS name FROM pg_catalog.pg_database", o);
  const present = new Set(rows.map((row) => String(row["name"])));
  const name = derivedName(step.to, `_restore_${options.backupId}`, present);
  const statements = databaseStatements(head, name, options.restoreArgs);
  const create = () =>
    createDatabase(client, place, name, mark(scene, source, step, "unfinished"), statements, o);
  await create();
  let isLoaded = false;
  try {
    const ids = await partIds(scene, name, head, o);
    // The connection stays: by it others see that this database is being restored.
    const { result, leftOut } = await load(scene, source, name, step, head, ids, async () => {
      await dropDatabase(client, place, name);
      await create();
    }, o);
    isLoaded = true;
    await markDatabase(client, place, name, mark(scene, source, step, "complete"), o);
    await runInside(client, name, statements.after, o);
    const differences = await compare(scene, source, name, step, head, { ids, leftOut }, o);
    if (result.failures.length > 0) {
      await client.release(name);
      const left = [{ from: step.from, to: step.to, name }];
      return { ...result, left, differences, followUps: [] };
    }
    assertTaken(scene, step, name, differences, true);
    const followUps = await putInPlace(scene, name, step, statements, o);
    return { ...result, left: [], differences, followUps };
  } catch (error) {
    await client.release(name);
    if (isLoaded) throw kept(error, step, name);
    await dropDatabase(client, place, name);
    throw error;
  }
}

/** Takes what an earlier restore of this backup left, as it is. */
async function adopt(
  scene: Scene,
  source: SelectedDatabase,
  step: RestoreStep,
  name: string,
  head: ArchiveHead,
  o: Context,
): Promise<StepResult> {
  const { client, place, options } = scene;
  const wanted = mark(scene, source, step, "complete");
  const found = (await findLeftovers(client, place, o)).find((one) =>
    one.name === name && isOf(one, wanted)
  );
  if (found === undefined) {
    throw new BackupError("restore/failed", `"${name}" is no longer what the restore left`, {
      hint: "Run the restore again, without --accept-differences.",
    });
  }
  const differences = await compare(scene, source, name, step, head, {}, o);
  const nothing = { failures: [], left: [], warnings: [], differences };
  if (name === step.to) {
    await unmark(client, found, o);
    await client.release(name);
    return { ...nothing, followUps: [] };
  }
  const statements = databaseStatements(head, name, options.restoreArgs);
  return { ...nothing, followUps: await putInPlace(scene, name, step, statements, o) };
}

function mark(
  { options }: Scene,
  { artifact }: SelectedDatabase,
  step: RestoreStep,
  state: "unfinished" | "complete",
) {
  return markOf(step, artifact, options, state);
}

/** What killed restores of this database left is half of something, and only in the way. */
async function dropUnfinished(
  { client, place }: Scene,
  { to }: RestoreStep,
  o: Context,
): Promise<void> {
  for (const one of await findLeftovers(client, place, o)) {
    if (one.to !== to || one.name === to || one.state !== "unfinished" || one.isInUse) continue;
    await dropDatabase(client, place, one.name);
  }
}

/** The dump ids of the part that is asked for; undefined for everything. */
async function partIds(
  { client, options }: Scene,
  database: string,
  head: ArchiveHead,
  o: Context,
): Promise<ReadonlySet<number> | undefined> {
  if (options.only.length === 0) return undefined;
  return await idsFor(client, database, choosePart(head, options.only), o);
}

async function load(
  { client, address, server, toolSets, options }: Scene,
  source: SelectedDatabase,
  database: string,
  { mode, to }: RestoreStep,
  head: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
  renew: () => Promise<void>,
  o: Context,
) {
  const tools = toolsForRestore(toolSets, archiveTool(head), server.major, address.toolsDir);
  const serverMajor = server.major;
  const order = { client, address, tools, serverMajor, source, head, ids, database, to, mode };
  const { failures, warnings, leftOut } = await loadArchive({ ...order, options, renew }, o);
  return {
    result: { failures, warnings: [...warnings, ...subscriptionWarnings(head, ids, options)] },
    leftOut,
  };
}

/** pg_dump has a restore make subscriptions that do nothing: two of one slot would spoil each other. */
function subscriptionWarnings(
  { entries }: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
  { restoreArgs }: RestoreOptions,
): string[] {
  if (ids !== undefined || restoreArgs.includes("--no-subscriptions")) return [];
  const names = entries.filter(({ description }) => description === "SUBSCRIPTION")
    .map(({ tag }) => tag);
  return names.length === 0 ? [] : [
    `The subscription ${names.join(", ")} is disabled, as pg_dump makes them: ` +
    "ALTER SUBSCRIPTION … ENABLE, when this database is to take the place of the one backed up",
  ];
}

/** The differences of a restored database from the inventory. */
async function compare(
  { client, inventories }: Scene,
  source: SelectedDatabase,
  database: string,
  step: RestoreStep,
  head: ArchiveHead,
  { ids, leftOut }: { ids?: ReadonlySet<number> | undefined; leftOut?: ReadonlySet<number> },
  o: Context,
): Promise<InventoryDifference[]> {
  const whole = inventories.find((one) => one.database === source.name);
  if (whole === undefined) return [];
  const expected = leftOut === undefined ? whole : withoutPart(whole, head, leftOut);
  const found = await readInventory(client, database, o);
  const given = (await templateExtensions(client, database, o)).filter(({ name }) =>
    expected.objects.some((one) => one.type === "extension" && one.name === name)
  );
  return compareInventories([{
    expected: ids === undefined ? expected : partOf(expected, head, ids),
    found: {
      objects: [...(ids === undefined ? found : partOf(found, head, ids)).objects, ...given],
      database: step.to,
    },
  }]);
}

function hasFailed(differences: readonly InventoryDifference[]): boolean {
  return differences.some(({ isFailure }) => isFailure);
}

/** @throws BackupError `restore/incomplete`, with where what was restored is */
function assertTaken(
  { options }: Scene,
  { from, to }: RestoreStep,
  name: string,
  differences: readonly InventoryDifference[],
  isMarked: boolean,
): void {
  const left: RestoreLeftover[] = isMarked ? [{ from, to, name }] : [];
  assertRestored(differences, { target: to, left, isAccepted: options.isDifferenceAccepted });
}

/** A failure after everything was loaded: that is kept, and the next restore can take it. */
function kept(error: unknown, { from, to }: RestoreStep, name: string): unknown {
  if (!(error instanceof Error) || hasCode(error, "restore/incomplete")) return error;
  const known = error instanceof BackupError ? error : undefined;
  return new BackupError(known?.code ?? "restore/failed", error.message, {
    cause: error,
    hint: `${known?.hint === undefined ? "" : `${known.hint} `}What was restored for "${to}" is ` +
      `whole, as "${name}". Run the same restore again with --accept-differences: it takes that, ` +
      "and restores nothing again.",
    details: { ...known?.details, left: [{ from, to, name }] },
  });
}

/**
 * Gives a restored database its name, and the old one that which it is kept under: both or none.
 *
 * @returns follow-ups
 */
async function putInPlace(
  { client, place, address }: Scene,
  name: string,
  { to, mode, keptAs }: RestoreStep,
  { comment }: DatabaseStatements,
  o: Context,
): Promise<string[]> {
  const isSwap = mode === "swap";
  if (isSwap) await assertFree(client, place, to, o);
  // Its own comment in place of the mark, which comes back when the renaming fails.
  const [before] = (await findLeftovers(client, place, o)).filter((one) => one.name === name);
  const none = `COMMENT ON DATABASE ${quoteName(name)} IS NULL`;
  await runInside(client, name, comment.length === 0 ? [none] : comment, o);
  await client.release(name);
  try {
    await assertFree(client, place, name, o);
    // Sent as one text, the two run in one transaction.
    await client.rows(
      place,
      [
        ...isSwap ? [`ALTER DATABASE ${quoteName(to)} RENAME TO ${quoteName(keptAs!)}`] : [],
        `ALTER DATABASE ${quoteName(name)} RENAME TO ${quoteName(to)}`,
      ].join(";\n"),
      o,
    );
  } catch (error) {
    const again = { ...o, signal: AbortSignal.timeout(markLimitMs) };
    if (before !== undefined) {
      await markDatabase(client, place, name, before, again).catch(() => {});
    }
    if (sqlState(error) === "55006") throw inUse(to, [], error);
    if (sqlState(error) === undefined || !(error instanceof Error)) throw error;
    throw new BackupError("restore/failed", `Cannot rename "${name}": ${error.message}`, {
      cause: error,
      hint: "Renaming takes the owner of the database, with CREATEDB, or a superuser.",
    });
  }
  return keptAs === undefined ? [] : [dropCommand(address, place, keptAs)];
}
