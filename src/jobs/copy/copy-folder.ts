import { openVolume } from "../../catalog/artifact-reader.ts";
import { readAgain } from "../../catalog/catalog.ts";
import { expectedFiles, isExtraFile } from "../../catalog/folder-faults.ts";
import { type ManifestFile, readManifestFile, sha256Of } from "../../catalog/manifest.ts";
import { parseMarkName } from "../../catalog/mark-names.ts";
import { removeMark } from "../../catalog/marks.ts";
import { restoreTextName } from "../../catalog/restore-text.ts";
import { sealName, sealText } from "../../catalog/seal.ts";
import { type Manifest, manifestName, type Volume } from "../../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../../contracts/storage.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { type Bytes, collect, drain, tapped } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Meter } from "../shared/progress.ts";
import type { JobContext } from "../shared/context.ts";

/** Wraps what went wrong with the copy that is read, so that another one can be tried. */
export class SourceFailure extends Error {
  /** Reads the same from the source anew. */
  readonly again: () => Promise<void>;

  constructor(cause: unknown, again: () => Promise<void>) {
    super("The source failed", { cause });
    this.again = again;
  }
}

/**
 * Makes a backup's folder at `target` what it is at `source`: artifacts, RESTORE.txt, the seal, then
 * the manifest, byte by byte. Objects that are there already and have the right digest are kept,
 * others are replaced, and what is too many goes; in a damaged backup nothing is deleted before the
 * source has proven to be whole.
 *
 * @returns how many bytes were written
 * @throws SourceFailure; the storage errors of the target
 */
export async function transfer(
  source: Storage,
  target: Storage,
  ref: BackupRef,
  meter: Meter,
  o: JobContext,
): Promise<number> {
  const { prefix } = ref;
  const file = await readSource(source, ref, o);
  const { bytes: text, manifest, sha256 } = file;
  const volumes = manifest.artifacts.flatMap((artifact) => artifact.volumes);
  meter.stage(`copy ${ref.id}`, volumes.reduce((sum, { bytes }) => sum + bytes, 0));
  const there = await objectsIn(target, prefix, o);

  const missing: Volume[] = [];
  const wrong: ObjectInfo[] = [];
  for (const volume of volumes) {
    const object = there.get(volume.name);
    if (object !== undefined && await isRight(target, prefix, volume, object, o)) continue;
    missing.push(volume);
    if (object !== undefined) wrong.push(object);
  }
  const oldManifest = there.get(manifestName);
  const isSame = oldManifest !== undefined && await hasText(target, oldManifest, text, o);
  if (oldManifest !== undefined) {
    for (const volume of missing) await proven(() => openVolume(source, prefix, volume, o));
    if (!isSame || missing.length > 0) wrong.unshift(oldManifest);
  }
  await replaceable(wrong, target, o);
  for (const object of wrong) await remove(object, target, o);

  let bytes = 0;
  for (const volume of missing) {
    await putVolume({ source, target, prefix }, volume, meter, o);
    bytes += volume.bytes;
  }
  bytes += await putRestoreText({ source, target, prefix }, manifest, there, o);
  const seal = new TextEncoder().encode(sealText(sha256));
  const oldSeal = there.get(sealName(file));
  if (oldSeal?.bytes !== seal.byteLength) {
    if (oldSeal !== undefined) await remove(oldSeal, target, o);
    await putOnce(target, prefix + sealName(file), seal, o);
    bytes += seal.byteLength;
  }
  if (!isSame || missing.length > 0) {
    await assertAllThere(target, ref, volumes, o);
    await putOnce(target, prefix + manifestName, text, o);
    bytes += text.byteLength;
  }
  const expected = expectedFiles(file);
  for (const [name, object] of there) {
    if (isExtraFile(name, expected)) await removeExtra(object, target, o);
  }
  // Every byte has been read or written just now.
  for (const mark of [...there.keys()].flatMap((name) => parseMarkName(name) ?? [])) {
    if (mark.type === "damaged" || mark.type === "suspect") await removeMark(target, ref, mark, o);
  }
  return bytes;
}

/** A prune of another machine, which no lock keeps away, may have taken the folder for left over. */
async function assertAllThere(
  target: Storage,
  { id, prefix }: BackupRef,
  volumes: readonly Volume[],
  o: JobContext,
): Promise<void> {
  const there = await objectsIn(target, prefix, o);
  const gone = volumes.find(({ name, bytes }) => there.get(name)?.bytes !== bytes);
  if (gone === undefined) return;
  throw new BackupError(
    "storage/failed",
    `"${prefix}${gone.name}" was removed from ${target.location} while ${id} was copied there`,
    { hint: "See what else deletes there, such as a prune of another machine; then copy again." },
  );
}

/** The manifest as it is stored: a child names its parent's by its digest. */
async function readSource(source: Storage, ref: BackupRef, o: JobContext): Promise<ManifestFile> {
  const read = (fresh: BackupRef) => readManifestFile(source, fresh, o);
  try {
    return await read(ref);
  } catch (error) {
    throw new SourceFailure(error, async () => void await read(await readAgain(source, ref, o)));
  }
}

async function objectsIn(
  storage: Storage,
  prefix: string,
  o: JobContext,
): Promise<Map<string, ObjectInfo>> {
  const objects = new Map<string, ObjectInfo>();
  try {
    for await (const object of storage.list(prefix, o)) {
      objects.set(object.key.slice(prefix.length), object);
    }
  } catch (error) {
    // The destination itself is made with its first object.
    if (!hasCode(error, "storage/not-found")) throw error;
  }
  return objects;
}

/** Whether an object that is there, from a run or a copy that was cut short, can stay. */
async function isRight(
  target: Storage,
  prefix: string,
  volume: Volume,
  { bytes }: ObjectInfo,
  o: JobContext,
): Promise<boolean> {
  if (bytes !== volume.bytes) return false;
  try {
    await drain(openVolume(target, prefix, volume, o));
    return true;
  } catch (error) {
    if (hasCode(error, "verification/")) return false;
    throw error;
  }
}

async function hasText(
  target: Storage,
  { key, bytes }: ObjectInfo,
  text: Uint8Array,
  o: JobContext,
): Promise<boolean> {
  if (bytes !== text.byteLength) return false;
  const there = await collect(target.get(key, o));
  return there.every((byte, index) => byte === text[index]);
}

async function proven(open: () => Bytes): Promise<void> {
  try {
    await drain(open());
  } catch (error) {
    throw new SourceFailure(error, () => drain(open()));
  }
}

/** Asked before the first is deleted, so that nothing is left half deleted. */
async function replaceable(wrong: readonly ObjectInfo[], target: Storage, o: JobContext) {
  for (const { key } of wrong) {
    const until = (await target.stat(key, o))?.retainedUntil;
    if (until === undefined || until <= o.runtime.now()) continue;
    throw new BackupError(
      "storage/retained",
      `"${key}" at ${target.location} is damaged and retained until ${until.toISOString()}`,
      { hint: "It can be replaced after that. The other copies are as good as before." },
    );
  }
}

/** What is too many does no harm for as long as the store keeps it. */
async function removeExtra(object: ObjectInfo, target: Storage, o: JobContext): Promise<void> {
  try {
    await remove(object, target, o);
  } catch (error) {
    if (!hasCode(error, "storage/retained")) throw error;
  }
}

async function remove({ key }: ObjectInfo, target: Storage, o: JobContext): Promise<void> {
  const version = (await target.stat(key, o))?.version;
  await target.delete(key, version === undefined ? o : { ...o, version });
}

/** From where to where a folder is copied. */
interface Way {
  readonly source: Storage;
  readonly target: Storage;
  readonly prefix: string;
}

async function putVolume(
  { source, target, prefix }: Way,
  volume: Volume,
  meter: Meter,
  o: JobContext,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  async function* read(): Bytes {
    try {
      const bytes = openVolume(source, prefix, volume, o);
      yield* tapped(bytes, (chunk) => {
        meter.raw(chunk.byteLength);
        meter.stored(chunk.byteLength);
      });
    } catch (error) {
      failure = { error };
      throw error;
    }
  }
  const key = prefix + volume.name;
  try {
    const { bytes } = await target.put(key, read(), o);
    if (bytes === volume.bytes) return;
    throw new BackupError(
      "storage/failed",
      `"${target.location}" stored ${bytes} of ${volume.bytes} bytes of "${key}"`,
      { hint: "Look into the store: it acknowledged an object that is not whole." },
    );
  } catch (error) {
    if (failure !== undefined) {
      const again = () => drain(openVolume(source, prefix, volume, o));
      throw new SourceFailure(failure.error, again);
    }
    if (!hasCode(error, "storage/exists")) throw error;
    // Somebody else copies the same backup: what is there has to be right.
    await drain(openVolume(target, prefix, volume, o));
  }
}

/**
 * Nothing but people depends on RESTORE.txt, so that one which is wrong at the source holds up no
 * copy of the data: it is left out, and `verify` tells.
 */
async function putRestoreText(
  { source, target, prefix }: Way,
  { id, restoreText }: Manifest,
  objects: ReadonlyMap<string, ObjectInfo>,
  o: JobContext,
): Promise<number> {
  const key = prefix + restoreTextName;
  const old = objects.get(restoreTextName);
  const isRight = (text: Uint8Array) => sha256Of(text) === restoreText?.sha256;
  const there = old === undefined ? undefined : await textAt(target, key, o);
  if (there !== undefined && isRight(there)) return 0;
  const text = await textAt(source, key, o);
  if (text === undefined || !isRight(text)) {
    const place = { id, location: source.location };
    o.runtime.log.warn("RESTORE.txt of {id} is not whole at {location} and is left out", place);
    return 0;
  }
  if (old !== undefined) await remove(old, target, o);
  await putOnce(target, key, text, o);
  return text.byteLength;
}

async function textAt(source: Storage, key: string, o: JobContext) {
  try {
    return await collect(source.get(key, o));
  } catch (error) {
    if (hasCode(error, "storage/not-found") || error instanceof RangeError) return undefined;
    throw new SourceFailure(error, async () => void await collect(source.get(key, o)));
  }
}

/** Puts a small object; the same one there already is fine. */
async function putOnce(target: Storage, key: string, text: Uint8Array, o: JobContext) {
  try {
    await target.put(key, text, o);
  } catch (error) {
    if (!hasCode(error, "storage/exists")) throw error;
    const info = await target.stat(key, o);
    if (info === undefined || !await hasText(target, info, text, o)) throw error;
  }
}
