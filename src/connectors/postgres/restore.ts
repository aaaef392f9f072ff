import { type Abortable, collectText } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
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
  type InventoryObject,
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
  databaseStatements,
  dropDatabase,
  dropUnfinished,
  runInside,
} from "./create.ts";
import { readInventory, templateExtensions } from "./inventory.ts";
import { findLeftovers, isOf, markDatabase, markInPlace, markOf, unmark } from "./leftover.ts";
import { loadArchive } from "./load.ts";
import { tellingLocks } from "./lock-watch.ts";
import { derivedName } from "./names.ts";
import { dependentTables, isPartialBackup } from "./losses.ts";
import { choosePart } from "./part.ts";
import { partOf, withoutPart } from "./part-inventory.ts";
import { arrange, finishPart, type SettledPart, settlePart } from "./part-plan.ts";
import { newDatabase } from "./present.ts";
import { onlyBackup, selectDatabases, type SelectedDatabase } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { type FailedStep, severalFailed } from "./several-failed.ts";
import type { SequenceName } from "./sequences.ts";
import { putInPlace } from "./swap.ts";
import { archiveTool } from "./target.ts";
import { findToolSets, type ToolSet, toolsForRestore } from "./tools.ts";

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
  /** Tables that the job accepted to be lost, see {@link dependentTables}. */
  readonly unrestorable: ReadonlySet<string>;
  /** Whether the backup lacks something of the database. */
  readonly isPartial: boolean;
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
  const settled = await partFor(scene, step.to, step, head, o);
  const ids = settled?.part.ids;
  await client.release(step.to);
  const renew = () => Promise.resolve();
  const { result: loaded, leftOut, made } = await tellingLocks(
    client,
    { place: scene.place, database: step.to },
    () => load(scene, source, step.to, step, head, settled, renew, o),
    o,
  );
  const finished = settled === undefined ? [] : await finishPart(client, step.to, settled, o);
  const result = { ...loaded, warnings: [...loaded.warnings, ...finished] };
  const differences = await compare(scene, source, step.to, step, head, { ids, leftOut, made }, o);
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
  await dropLeftovers(scene, step, o);
  const rows = await client.rows(place, "SELECT datname AS name FROM pg_catalog.pg_database", o);
  const present = new Set(rows.map((row) => String(row["name"])));
  const name = derivedName(step.to, `_restore_${options.backupId}`, present);
  const statements = databaseStatements(head, name, options.restoreArgs);
  const create = () =>
    createDatabase(client, place, name, mark(scene, source, step, "unfinished"), statements, o);
  await create();
  let isLoaded = false;
  try {
    const settled = await partFor(scene, name, step, head, o);
    const ids = settled?.part.ids;
    // The connection stays: by it others see that this database is being restored.
    const { result, leftOut, made } = await load(
      scene,
      source,
      name,
      step,
      head,
      settled,
      async () => {
        await dropDatabase(client, place, name);
        await create();
      },
      o,
    );
    await markDatabase(client, place, name, mark(scene, source, step, "complete"), o);
    isLoaded = true;
    await runInside(client, name, statements.after, o);
    const differences = await compare(scene, source, name, step, head, { ids, leftOut, made }, o);
    // In the place of nothing, a part is better than none.
    if (result.failures.length > 0 && step.mode === "swap") {
      await client.release(name);
      const left = [{ from: step.from, to: step.to, name }];
      return { ...result, left, differences, followUps: [] };
    }
    if (result.failures.length === 0) assertTaken(scene, step, name, differences, true);
    const followUps = await putInPlace(scene, name, step, statements, o);
    return { ...result, left: [], differences, followUps };
  } catch (error) {
    await client.release(name);
    if (isLoaded) throw kept(error, step, name);
    if (o.signal.aborted) await dropDatabase(client, place, name);
    else await dropUnfinished(client, place, name, error);
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
  const ids = options.only.length === 0
    ? undefined
    : choosePart(head, options.only, newDatabase).ids;
  const differences = await compare(scene, source, name, step, head, { ids }, o);
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
async function dropLeftovers(
  { client, place }: Scene,
  { to }: RestoreStep,
  o: Context,
): Promise<void> {
  for (const one of await findLeftovers(client, place, o)) {
    if (one.to !== to || one.name === to || one.state !== "unfinished" || one.isInUse) continue;
    await dropDatabase(client, place, one.name);
  }
}

/** The part that is asked for; undefined for everything. */
async function partFor(
  { client, options }: Scene,
  database: string,
  { mode }: RestoreStep,
  head: ArchiveHead,
  o: Context,
): Promise<SettledPart | undefined> {
  if (options.only.length === 0) return undefined;
  return await settlePart(client, database, head, options.only, mode, o);
}

async function load(
  { client, address, server, toolSets, options, unrestorable, isPartial }: Scene,
  source: SelectedDatabase,
  database: string,
  { mode, to }: RestoreStep,
  head: ArchiveHead,
  settled: SettledPart | undefined,
  renew: () => Promise<void>,
  o: Context,
) {
  const tools = toolsForRestore(toolSets, archiveTool(head), server.major, address.toolsDir);
  const serverMajor = server.major;
  const arranged = settled === undefined
    ? { head, source, ids: undefined }
    : arrange(head, source, settled);
  const order = {
    ...{ client, address, tools, serverMajor, ...arranged, database, to, mode },
    ...{ unrestorable, isPartial },
  };
  const { failures, warnings, leftOut, made } = await loadArchive({
    ...order,
    // Several workers go by sections, and would attach a partition before it has its indexes.
    options: settled?.part.attachments.length ? { ...options, jobs: 1 } : options,
    renew,
  }, o);
  return {
    result: {
      failures,
      warnings: [...warnings, ...subscriptionWarnings(head, arranged.ids, options)],
    },
    leftOut,
    made,
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
  { ids, leftOut, made = [] }: {
    ids?: ReadonlySet<number> | undefined;
    leftOut?: ReadonlySet<number>;
    made?: readonly SequenceName[];
  },
  o: Context,
): Promise<InventoryDifference[]> {
  const whole = inventories.find((one) => one.database === source.name);
  if (whole === undefined) return [];
  const expected = leftOut === undefined ? whole : withoutPart(whole, head, leftOut);
  const all = await readInventory(client, database, o);
  const isMade = ({ type, schema, name }: InventoryObject) =>
    type === "sequence" && made.some((one) => one.schema === schema && one.name === name);
  const found = { ...all, objects: all.objects.filter((one) => !isMade(one)) };
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
