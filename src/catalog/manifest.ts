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
import { BackupError } from "../core/errors.ts";

/**
 * Reads a backup's manifest.
 *
 * @throws BackupError `verification/newer-format` when it takes a newer dbbackup,
 * `verification/manifest` when it is not a manifest or not this backup's; those of the storage
 */
export async function readManifest(
  storage: Storage,
  ref: ManifestRef,
  o: Abortable,
): Promise<Manifest> {
  return (await readManifestFile(storage, ref, o)).manifest;
}

/**
 * As {@link readManifest}, with the bytes as they are stored, whose digest children name.
 *
 * @throws as {@link readManifest}
 */
export async function readManifestFile(
  storage: Storage,
  ref: ManifestRef,
  o: Abortable,
): Promise<{ manifest: Manifest; bytes: Uint8Array }> {
  const key = ref.prefix + manifestName;
  const bytes = await collect(storage.get(key, o));
  const manifest = parseManifest(bytes, key);
  if (manifest.id !== ref.id) {
    throw unreadable(key, `it belongs to backup ${manifest.id}, not to ${ref.id}`);
  }
  if (manifest.parent?.id !== ref.parentId) {
    const [said, named] = [manifest.parent?.id, ref.parentId].map((id) => id ?? "nothing");
    throw unreadable(key, `it builds on ${said}, and its folder says on ${named}`);
  }
  return { manifest, bytes };
}

/** Whose manifest is read. */
type ManifestRef = Pick<BackupRef, "prefix" | "id" | "parentId">;

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

/** The digest by which a child names its parent's manifest. */
export function manifestSha256(text: string | Uint8Array): string {
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
