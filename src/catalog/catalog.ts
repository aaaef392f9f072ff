import { manifestName } from "../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../contracts/storage.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import type { Abortable } from "../core/bytes.ts";
import { parseMarkName } from "./mark-names.ts";
import { readManifest } from "./manifest.ts";
import { type FolderName, jobPrefix, parseFolderName, unescapeName } from "./names.ts";

export { chainOf, latest, resolveBackup } from "./choose.ts";

/** Options of {@link readCatalog}. */
export type CatalogOptions = Abortable & {
  /** Only backups of this job. */
  readonly job?: string;
};

/**
 * Every backup at a destination, oldest first, from one LIST: folders with a backup's name and a
 * manifest. Everything else is passed over.
 *
 * Only where a job's name was too long for its folder is a manifest read, to learn it.
 */
export async function readCatalog(storage: Storage, o: CatalogOptions): Promise<BackupRef[]> {
  const folders = await readFolders(storage, o);
  const backups: BackupRef[] = [];
  for (const folder of folders) {
    if (!folder.objects.has(manifestName)) continue;
    const job = o.job ?? folder.job ?? await readJob(storage, folder, o);
    backups.push(toRef(folder, job));
  }
  return backups.sort((a, b) =>
    a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1)
  );
}

/** A folder with a backup's name and no manifest: a run that is under way, or failed. */
export interface AbandonedFolder {
  /** Its key, ending in "/". */
  readonly prefix: string;
  readonly id: string;
  /** When its newest object was written. */
  readonly newestAt: Date;
  readonly storedBytes: number;
}

/** The folders at a destination that look like a backup's and have no manifest. */
export async function findAbandoned(
  storage: Storage,
  o: CatalogOptions,
): Promise<AbandonedFolder[]> {
  const folders = await readFolders(storage, o);
  return folders.filter(({ objects }) => !objects.has(manifestName)).map((folder) => {
    const objects = [...folder.objects.values()];
    return {
      prefix: folder.prefix,
      id: folder.name.id,
      newestAt: new Date(Math.max(...objects.map(({ modifiedAt }) => modifiedAt.getTime()))),
      storedBytes: sumOf(objects),
    };
  });
}

interface Folder {
  readonly prefix: string;
  /** Undefined where its name was too long for the folder's. */
  readonly job: string | undefined;
  readonly name: FolderName;
  /** By file name. */
  readonly objects: Map<string, ObjectInfo>;
}

async function readFolders(storage: Storage, o: CatalogOptions): Promise<Folder[]> {
  const folders = new Map<string, Folder>();
  const prefix = o.job === undefined ? "" : jobPrefix(o.job);
  for await (const object of storage.list(prefix, o)) {
    const parts = object.key.split("/");
    if (parts.length < 3) continue;
    const [jobFolder, name] = [parts[0]!, parseFolderName(parts[1]!)];
    if (name === undefined) continue;
    const key = `${jobFolder}/${parts[1]}/`;
    const folder = folders.get(key) ??
      { prefix: key, job: unescapeName(jobFolder), name, objects: new Map() };
    folder.objects.set(parts.slice(2).join("/"), object);
    folders.set(key, folder);
  }
  return [...folders.values()];
}

function toRef({ prefix, name, objects }: Folder, job: string): BackupRef {
  return {
    id: name.id,
    job,
    kind: name.kind,
    createdAt: name.startedAt,
    sourceTag: name.sourceTag,
    parentId: name.parentId,
    prefix,
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
    return (await readManifest(storage, { prefix, id: name.id }, o)).job;
  } catch {
    o.signal.throwIfAborted();
    return prefix.split("/")[0]!;
  }
}
