import { chainOf } from "../../catalog/catalog.ts";
import { markName } from "../../catalog/mark-names.ts";
import { addMark, removeMark } from "../../catalog/marks.ts";
import { momentId, newBackupId } from "../../catalog/names.ts";
import { defaultStallTimeoutMs } from "../../config/model.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import type { Connector } from "../../contracts/connector.ts";
import type {
  RestorableBackup,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
  RestoreStep,
} from "../../contracts/restore.ts";
import { checked } from "../../contracts/refusal.ts";
import type { Until } from "../../contracts/changes.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import { drain } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { canonicalJson } from "../../core/json.ts";
import type { Lock } from "../../core/lock.ts";
import { type ChainSource, chainSource } from "./chain-source.ts";
import { chooseBackup } from "./choose-backup.ts";
import { closeDestinations, openDestinations } from "../shared/destinations.ts";
import { findBackups, type FoundBackup } from "../shared/find.ts";
import { listedCopies } from "../list/list.ts";
import { backupHolds, restoreHolds, withDatabases } from "../shared/database-lock.ts";
import { keepBackups } from "../shared/lock.ts";
import { createMeter, type Meter } from "../shared/progress.ts";
import { createSummarizer } from "../list/summary.ts";
import type { ShownBackup } from "../list/types.ts";
import { isRestored } from "../shared/roles.ts";
import type {
  DrilledMark,
  PreparedRestore,
  PrepareRestore,
  RestoredLink,
  RestoreRequest,
} from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** Finds a backup and plans its restore, touching nothing. See {@link PrepareRestore}. */
export const prepareRestore: PrepareRestore = async (request, o) => {
  const { open, failed } = await openDestinations(request.destinations, o);
  let connector: Connector | undefined;
  let kept: Lock | undefined;
  const close = async () => {
    kept?.release();
    // What was restored stands, whether the server answers to the last or not.
    await connector?.close().catch((error: unknown) => {
      o.runtime.log.warn("The connection to the target did not close cleanly: {error}", { error });
    });
    await closeDestinations(open);
  };
  try {
    if (open.length === 0) throw failed[0]!.error;
    const { found, failed: unlisted, warnings } = await findBackups(open, o);
    if (unlisted.length === open.length) throw unlisted[0]!.error;
    const unopened = failed.map(({ name, error }) =>
      `Destination "${name}" is left out: ${error.message}`
    );
    for (const warning of [...unopened, ...warnings]) o.runtime.log.warn("{warning}", { warning });
    const { backup: choice, until } = await chooseBackup(
      found,
      [...failed, ...unlisted],
      request,
      o,
    );
    kept = await keepChain(choice, found, o);
    const meter = createMeter(o);
    const source = chainSource(choice, found, request, meter, o);
    const chain = request.makePlace === undefined ? undefined : await source.open();
    const target = chain === undefined
      ? request.target
      : { ...request.target, options: await request.makePlace!(chain) };
    connector = await openWithLimits(target, { answerMs: defaultStallTimeoutMs }, o);
    const scene = { request, choice, until, source, connector, meter };
    const lastDrill = lastDrillOf(choice, found);
    return { ...await plan(scene, chain, close, o), ...lastDrill && { lastDrill } };
  } catch (error) {
    await close();
    throw error;
  }
};

/** Keeps prune away from the backup and all that it builds on, wherever these may be read from. */
async function keepChain(
  choice: FoundBackup,
  found: readonly FoundBackup[],
  o: JobContext,
): Promise<Lock> {
  const refs = chainOf(found.map(({ ref }) => ref), choice.ref);
  const links = found.filter(({ ref }) => refs.some(({ prefix }) => prefix === ref.prefix));
  const locks: Lock[] = [];
  const release = () => locks.forEach((lock) => lock.release());
  try {
    for (const job of new Set(links.map(({ ref }) => ref.job))) {
      const locations = links.filter(({ ref }) => ref.job === job).flatMap(({ copies }) =>
        copies.map(({ destination }) => destination.storage.location)
      );
      locks.push(await keepBackups({ job, locations }, o));
    }
    return { release };
  } catch (error) {
    release();
    throw error;
  }
}

/** A restore whose backup is chosen. */
interface Scene {
  readonly request: RestoreRequest;
  readonly choice: FoundBackup;
  readonly until: Until | undefined;
  readonly source: ChainSource;
  readonly connector: Connector;
  readonly meter: Meter;
}

async function plan(
  scene: Scene,
  opened: RestorableChain | undefined,
  close: () => Promise<void>,
  o: JobContext,
): Promise<PreparedRestore> {
  const { request, choice, until, source, connector, meter } = scene;
  const chain = opened ?? await source.open();
  const { manifest } = chain.at(-1)!;
  const links = chain.map(linkOf);
  const refusals: BackupError[] = [];
  const options: RestoreOptions = {
    ...restoreOptions(scene, manifest),
    ...scene.request.isDryRun === true
      ? { onRefusal: (refusal: BackupError) => void refusals.push(refusal) }
      : {},
  };
  meter.stage("plan");
  const restorePlan = await connector.planRestore(chain, options, o).catch(async (error) => {
    if (hasCode(error, "restore/in-use")) await assertNoRun(connector, manifest, o);
    throw error;
  });
  if (scene.request.isDryRun === true) {
    await checked(() => assertIdle(restorePlan, manifest, connector, o), options);
  }
  return {
    refusals,
    backup: asListed(choice, manifest),
    manifest,
    from: source.from().join(", "),
    links,
    storedBytes: links.reduce((sum, one) => sum + one.storedBytes, 0),
    ...request.at === undefined ? {} : { asked: request.at },
    ...until === undefined ? {} : { until },
    plan: restorePlan,
    close,
    async mark(mark) {
      const { destination: { storage }, ref } = source.lastCopy();
      await addMark(storage, ref, mark, o);
      const outdated = ref.marks.filter((old) =>
        old.type === mark.type && markName(old) !== markName(mark)
      );
      for (const old of outdated) await removeMark(storage, ref, old, o);
    },
    async run() {
      const run = newBackupId(o.runtime.random);
      const what = `restore of backup ${manifest.id}`;
      const holds = restoreHolds(restorePlan, connector.location);
      const first = { chain, plan: restorePlan };
      return await withDatabases(
        { run, what, holds },
        o,
        () => carryOut(first, options, scene, o),
      );
    },
  };
}

/** @throws BackupError `locked/database` while another run goes into or out of the databases */
async function assertIdle(
  plan: RestorePlan,
  { id }: Manifest,
  { location }: Connector,
  o: JobContext,
): Promise<void> {
  const use = { run: newBackupId(o.runtime.random), what: `restore of backup ${id}` };
  await withDatabases({ ...use, holds: restoreHolds(plan, location) }, o, async () => {});
}

/**
 * Tells of a run that has the database by its name: its connections are nothing to be ended.
 *
 * @throws BackupError `locked/database`
 */
async function assertNoRun(
  connector: Connector,
  manifest: Manifest,
  o: JobContext,
): Promise<void> {
  try {
    const info = await connector.inspect(o);
    const holds = backupHolds(info, await connector.databases(o), connector.location);
    const what = `restore of backup ${manifest.id}`;
    await withDatabases({ run: newBackupId(o.runtime.random), what, holds }, o, async () => {});
  } catch (error) {
    if (hasCode(error, "locked/database")) throw error;
  }
}

/**
 * Plans again now that nobody else uses the databases, and goes on only when that comes out as it was
 * confirmed. Restores, and begins again with another copy where one cannot be read: as long as nothing was
 * touched, or what was there is there again, which a plan that comes out the same proves.
 */
async function carryOut(
  first: { readonly chain: RestorableChain; readonly plan: RestorePlan },
  options: RestoreOptions,
  { source, connector, meter }: Scene,
  o: JobContext,
): Promise<RestoreResult> {
  let { chain, plan } = first;
  let isSame = false;
  const given: string[] = [];
  for (;;) {
    try {
      if (!isSame) plan = asConfirmed(first.plan, await connector.planRestore(chain, options, o));
      isSame = true;
      if (plan.isCheckedFirst) await readWhole(chain, plan, meter, o);
      meter.stage("restore", totalBytes(chain));
      const result = await connector.restore(chain, plan, options, o);
      return {
        ...result,
        isCompared: result.isCompared === true && isKnown(chain, plan),
        warnings: [...given, ...result.warnings],
      };
    } catch (error) {
      // A connector that was interrupted says what it left.
      if (o.signal.aborted && hasCode(error, "interrupted/")) throw error;
      o.signal.throwIfAborted();
      const why = await source.fallBack();
      if (why === undefined) throw error;
      const next = await planAgain(options, source, connector, o);
      if (next === undefined || !isAsBefore(plan, next.plan)) throw error;
      given.push(why);
      ({ chain, plan } = next);
    }
  }
}

/**
 * The plan that was made under the lock, where it does what was confirmed.
 *
 * @throws BackupError `restore/changed`
 */
function asConfirmed(confirmed: RestorePlan, now: RestorePlan): RestorePlan {
  const before = new Map(confirmed.steps.map((step) => [step.to, step]));
  const after = new Map(now.steps.map((step) => [step.to, step]));
  const changes = [...new Set([...before.keys(), ...after.keys()])].flatMap((to) => {
    const [was, is] = [before.get(to), after.get(to)].map(deedOf);
    return was === is ? [] : [`"${to}" was to be ${was}, and would now be ${is}`];
  });
  if (changes.length === 0) return now;
  throw new BackupError(
    "restore/changed",
    `The target is not as it was when the plan was made: ${changes.join("; ")}`,
    { hint: "Nothing was changed. Run the restore again, and read its new plan." },
  );
}

const deeds: Readonly<Record<RestoreStep["mode"], string>> = {
  create: "created",
  fill: "filled",
  swap: "swapped for what is restored beside it",
  replace: "replaced",
};

function deedOf(step: RestoreStep | undefined): string {
  if (step === undefined) return "let be";
  if (step.adopts !== undefined) return `taken from "${step.adopts}"`;
  // Of a part, more may depend on what is replaced than was said.
  const loses = step.part === undefined || step.loses === undefined ? "" : ` (${step.loses})`;
  return `${deeds[step.mode]}${loses}`;
}

/** Whether the inventory says what each restored database holds. */
function isKnown(chain: RestorableChain, { steps }: RestorePlan): boolean {
  const known = new Set(chain.at(-1)!.inventory.databases.map(({ database }) => database));
  return steps.every(({ from }) => known.has(from));
}

/** Undefined where it cannot be done: then the first failure is the one to tell. */
async function planAgain(
  options: RestoreOptions,
  source: ChainSource,
  connector: Connector,
  o: JobContext,
): Promise<{ chain: RestorableChain; plan: RestorePlan } | undefined> {
  try {
    const chain = await source.open();
    return { chain, plan: await connector.planRestore(chain, options, o) };
  } catch {
    o.signal.throwIfAborted();
    return undefined;
  }
}

/** What a step was going to replace is lost already, and is to be had from no other place. */
function isAsBefore({ steps }: RestorePlan, next: RestorePlan): boolean {
  return steps.length === next.steps.length && steps.every(({ from, to, mode, adopts }, index) => {
    const other = next.steps[index]!;
    if (other.from !== from || other.to !== to || other.adopts !== adopts) return false;
    return mode === "replace" || other.mode === mode;
  });
}

function restoreOptions({ request, until }: Scene, manifest: Manifest): RestoreOptions {
  return {
    ...until === undefined ? {} : { until },
    databases: request.databases,
    isOverwrite: request.isOverwrite,
    only: request.only,
    isWithAccounts: request.isWithAccounts,
    isDifferenceAccepted: request.isDifferenceAccepted,
    isKeepGoing: request.isKeepGoing,
    jobs: request.jobs,
    restoreArgs: [...manifest.settings.restoreArgs ?? [], ...request.restoreArgs],
    // What a restore to one moment left must not be taken for another's.
    backupId: until === undefined ? manifest.id : momentId(
      manifest.id,
      "at" in until ? until.at.toISOString() : canonicalJson(until.position)!,
    ),
  };
}

/** Reads every byte of every artifact that counts, before the target is touched. */
async function readWhole(
  chain: RestorableChain,
  { steps }: RestorePlan,
  meter: Meter,
  o: JobContext,
): Promise<void> {
  meter.stage("check", totalBytes(chain));
  // What is taken as it is lies on the target already.
  const wanted = new Set(
    steps.filter(({ adopts }) => adopts === undefined).map(({ from }) => from),
  );
  if (wanted.size === 0) return;
  for (const { artifacts } of chain) {
    for (const artifact of artifacts) {
      const isWanted = artifact.databases.length === 0 ||
        artifact.databases.some((database) => wanted.has(database));
      if (isWanted && isRestored(artifact)) await drain(artifact.open(o));
    }
  }
}

function totalBytes(chain: RestorableChain): number {
  return chain.flatMap(({ manifest }) => manifest.artifacts)
    .filter(isRestored)
    .reduce((sum, { rawBytes }) => sum + rawBytes, 0);
}

/** The newest drill of the job: how long a restore may take. */
function lastDrillOf({ ref }: FoundBackup, found: readonly FoundBackup[]): DrilledMark | undefined {
  return found.filter((one) => one.ref.job === ref.job && one.ref.sourceTag === ref.sourceTag)
    .flatMap(({ copies }) => copies.flatMap((copy) => copy.ref.marks))
    .filter((mark) => mark.type === "drilled")
    .toSorted((a, b) => a.at.getTime() - b.at.getTime()).at(-1);
}

function linkOf({ manifest }: RestorableBackup): RestoredLink {
  const { id, kind, consistentAt, artifacts } = manifest;
  const storedBytes = artifacts.filter(isRestored).reduce((sum, one) => sum + one.storedBytes, 0);
  return { id, kind, consistentAt: new Date(consistentAt), storedBytes };
}

function asListed({ ref, copies }: FoundBackup, manifest: Manifest): ShownBackup {
  const summary = createSummarizer()(manifest);
  return { ...ref, ...listedCopies(copies), job: manifest.job, manifest, summary };
}
