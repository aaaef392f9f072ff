import { goodBackups, resolveBackup } from "../catalog/catalog.ts";
import { readManifest } from "../catalog/manifest.ts";
import { newBackupId } from "../catalog/names.ts";
import { defaultStallTimeoutMs } from "../config/model.ts";
import { openWithLimits } from "../connectors/limits.ts";
import type {
  Connector,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
} from "../contracts/connector.ts";
import type { Manifest } from "../contracts/manifest.ts";
import { drain } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import type { Lock } from "../core/lock.ts";
import { suggestion } from "../core/text.ts";
import { type ChainSource, chainSource } from "./chain-source.ts";
import { undamagedFirst } from "./damaged-copy.ts";
import { closeDestinations, openDestinations } from "./destinations.ts";
import { findBackups, type FoundBackup } from "./list.ts";
import { keepBackups, withJobLock } from "./lock.ts";
import { createMeter, type Meter } from "./progress.ts";
import type {
  JobContext,
  ListedBackup,
  PreparedRestore,
  PrepareRestore,
  RestoreRequest,
} from "./types.ts";

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
    const choice = await choose(found, request, o);
    const locations = choice.copies.map(({ destination }) => destination.storage.location);
    kept = await keepBackups({ job: choice.ref.job, locations }, o);
    const meter = createMeter(o);
    const source = chainSource(choice, found, request, meter, o);
    connector = await openWithLimits(request.target, { answerMs: defaultStallTimeoutMs }, o);
    return await plan(request, choice, source, connector, meter, close, o);
  } catch (error) {
    await close();
    throw error;
  }
};

/** Which backup is meant: by id, or the newest good one of the one job and server there is. */
async function choose(
  found: readonly FoundBackup[],
  request: RestoreRequest,
  o: JobContext,
): Promise<FoundBackup> {
  if (request.backup !== undefined) {
    const ref = resolveBackup(found.map(({ ref }) => ref), request.backup);
    return found.find((one) => one.ref.prefix === ref.prefix)!;
  }
  const candidates = await inOrder(candidatesOf(found, request), o);
  const [newest] = candidates.slice(-1);
  if (newest === undefined) throw noBackup(found, request);
  assertOneSource(candidates, request);
  if (request.at === undefined) return newest;
  return await newestBefore(candidates, request.at, o);
}

function candidatesOf(found: readonly FoundBackup[], { job }: RestoreRequest): FoundBackup[] {
  const jobs = new Set(found.map(({ ref }) => ref.job));
  if (job === undefined && jobs.size > 1) {
    throw new BackupError("usage/which-backup", `There are backups of ${jobs.size} jobs here`, {
      hint: `Name one job (${[...jobs].sort().join(", ")}) or a backup's id; list shows them.`,
    });
  }
  // A backup is as good as the best of its copies, and as those of what it builds on.
  const refs = found.map(({ ref, copies }) => {
    const best = copies.find((copy) => !isDamaged(copy.ref.marks)) ?? copies[0]!;
    return { ...ref, marks: best.ref.marks };
  });
  const good = new Set(goodBackups(refs).map(({ prefix }) => prefix));
  return found.filter(({ ref }) => (job === undefined || ref.job === job) && good.has(ref.prefix));
}

/** Oldest first; folders' names tell only the second, so those of one second are looked up. */
async function inOrder(
  candidates: readonly FoundBackup[],
  o: JobContext,
): Promise<readonly FoundBackup[]> {
  const second = ({ ref }: FoundBackup) => ref.createdAt.getTime();
  const counts = new Map<number, number>();
  for (const one of candidates) counts.set(second(one), (counts.get(second(one)) ?? 0) + 1);
  const startedMs = new Map<FoundBackup, number>();
  for (const one of candidates) {
    if (counts.get(second(one)) === 1) continue;
    const manifest = await anyManifest(one, o).catch(() => undefined);
    if (manifest !== undefined) startedMs.set(one, new Date(manifest.startedAt).getTime());
  }
  const at = (one: FoundBackup) => startedMs.get(one) ?? second(one);
  return [...candidates].sort((a, b) => at(a) - at(b));
}

function isDamaged(marks: FoundBackup["ref"]["marks"]): boolean {
  return marks.some(({ type }) => type === "damaged");
}

/** "The latest" must not jump between two servers that share a prefix. */
function assertOneSource(candidates: readonly FoundBackup[], request: RestoreRequest): void {
  const newest = new Map(candidates.map(({ ref }) => [ref.sourceTag, ref]));
  if (newest.size < 2) return;
  const ids = [...newest.values()].map(({ id, sourceTag, createdAt }) =>
    `${id} (server ${sourceTag}, ${createdAt.toISOString().replace(/\.\d+Z$/, "Z")})`
  );
  throw new BackupError(
    "usage/which-server",
    `Job "${candidates[0]!.ref.job}" has backups of ${newest.size} different servers`,
    {
      hint: `Name the backup: the newest of each are ${ids.join(", ")}.`,
      details: { job: request.job },
    },
  );
}

function noBackup(found: readonly FoundBackup[], { job, destinations }: RestoreRequest) {
  const places = destinations.map(({ name }) => `"${name}"`).join(", ");
  if (job === undefined || found.some(({ ref }) => ref.job === job)) {
    const what = found.length === 0 ? "There is no backup" : "There is no undamaged backup";
    return new BackupError("storage/no-backup", `${what} at ${places}`, {
      hint: found.length === 0
        ? "Check the destination: it holds nothing, or its disk is not mounted."
        : "`dbbackup list` shows the marks, `dbbackup copy` heals from another destination. " +
          "One that is marked as damaged is tried when its id is given.",
    });
  }
  const jobs = [...new Set(found.map(({ ref }) => ref.job))].sort();
  return new BackupError("storage/no-backup", `There is no backup of job "${job}" at ${places}`, {
    hint: suggestion(job, jobs),
  });
}

async function newestBefore(
  candidates: readonly FoundBackup[],
  at: Date,
  o: JobContext,
): Promise<FoundBackup> {
  // A folder's name tells when the run began, and the data is never older than that.
  for (const candidate of candidates.filter(({ ref }) => ref.createdAt <= at).reverse()) {
    const manifest = await anyManifest(candidate, o);
    if (new Date(manifest.consistentAt) <= at) return candidate;
  }
  const oldest = candidates[0]!.ref;
  throw new BackupError("usage/too-early", `No backup is as old as ${at.toISOString()}`, {
    hint: `The oldest is ${oldest.id}, of ${oldest.createdAt.toISOString()}.`,
  });
}

/** The manifest, from the first destination where it can be read. */
async function anyManifest({ copies }: FoundBackup, o: JobContext): Promise<Manifest> {
  let failure: unknown;
  for (const { destination, ref } of undamagedFirst(copies)) {
    try {
      return await readManifest(destination.storage, ref, o);
    } catch (error) {
      o.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

async function plan(
  request: RestoreRequest,
  choice: FoundBackup,
  source: ChainSource,
  connector: Connector,
  meter: Meter,
  close: () => Promise<void>,
  o: JobContext,
): Promise<PreparedRestore> {
  const chain = await source.open();
  const { manifest } = chain.at(-1)!;
  const options = restoreOptions(request, manifest);
  meter.stage("plan");
  const restorePlan = await connector.planRestore(chain, options, o);
  return {
    backup: asListed(choice, manifest),
    manifest,
    from: source.from().join(", "),
    plan: restorePlan,
    close,
    async run() {
      const run = newBackupId(o.runtime.random);
      const scope = {
        job: request.lockJob ?? manifest.job,
        location: connector.location,
        run,
      };
      return await withJobLock(
        scope,
        o,
        () => carryOut({ chain, plan: restorePlan }, options, source, connector, meter, o),
      );
    },
  };
}

/**
 * Restores, and begins again with another copy where one cannot be read: as long as nothing was
 * touched, or what was there is there again, which a plan that comes out the same proves.
 */
async function carryOut(
  first: { readonly chain: RestorableChain; readonly plan: RestorePlan },
  options: RestoreOptions,
  source: ChainSource,
  connector: Connector,
  meter: Meter,
  o: JobContext,
): Promise<RestoreResult> {
  let { chain, plan } = first;
  const given: string[] = [];
  for (;;) {
    try {
      if (plan.isCheckedFirst) await readWhole(chain, plan, meter, o);
      meter.stage("restore", totalBytes(chain));
      const result = await connector.restore(chain, plan, options, o);
      return {
        ...result,
        isCompared: result.isCompared === true && isKnown(chain, plan),
        warnings: [...given, ...result.warnings],
      };
    } catch (error) {
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

function restoreOptions(request: RestoreRequest, manifest: Manifest): RestoreOptions {
  return {
    databases: request.databases,
    isOverwrite: request.isOverwrite,
    only: request.only,
    isWithAccounts: request.isWithAccounts,
    isDifferenceAccepted: request.isDifferenceAccepted,
    isKeepGoing: request.isKeepGoing,
    jobs: request.jobs,
    restoreArgs: [...manifest.settings.restoreArgs ?? [], ...request.restoreArgs],
    backupId: manifest.id,
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
      if (isWanted && artifact.role !== "inventory") await drain(artifact.open(o));
    }
  }
}

function totalBytes(chain: RestorableChain): number {
  return chain.flatMap(({ manifest }) => manifest.artifacts)
    .filter(({ role }) => role !== "inventory")
    .reduce((sum, { rawBytes }) => sum + rawBytes, 0);
}

function asListed({ ref, copies }: FoundBackup, manifest: Manifest): ListedBackup {
  const destinations = copies.map(({ destination }) => destination.name);
  return { ...ref, job: manifest.job, destinations, manifest };
}
