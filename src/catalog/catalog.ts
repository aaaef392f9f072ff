import { manifestName } from "../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../contracts/storage.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import type { Abortable } from "../core/bytes.ts";
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

export { chainOf, goodBackups, latest, resolveBackup } from "./choose.ts";

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
  const { folders, strays, scratch } = await readFolders(storage, o);
  const backups: SurveyedBackup[] = [];
  const abandoned: AbandonedFolder[] = [];
  for (const folder of folders) {
    if (folder.objects.has(manifestName)) {
      const job = o.job ?? folder.job ?? await readJob(storage, folder, o);
      const ref = toRef(folder, job);
      const storedAt = folder.objects.get(manifestName)!.modifiedAt;
      const dated = storage.hasOwnClock === true ? { ...ref, storedAt } : ref;
      backups.push({ ...dated, objects: folder.objects });
    } else {
      abandoned.push(toAbandoned(folder, o.job ?? folder.job ?? folder.prefix.split("/")[0]!));
    }
  }
  backups.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1));
  return { backups, abandoned, strays, scratch };
}

/** A backup as it is now: its folder is listed anew. */
export async function readAgain(
  storage: Storage,
  ref: BackupRef,
  o: Abortable,
): Promise<BackupRef> {
  const objects = new Map<string, ObjectInfo>();
  for await (const object of storage.list(ref.prefix, o)) {
    objects.set(object.key.slice(ref.prefix.length), object);
  }
  return { ...ref, ...toContents(objects) };
}

/** Every backup at a destination, oldest first, from one LIST; see {@link surveyCatalog}. */
export async function readCatalog(storage: Storage, o: CatalogOptions): Promise<BackupRef[]> {
  return [...(await surveyCatalog(storage, o)).backups];
}

function toAbandoned({ prefix, name, objects }: Folder, job: string): AbandonedFolder {
  const all = [...objects.values()];
  return {
    prefix,
    id: name.id,
    job,
    kind: name.kind,
    parentId: name.parentId,
    newestAt: new Date(Math.max(...all.map(({ modifiedAt }) => modifiedAt.getTime()))),
    storedBytes: sumOf(all),
    objects,
  };
}

interface Folder {
  readonly prefix: string;
  /** Undefined where its name was too long for the folder's. */
  readonly job: string | undefined;
  readonly name: FolderName;
  /** By file name. */
  readonly objects: Map<string, ObjectInfo>;
}

async function readFolders(
  storage: Storage,
  o: CatalogOptions,
): Promise<{ folders: Folder[]; strays: string[]; scratch: ObjectInfo[] }> {
  const folders = new Map<string, Folder>();
  const strays: string[] = [];
  const scratch: ObjectInfo[] = [];
  const prefix = o.job === undefined ? "" : jobPrefix(o.job);
  for await (const object of storage.list(prefix, o)) {
    const parts = object.key.split("/");
    if (parts.length === 2 && isScratchName(parts[1]!)) scratch.push(object);
    if (parts.length < 3) continue;
    const [jobFolder, name] = [parts[0]!, parseFolderName(parts[1]!)];
    if (name === undefined) {
      if (parts.length === 3 && parts[2] === manifestName) strays.push(`${jobFolder}/${parts[1]}/`);
      continue;
    }
    const key = `${jobFolder}/${parts[1]}/`;
    const folder = folders.get(key) ??
      { prefix: key, job: unescapeName(jobFolder), name, objects: new Map() };
    folder.objects.set(parts.slice(2).join("/"), object);
    folders.set(key, folder);
  }
  return { folders: [...folders.values()], strays, scratch };
}

function toRef({ prefix, name, objects }: Folder, job: string): BackupRef {
  const contents = toContents(objects);
  return {
    id: name.id,
    job,
    kind: name.kind,
    sourceTag: name.sourceTag,
    parentId: name.parentId,
    prefix,
    ...contents,
    createdAt: toTheMillisecond(name.startedAt, contents.facts?.startedAt),
  };
}

/** The seal's word counts only within the second that the folder's name tells. */
function toTheMillisecond(second: Date, exact: Date | undefined): Date {
  return exact !== undefined && compactTime(exact) === compactTime(second) ? exact : second;
}

function toContents(objects: ReadonlyMap<string, ObjectInfo>) {
  const facts = sealOf(objects.keys())?.facts;
  return {
    ...(facts === undefined ? {} : { facts }),
    storedBytes: sumOf([...objects.values()]),
    marks: [...objects.keys()].flatMap((file) => parseMarkName(file) ?? []),
    files: new Map([...objects].map(([file, { bytes }]) => [file, bytes])),
  };
}

function sumOf(objects: readonly ObjectInfo[]): number {
  return objects.reduce((sum, { bytes }) => sum + bytes, 0);
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
