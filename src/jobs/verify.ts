import { openArtifact, openStored } from "../catalog/artifact-reader.ts";
import { resolveBackup } from "../catalog/catalog.ts";
import { inventoryFormat } from "../catalog/inventory-file.ts";
import { readManifest } from "../catalog/manifest.ts";
import { markName } from "../catalog/mark-names.ts";
import { addMark, removeMark } from "../catalog/marks.ts";
import { decoderWith, lacksKey } from "../codecs/mod.ts";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { ArtifactFormat } from "../contracts/format.ts";
import { type Artifact, type Manifest, manifestName } from "../contracts/manifest.ts";
import type { BackupRef, Mark } from "../contracts/strategy.ts";
import { type Bytes, drain, tapped } from "../core/bytes.ts";
import { BackupError, hasCode, toBackupError } from "../core/errors.ts";
import { tee } from "../core/pipeline/tee.ts";
import { checkChain, type Everything } from "./check-chain.ts";
import { checkSizes } from "./check-sizes.ts";
import type { Copy } from "./damaged-copy.ts";
import { type OpenDestination, withDestinations } from "./destinations.ts";
import { findBackups, type FoundBackup } from "./list.ts";
import { withBackupsKept } from "./lock.ts";
import { createMeter, type Meter } from "./progress.ts";
import type { JobContext, VerifyBackups, VerifyResult } from "./types.ts";

/** Checks backups at every destination that has them. See {@link VerifyBackups}. */
export const verifyBackups: VerifyBackups = (request, o) =>
  withDestinations(request.destinations, o, async (open, unopened) => {
    const { found, failed } = await findBackups(open, o, request.job);
    const unreached = [...unopened, ...failed];
    if (unreached.length === request.destinations.length) throw unreached[0]!.error;
    for (const one of unreached) o.onUnreached?.(one);
    const chosen = choose(found, request.backups, request.isLatestOnly === true);
    const meter = createMeter(o);
    const results: VerifyResult[] = [];
    const everything = { found, isWhole: unreached.length === 0 };
    for (const { copies } of chosen) {
      for (const copy of copies) {
        const scope = { job: copy.ref.job, locations: [copy.destination.storage.location] };
        const result = await withBackupsKept(
          scope,
          o,
          () => verifyCopy(copy, everything, request, meter, o),
        );
        if (result === undefined) continue;
        results.push(result);
        o.onResult?.(result);
      }
    }
    return results;
  });

function choose(
  found: readonly FoundBackup[],
  ids: readonly string[],
  isLatestOnly: boolean,
): FoundBackup[] {
  if (ids.length > 0) {
    const refs = found.map(({ ref }) => ref);
    const prefixes = new Set(ids.map((id) => resolveBackup(refs, id).prefix));
    return found.filter(({ ref }) => prefixes.has(ref.prefix));
  }
  if (!isLatestOnly) return [...found].reverse();
  const newest = new Map(found.map((one) => [`${one.ref.job}\0${one.ref.sourceTag}`, one]));
  return [...newest.values()];
}

// From the quickest to the most thorough, in whatever order they came to an end.
const checkOrder = ["sizes", "digests", "structure", "native-tool"] as const;

interface Findings {
  readonly checks: Set<(typeof checkOrder)[number]>;
  readonly problems: BackupError[];
  readonly notes: string[];
  /** Something could not be read at all, which says nothing about the backup. */
  isUnread: boolean;
  /** Something is encrypted and no key opened it. */
  isClosed: boolean;
}

/** Undefined when it was pruned since it was listed. */
async function verifyCopy(
  copy: Copy,
  everything: Everything,
  { isDeep, kinds }: { readonly isDeep: boolean; readonly kinds: readonly ConnectorKind[] },
  meter: Meter,
  o: JobContext,
): Promise<VerifyResult | undefined> {
  const { destination, ref } = copy;
  const findings: Findings = {
    checks: new Set(),
    problems: [],
    notes: [],
    isUnread: false,
    isClosed: false,
  };
  let job = ref.job;
  try {
    const manifest = await readManifest(destination.storage, ref, o);
    job = manifest.job;
    findings.problems.push(...checkSizes(manifest, ref));
    findings.checks.add("sizes");
    if (isDeep && findings.problems.length === 0) {
      await readEverything(destination, ref, manifest, kinds, findings, meter, o);
    }
    findings.notes.push(...await checkChain(copy, manifest, everything, o));
  } catch (error) {
    if (await isGone(error, copy, o)) return undefined;
    sort(error, findings, o);
  }
  const status = findings.problems.length > 0
    ? "damaged"
    : findings.isUnread
    ? "unchecked"
    : "good";
  const mark = await leaveMark(destination, ref, status, isDeep, findings, o);
  return {
    id: ref.id,
    job,
    destination: destination.name,
    status,
    checks: checkOrder.filter((name) => findings.checks.has(name)),
    problems: findings.problems.map(({ code, message }) => ({ code, message })),
    notes: findings.notes,
    ...(mark === undefined ? {} : { mark }),
  };
}

/** Without its manifest it is no backup any more, and a mark would be all that lies there. */
async function isGone(
  error: unknown,
  { destination: { storage }, ref }: Copy,
  o: JobContext,
): Promise<boolean> {
  if (!hasCode(error, "storage/not-found")) return false;
  const manifest = await storage.stat(ref.prefix + manifestName, o).catch(() => "unknown");
  if (manifest !== undefined) return false;
  o.runtime.log.info("Backup {id} was removed from {location} meanwhile", {
    id: ref.id,
    location: storage.location,
  });
  return true;
}

/** Damage is a finding; a store that cannot be read now is a note; a stop is neither. */
function sort(reason: unknown, findings: Findings, o: JobContext): void {
  o.signal.throwIfAborted();
  const error = toBackupError(reason);
  const isNewer = error.code === "verification/newer-format";
  if (hasCode(error, "verification/") && !isNewer) {
    findings.problems.push(error);
  } else if (error.code === "storage/not-found") {
    findings.problems.push(
      new BackupError("verification/missing-object", error.message, { cause: error }),
    );
  } else if (hasCode(error, "storage/") || isNewer) {
    findings.isUnread = true;
    findings.notes.push(error.message);
  } else {
    throw error;
  }
}

async function readEverything(
  destination: OpenDestination,
  ref: BackupRef,
  manifest: Manifest,
  kinds: readonly ConnectorKind[],
  findings: Findings,
  meter: Meter,
  o: JobContext,
): Promise<void> {
  const kind = kinds.find(({ kind }) => kind === manifest.source.kind);
  const formats = [...kind?.formats ?? [], inventoryFormat];
  for (const artifact of manifest.artifacts) {
    const format = formats.find(({ id }) => id === artifact.format);
    meter.stage(`verify ${ref.id} ${artifact.volumes[0]!.name}`, artifact.rawBytes);
    try {
      await readArtifact(destination, ref, artifact, format, findings, meter, o);
    } catch (error) {
      if (lacksKey(error)) await readStored(destination, ref, artifact, error, findings, meter, o);
      else sort(error, findings, o);
    }
  }
  if (!findings.isUnread) findings.checks.add("digests");
}

async function readArtifact(
  { storage }: OpenDestination,
  { prefix }: BackupRef,
  artifact: Artifact,
  format: ArtifactFormat | undefined,
  findings: Findings,
  meter: Meter,
  o: JobContext,
): Promise<void> {
  const options = { walker: format?.walk(), decoder: decoderWith(o.keyring) };
  const raw = openArtifact(storage, prefix, artifact, options, o);
  const bytes = tapped(raw, (chunk) => meter.raw(chunk.byteLength));
  if (format === undefined) {
    findings.notes.push(
      `The structure of "${artifact.volumes[0]!.name}" was not looked into: ` +
        `format "${artifact.format}" is not known here`,
    );
    return await drain(bytes);
  }
  if (format.nativeCheck === undefined) await drain(bytes);
  else await readWithTool(bytes, artifact, format, findings, o);
  findings.checks.add("structure");
}

/** Without the key, what is stored can still be compared with its digests. */
async function readStored(
  { storage }: OpenDestination,
  { prefix }: BackupRef,
  artifact: Artifact,
  error: BackupError,
  findings: Findings,
  meter: Meter,
  o: JobContext,
): Promise<void> {
  // The same holds for every file; without its name it is told once.
  const { message } = error.cause instanceof BackupError ? error.cause : error;
  const note = `Only the digests were checked: ${message}`;
  if (!findings.notes.includes(note)) findings.notes.push(note);
  findings.isClosed = true;
  try {
    const bytes = openStored(storage, prefix, artifact, o);
    await drain(tapped(bytes, (chunk) => meter.raw(chunk.byteLength)));
  } catch (error) {
    sort(error, findings, o);
  }
}

/** One read feeds both our own checks, which need the last byte, and the engine's tool. */
async function readWithTool(
  bytes: Bytes,
  artifact: Artifact,
  format: ArtifactFormat,
  findings: Findings,
  o: JobContext,
): Promise<void> {
  const [own, tool] = await tee<void>(bytes, [
    (copy) => drain(copy),
    (copy, signal) => format.nativeCheck!(copy, { signal, runtime: o.runtime }),
  ], o);
  if (own!.status === "failed") throw own!.error;
  if (tool!.status === "done") {
    findings.checks.add("native-tool");
  } else if (hasCode(tool!.error, "verification/")) {
    throw tool!.error;
  } else {
    const { message } = toBackupError(tool!.error);
    findings.notes.push(
      `"${artifact.volumes[0]!.name}" was not read with the database's own tool: ${message}`,
    );
  }
}

/**
 * Damage is marked however it was found; `verified` says that every byte was read, and lifts an
 * earlier `damaged` that turned out wrong (a failing cable, not a failing disk).
 */
async function leaveMark(
  { storage }: OpenDestination,
  ref: BackupRef,
  status: VerifyResult["status"],
  isDeep: boolean,
  findings: Findings,
  o: JobContext,
): Promise<Mark | undefined> {
  if (status === "unchecked" || (status === "good" && !isDeep)) return undefined;
  if (status === "good" && findings.isClosed && ref.marks.some(({ type }) => type === "damaged")) {
    findings.notes.push("It stays marked as damaged: with the key, a deep check could lift that.");
    return undefined;
  }
  const mark: Mark = { type: status === "good" ? "verified" : "damaged", at: o.runtime.now() };
  try {
    await addMark(storage, ref, mark, o);
    // Two checks in one second leave the same name, which must not be taken away again.
    const others = ref.marks.filter((old) => markName(old) !== markName(mark));
    for (const old of others) if (old.type !== "hold") await removeMark(storage, ref, old, o);
    return mark;
  } catch (error) {
    o.signal.throwIfAborted();
    findings.notes.push(`The mark could not be written: ${toBackupError(error).message}`);
    return undefined;
  }
}
