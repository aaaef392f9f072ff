import { Buffer } from "node:buffer";
import { manifestName } from "../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../contracts/storage.ts";
import type { BackupRef, Mark } from "../contracts/strategy.ts";
import type { Abortable } from "../core/bytes.ts";
import { createSweeper } from "../core/memory.ts";
import { isArtifactFile } from "./own-files.ts";
import { parseMarkName } from "./mark-names.ts";
import { readManifest } from "./manifest.ts";
import { sealOf } from "./seal.ts";
import {
  compactTime,
  type FolderName,
  isScratchName,
  jobPrefix,
  parseFolderName,
  unescapeName,
} from "./names.ts";

export {
  buildsOn,
  chainOf,
  familiesOf,
  goodBackups,
  keyOf,
  latest,
  linksOf,
  parentOf,
  resolveBackup,
} from "./choose.ts";

/** Options of {@link readCatalog}. */
export type CatalogOptions = Abortable & {
  /** Only backups of this job. */
  readonly job?: string;
};

/** Everything of one LIST that has to do with backups. */
export interface Survey {
  /** Oldest first: folders with a backup's name and a manifest. */
  readonly backups: readonly SurveyedBackup[];
  /** Folders with a backup's name and no manifest: runs that are under way, or failed. */
  readonly abandoned: readonly AbandonedFolder[];
  /** Folders of a job with a manifest and a name that is no backup's, ending in "/". */
  readonly strays: readonly string[];
  /** Small objects that a check of the store's clock has left behind. */
  readonly scratch: readonly ObjectInfo[];
}

/** A backup with its objects as the store describes them. */
export interface SurveyedBackup extends BackupRef {
  /** By file name. */
  readonly objects: ReadonlyMap<string, ObjectInfo>;
}

/** A folder with a backup's name and no manifest. */
export interface AbandonedFolder {
  /** Its key, ending in "/". */
  readonly prefix: string;
  readonly id: string;
  readonly job: string;
  readonly kind: string;
  /** What it builds on. */
  readonly parentId: string | undefined;
  /** When its newest object was written. */
  readonly newestAt: Date;
  readonly storedBytes: number;
  /** By file name. */
  readonly objects: ReadonlyMap<string, ObjectInfo>;
}

/**
 * What lies at a destination, from one LIST. What is no backup's is passed over.
 *
 * Only where a job's name was too long for its folder is a manifest read, to learn it.
 */
export async function surveyCatalog(storage: Storage, o: CatalogOptions): Promise<Survey> {
  const { folders, strays, scratch } = await readFolders(storage, { ...o, keepsObjects: true });
  const backups: SurveyedBackup[] = [];
  const abandoned: AbandonedFolder[] = [];
  for (const folder of taken(folders)) {
    if (folder.manifestAt === undefined) {
      abandoned.push(toAbandoned(folder, o.job ?? folder.job ?? folder.prefix.split("/")[0]!));
    } else {
      backups.push({ ...await toRef(folder, storage, o), objects: folder.objects });
    }
  }
  return { backups: backups.sort(oldestFirst), abandoned, strays, scratch };
}

/**
 * The backups and strays of a {@link Survey}, without what the store says of each object: of tens of
 * thousands, that is most of what they take in memory.
 */
export async function scanCatalog(
  storage: Storage,
  o: CatalogOptions,
): Promise<{ backups: BackupRef[]; strays: readonly string[] }> {
  const { folders, strays } = await readFolders(storage, { ...o, keepsObjects: false });
  const sweep = createSweeper();
  const backups: BackupRef[] = [];
  const once = createOnce();
  for (const folder of taken(folders)) {
    sweep();
    if (folder.manifestAt === undefined) continue;
    const ref = await toRef(folder, storage, o);
    backups.push({
      ...ref,
      job: once(ref.job),
      kind: once(ref.kind),
      sourceTag: once(ref.sourceTag),
    });
  }
  return { backups: backups.sort(oldestFirst), strays };
}

function oldestFirst(a: BackupRef, b: BackupRef): number {
  return a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1);
}

/** A backup as it is now: its folder is listed anew. */
export async function readAgain(
  storage: Storage,
  ref: BackupRef,
  o: Abortable,
): Promise<BackupRef> {
  const files = new Map<string, number>();
  for await (const { key, bytes } of storage.list(ref.prefix, o)) {
    files.set(key.slice(ref.prefix.length), bytes);
  }
  return { ...ref, ...toContents(files) };
}

/** Every backup at a destination, oldest first, from one LIST; see {@link scanCatalog}. */
export async function readCatalog(storage: Storage, o: CatalogOptions): Promise<BackupRef[]> {
  return (await scanCatalog(storage, o)).backups;
}

function toAbandoned({ prefix, name, files, objects }: Folder, job: string): AbandonedFolder {
  const all = [...objects.values()];
  return {
    prefix,
    id: name.id,
    job,
    kind: name.kind,
    parentId: name.parentId,
    newestAt: new Date(Math.max(...all.map(({ modifiedAt }) => modifiedAt.getTime()))),
    storedBytes: sumOf(files),
    objects,
  };
}

interface Folder extends Listed {
  readonly prefix: string;
  /** Undefined where its name was too long for the folder's. */
  readonly job: string | undefined;
  readonly name: FolderName;
}

/** What a LIST tells of a folder; all else is in its prefix. */
interface Listed {
  /** Sizes by file name. */
  readonly files: Map<string, number>;
  /** By file name; empty where they are not kept. */
  readonly objects: Map<string, ObjectInfo>;
  /** When its manifest was stored; undefined where it has none. */
  manifestAt?: Date;
}

async function readFolders(
  storage: Storage,
  o: CatalogOptions & { readonly keepsObjects: boolean },
): Promise<{ folders: Map<string, Listed>; strays: string[]; scratch: ObjectInfo[] }> {
  const folders = new Map<string, Listed>();
  // Most folders have the same file names; each once is enough to remember.
  const once = createOnce();
  const strays: string[] = [];
  const scratch: ObjectInfo[] = [];
  const prefix = o.job === undefined ? "" : jobPrefix(o.job);
  for await (const object of storage.list(prefix, o)) {
    const parts = detached(object.key).split("/");
    if (parts.length === 2 && isScratchName(parts[1]!)) scratch.push(object);
    if (parts.length < 3) continue;
    const key = `${parts[0]}/${parts[1]}/`;
    let folder = folders.get(key);
    if (folder === undefined && parseFolderName(parts[1]!) === undefined) {
      if (parts.length === 3 && parts[2] === manifestName) strays.push(key);
      continue;
    }
    folder ??= { files: new Map(), objects: o.keepsObjects ? new Map() : noObjects };
    const file = once(parts.slice(2).join("/"));
    folder.files.set(file, object.bytes);
    if (o.keepsObjects) folder.objects.set(file, object);
    if (file === manifestName) folder.manifestAt = object.modifiedAt;
    folders.set(key, folder);
  }
  return { folders, strays, scratch };
}

/** Takes each folder out: what becomes of it need not be in memory beside it. */
function* taken(folders: Map<string, Listed>): Generator<Folder> {
  for (const [prefix, listed] of folders) {
    folders.delete(prefix);
    const [jobFolder, folderName] = prefix.split("/");
    const name = parseFolderName(folderName!)!;
    yield { ...listed, prefix, job: unescapeName(jobFolder!), name };
  }
}

// Never added to: one for all where the objects are not kept.
const noObjects = new Map<string, ObjectInfo>();

/** Parts of a text hold on to all of it, and a key that is cut out of a page of a LIST to that page. */
function detached(key: string): string {
  return Buffer.from(key).toString();
}

/** Gives the first of all texts that are the same, so that it is in memory once. */
function createOnce(): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    const same = known.get(text);
    if (same !== undefined) return same;
    if (known.size < mostKnown) known.set(text, text);
    return text;
  };
}

// Names of seals and marks are of one folder each.
const mostKnown = 1000;

async function toRef(folder: Folder, storage: Storage, o: CatalogOptions): Promise<BackupRef> {
  const { prefix, name, files, manifestAt } = folder;
  const job = o.job ?? folder.job ?? await readJob(storage, folder, o);
  const facts = sealOf(files.keys())?.facts;
  return {
    id: name.id,
    job,
    kind: name.kind,
    sourceTag: name.sourceTag,
    parentId: name.parentId,
    prefix,
    ...toContents(files),
    createdAt: toTheMillisecond(name.startedAt, facts?.startedAt),
    ...(storage.hasOwnClock === true && manifestAt !== undefined ? { storedAt: manifestAt } : {}),
  };
}

/** The seal's word counts only within the second that the folder's name tells. */
function toTheMillisecond(second: Date, exact: Date | undefined): Date {
  return exact !== undefined && compactTime(exact) === compactTime(second) ? exact : second;
}

function toContents(files: ReadonlyMap<string, number>) {
  return {
    storedBytes: storedBytesOf(files),
    marks: marksIn(files),
    files,
  };
}

function marksIn(files: ReadonlyMap<string, number>): readonly Mark[] {
  const marks = [...files.keys()].flatMap((file) => parseMarkName(file) ?? []);
  return marks.length === 0 ? noMarks : marks;
}

// Most backups have none.
const noMarks: readonly Mark[] = [];

function storedBytesOf(files: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [name, bytes] of files) if (isArtifactFile(name)) sum += bytes;
  return sum;
}

function sumOf(files: ReadonlyMap<string, number>): number {
  return files.values().reduce((sum, bytes) => sum + bytes, 0);
}

/** The job of a backup whose folder does not tell it; the folder's name where nothing does. */
async function readJob(
  storage: Storage,
  { prefix, name }: Folder,
  o: Abortable,
): Promise<string> {
  try {
    const ref = { prefix, ...name, files: new Map<string, number>() };
    return (await readManifest(storage, ref, { ...o, isTakenAsIs: true })).job;
  } catch {
    o.signal.throwIfAborted();
    return prefix.split("/")[0]!;
  }
}
