import { openArtifact } from "../catalog/artifact-reader.ts";
import { chainOf, resolveBackup } from "../catalog/catalog.ts";
import { inventoryFormat, readInventory } from "../catalog/inventory-file.ts";
import { readManifest } from "../catalog/manifest.ts";
import { newBackupId } from "../catalog/names.ts";
import { decoderWith } from "../codecs/mod.ts";
import type {
  Connector,
  RestorableBackup,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
} from "../contracts/connector.ts";
import type { ArtifactFormat } from "../contracts/format.ts";
import type { Artifact, Manifest } from "../contracts/manifest.ts";
import { type Abortable, type Bytes, drain, tapped } from "../core/bytes.ts";
import { BackupError, hasCode } from "../core/errors.ts";
import { suggestion } from "../core/text.ts";
import { checkSizes } from "./check-sizes.ts";
import { closeDestinations, type OpenDestination, openDestinations } from "./destinations.ts";
import { findBackups, type FoundBackup } from "./list.ts";
import { withJobLock } from "./lock.ts";
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
  const close = async () => {
    await connector?.close();
    await closeDestinations(open);
  };
  try {
    if (open.length === 0) throw failed[0]!.error;
    const { found, failed: unlisted, warnings } = await findBackups(open, o);
    if (unlisted.length === open.length) throw unlisted[0]!.error;
    for (const warning of warnings) o.runtime.log.warn("{warning}", { warning });
    const choice = await choose(found, request, o);
    const source = await openCopy(choice, found, request, o);
    connector = await request.target.kind.open(request.target.options, o);
    return await plan(request, source, connector, close, o);
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
  return found.filter(({ ref, copies }) =>
    (job === undefined || ref.job === job) && copies.some((copy) => !isDamaged(copy.ref.marks))
  );
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
    const { destination, ref } = one.copies[0]!;
    const manifest = await readManifest(destination.storage, ref, o).catch(() => undefined);
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
  const ids = [...newest.values()].map(({ id, sourceTag }) => `${id} (server ${sourceTag})`);
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
      hint: "Check the destination; an undamaged older one can be named by its id.",
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
    const { destination, ref } = candidate.copies[0]!;
    const manifest = await readManifest(destination.storage, ref, o);
    if (new Date(manifest.consistentAt) <= at) return candidate;
  }
  const oldest = candidates[0]!.ref;
  throw new BackupError("usage/too-early", `No backup is as old as ${at.toISOString()}`, {
    hint: `The oldest is ${oldest.id}, of ${oldest.createdAt.toISOString()}.`,
  });
}

/** A copy that is whole by its sizes, with its chain. */
interface Source {
  readonly found: FoundBackup;
  readonly destination: OpenDestination;
  readonly manifests: readonly { readonly manifest: Manifest; readonly prefix: string }[];
}

/** Takes the first destination whose copy of the whole chain is complete. */
async function openCopy(
  choice: FoundBackup,
  found: readonly FoundBackup[],
  request: RestoreRequest,
  o: JobContext,
): Promise<Source> {
  let failure: unknown;
  // An explicitly named damaged backup is still tried, but good copies first.
  const copies = [...choice.copies].sort((a, b) =>
    Number(isDamaged(a.ref.marks)) - Number(isDamaged(b.ref.marks))
  );
  for (const { destination, ref } of copies) {
    try {
      const here = found.flatMap((one) =>
        one.copies.filter((copy) => copy.destination === destination).map((copy) => copy.ref)
      );
      const manifests = [];
      for (const link of chainOf(here, ref)) {
        const manifest = await readManifest(destination.storage, link, o);
        assertUsable(manifest, request);
        const problems = checkSizes(manifest, link);
        if (problems.length > 0) throw problems[0]!;
        manifests.push({ manifest, prefix: link.prefix });
      }
      return { found: choice, destination, manifests };
    } catch (error) {
      o.signal.throwIfAborted();
      if (hasCode(error, "restore/")) throw error;
      failure ??= error;
      o.runtime.log.warn("The copy of {id} at {destination} cannot be used: {error}", {
        id: ref.id,
        destination: destination.name,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }
  throw failure;
}

function assertUsable(manifest: Manifest, { target }: RestoreRequest): void {
  const known = new Set([...target.kind.formats.map(({ id }) => id), inventoryFormat.id]);
  const foreign = manifest.artifacts.find(({ format }) => !known.has(format));
  if (foreign === undefined) return;
  throw new BackupError(
    "restore/wrong-kind",
    `Backup ${manifest.id} is of ${manifest.source.flavour} and the target is ${target.kind.title}`,
    { hint: `Give a target of kind "${manifest.source.kind}".` },
  );
}

async function plan(
  request: RestoreRequest,
  source: Source,
  connector: Connector,
  close: () => Promise<void>,
  o: JobContext,
): Promise<PreparedRestore> {
  const meter = createMeter(o);
  const last = source.manifests.at(-1)!.manifest;
  const options = restoreOptions(request, last);
  const chain = await openChain(request, source, meter, o);
  meter.stage("plan");
  const restorePlan = await connector.planRestore(chain, options, o);
  return {
    backup: asListed(source, last),
    manifest: last,
    from: source.destination.name,
    plan: restorePlan,
    close,
    async run() {
      const run = newBackupId(o.runtime.random);
      const scope = {
        job: request.lockJob ?? last.job,
        location: connector.location,
        run,
      };
      return await withJobLock(scope, o, async () => {
        if (restorePlan.isCheckedFirst) await readWhole(chain, restorePlan, meter, o);
        meter.stage("restore", totalBytes(chain));
        return await connector.restore(chain, restorePlan, options, o);
      });
    },
  };
}

function restoreOptions(request: RestoreRequest, manifest: Manifest): RestoreOptions {
  return {
    databases: request.databases,
    isOverwrite: request.isOverwrite,
    only: request.only,
    isWithAccounts: request.isWithAccounts,
    jobs: request.jobs,
    restoreArgs: [...manifest.settings.restoreArgs ?? [], ...request.restoreArgs],
    backupId: manifest.id,
  };
}

async function openChain(
  request: RestoreRequest,
  { destination, manifests }: Source,
  meter: Meter,
  o: JobContext,
): Promise<RestorableChain> {
  const formats = request.target.kind.formats;
  const backups: RestorableBackup[] = [];
  for (const { manifest, prefix } of manifests) {
    const artifacts = manifest.artifacts.map((artifact) => ({
      ...artifact,
      open: (abortable: Abortable) =>
        openMetered(destination, prefix, artifact, formats, meter, {
          ...o,
          signal: abortable.signal,
        }),
    }));
    const inventory = await readInventory(destination.storage, prefix, manifest, {
      ...o,
      decoder: decoderWith(o.keyring),
    });
    backups.push({ manifest, artifacts, inventory });
  }
  return backups;
}

function openMetered(
  { storage }: OpenDestination,
  prefix: string,
  artifact: Artifact,
  formats: readonly ArtifactFormat[],
  meter: Meter,
  o: JobContext,
): Bytes {
  const options = { decoder: decoderWith(o.keyring) };
  const format = formats.find(({ id }) => id === artifact.format);
  const walker = format?.walk();
  const bytes = openArtifact(storage, prefix, artifact, { walker, ...options }, o);
  return tapped(bytes, (chunk) => meter.raw(chunk.byteLength));
}

/** Reads every byte of every artifact that counts, before the target is touched. */
async function readWhole(
  chain: RestorableChain,
  { steps }: RestorePlan,
  meter: Meter,
  o: JobContext,
): Promise<void> {
  meter.stage("check", totalBytes(chain));
  const wanted = new Set(steps.map(({ from }) => from));
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

function asListed({ found }: Source, manifest: Manifest): ListedBackup {
  const destinations = found.copies.map(({ destination }) => destination.name);
  return { ...found.ref, job: manifest.job, destinations, manifest };
}
