import { createHash } from "node:crypto";
import { z } from "zod";
import {
  type Manifest,
  manifestFormatVersion,
  manifestName,
  manifestSchema,
} from "../contracts/manifest.ts";
import type { Storage } from "../contracts/storage.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { type Abortable, collect } from "../core/bytes.ts";
import { BackupError, hasCode } from "../core/errors.ts";
import { backupPrefix, sourceTag } from "./names.ts";
import { type SealedFile, sealStatus } from "./seal.ts";

// Millions of files and warnings fit; more is no manifest.
const longestManifestBytes = 64 * 1024 * 1024;

/** A manifest and its file; the digest is what the seal and the backup's children name. */
export type ManifestFile = SealedFile;

/** How strictly a manifest is read. */
export interface ManifestOptions extends Abortable {
  /** Takes one that differs from its seal, or lies in another's folder; default false. */
  readonly isTakenAsIs?: boolean;
}

/**
 * Reads a backup's manifest.
 *
 * @throws BackupError `verification/newer-format` when it takes a newer dbbackup,
 * `verification/manifest` when it is not a manifest or not this backup's,
 * `verification/manifest-digest` when it is not what was stored, `verification/folder` when the
 * folder was renamed or copied; those of the storage
 */
export async function readManifest(
  storage: Storage,
  ref: ManifestRef,
  o: ManifestOptions,
): Promise<Manifest> {
  return (await readManifestFile(storage, ref, o)).manifest;
}

/**
 * As {@link readManifest}, with the bytes as they are stored.
 *
 * @throws as {@link readManifest}
 */
export async function readManifestFile(
  storage: Storage,
  ref: ManifestRef,
  o: ManifestOptions,
): Promise<ManifestFile> {
  const key = ref.prefix + manifestName;
  const bytes = await readFile(storage, key, o);
  const sha256 = sha256Of(bytes);
  const isStrict = o.isTakenAsIs !== true;
  // First of all: what was changed may say anything, even that it takes a newer reader.
  if (isStrict && sealStatus(ref.files, sha256) === "wrong") throw unsealed(key, ref);
  const manifest = parseManifest(bytes, key);
  if (manifest.id !== ref.id) {
    throw unreadable(key, `it belongs to backup ${manifest.id}, not to ${ref.id}`);
  }
  if (manifest.parent?.id !== ref.parentId) {
    const [said, named] = [manifest.parent?.id, ref.parentId].map((id) => id ?? "nothing");
    throw unreadable(key, `it builds on ${said}, and its folder says on ${named}`);
  }
  if (isStrict) assertFolder(manifest, ref);
  return { manifest, bytes, sha256 };
}

/** Whose manifest is read. */
type ManifestRef = Pick<BackupRef, "prefix" | "id" | "parentId" | "files">;

async function readFile(storage: Storage, key: string, o: Abortable): Promise<Uint8Array> {
  try {
    return await collect(storage.get(key, o), longestManifestBytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw unreadable(key, "it is longer than 64 MiB", error);
  }
}

/** The folder that a manifest gives its backup. */
export function folderOf({ job, id, kind, parent, source, startedAt }: Manifest): string {
  return backupPrefix({
    job,
    startedAt: new Date(startedAt),
    kind,
    id,
    sourceTag: source.tag,
    parentId: parent?.id,
  });
}

/**
 * The folder that a stray manifest is of.
 *
 * @param prefix of the folder that it lies in, ending in "/"
 * @returns undefined for what is no manifest of dbbackup's
 */
export async function homeOf(
  storage: Storage,
  prefix: string,
  o: Abortable,
): Promise<string | undefined> {
  const key = prefix + manifestName;
  try {
    return folderOf(parseManifest(await readFile(storage, key, o), key));
  } catch (error) {
    if (hasCode(error, "verification/") || hasCode(error, "storage/not-found")) return undefined;
    throw error;
  }
}

/**
 * Makes sure that a folder's name is what its manifest gives it.
 *
 * @throws BackupError `verification/folder`
 */
function assertFolder(manifest: Manifest, ref: ManifestRef): void {
  const named = folderOf(manifest);
  const { source } = manifest;
  if (named !== ref.prefix) throw misplaced(ref, `its manifest is of "${named}"`, named);
  const tag = sourceTag(source.kind, source.id);
  if (tag === source.tag) return;
  throw misplaced(ref, `its server ${source.id} (${source.kind}) has the tag ${tag}`, undefined);
}

function misplaced(
  { prefix, id }: ManifestRef,
  why: string,
  right: string | undefined,
): BackupError {
  return new BackupError("verification/folder", `The folder "${prefix}" is not its own: ${why}`, {
    hint: right === undefined
      ? "Somebody changed the manifest. Use another copy or backup."
      : `If it was renamed, rename it back to "${right}"; if it is a copy, delete it. ` +
        `\`restore ${id} --accept-differences\` takes it as it is.`,
  });
}

function unsealed(key: string, { id }: ManifestRef): BackupError {
  return new BackupError(
    "verification/manifest-digest",
    `"${key}" is not what was stored: its sha256 differs from that of its seal`,
    {
      hint: "Another copy is taken where there is one, and `dbbackup copy` heals from it. " +
        `\`restore ${id} --accept-differences\` takes it as it is.`,
    },
  );
}

/**
 * Reads a manifest out of its file's bytes.
 *
 * @param key names it in errors.
 * @throws as {@link readManifest}
 */
export function parseManifest(bytes: Uint8Array, key: string): Manifest {
  const value = parseJson(bytes, key);
  assertVersion(value, key);
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw unreadable(key, `${issue!.path.join(".") || "it"}: ${issue!.message}`, result.error);
}

/** The manifest as it is stored: JSON with fields in a fixed order, for people and for diffs. */
export function manifestText(manifest: Manifest): string {
  // The schema's order, whatever order the fields were set in; unknown ones follow.
  return `${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`;
}

/** The digest of a small file: by the manifest's the seal and the children name it. */
export function sha256Of(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

function parseJson(bytes: Uint8Array, key: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw unreadable(key, bytes.byteLength === 0 ? "it is empty" : "it is not JSON", cause);
  }
}

const versioned = z.looseObject({
  formatVersion: z.number(),
  tool: z.looseObject({ name: z.string(), version: z.string() }).optional(),
});

/** Before anything else: a newer format may look entirely different. */
function assertVersion(value: unknown, key: string): void {
  const { data } = versioned.safeParse(value);
  if (data === undefined || data.formatVersion <= manifestFormatVersion) return;
  const writer = data.tool === undefined ? "" : ` by ${data.tool.name} ${data.tool.version}`;
  throw new BackupError(
    "verification/newer-format",
    `"${key}" was written in format ${data.formatVersion}${writer}, and this dbbackup reads up to ` +
      `format ${manifestFormatVersion}`,
    {
      hint: data.tool === undefined
        ? "Use a newer dbbackup."
        : `Use ${data.tool.name} ${data.tool.version} or newer.`,
      details: { formatVersion: data.formatVersion },
    },
  );
}

function unreadable(key: string, why: string, cause?: unknown): BackupError {
  return new BackupError("verification/manifest", `Cannot read the manifest "${key}": ${why}`, {
    cause,
    hint:
      "Restore from another destination or an older backup; its RESTORE.txt still says how to " +
      "restore this one by hand.",
  });
}
