import { openArtifact, type ReadOptions } from "../../catalog/artifact-reader.ts";
import { decoderWith } from "../../codecs/mod.ts";
import type { OpenableBackup } from "../../contracts/restore.ts";
import type { ArtifactFormat } from "../../contracts/format.ts";
import type { Artifact, Manifest } from "../../contracts/manifest.ts";
import type { Storage } from "../../contracts/storage.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import type { Bytes } from "../../core/bytes.ts";
import type { JobContext } from "./context.ts";

/** A backup at one place, as it is stored. */
export interface StoredBackup {
  readonly storage: Storage;
  readonly ref: Pick<BackupRef, "prefix">;
  readonly manifest: Manifest;
}

/**
 * The raw bytes of an artifact, with digests and, where the format is known, structure checked. By
 * their checksum alone (see {@link ReadOptions}), they are what was walked when it was written, and are
 * not walked again.
 */
export function readRaw(
  { storage, ref }: StoredBackup,
  artifact: Artifact,
  formats: readonly ArtifactFormat[],
  o: Pick<JobContext, "signal" | "keyring"> & Pick<ReadOptions, "check">,
): Bytes {
  const isWalked = o.check === "checksum" && artifact.rawCrc32 !== undefined;
  const walker = isWalked ? undefined : formats.find(({ id }) => id === artifact.format)?.walk();
  const decoder = decoderWith(o.keyring);
  return openArtifact(storage, ref.prefix, artifact, { walker, decoder, check: o.check }, o);
}

/** A backup whose artifacts a connector can read. */
export function openableBackup(
  stored: StoredBackup,
  formats: readonly ArtifactFormat[],
  o: Pick<JobContext, "keyring">,
): OpenableBackup {
  const { manifest } = stored;
  const artifacts = manifest.artifacts.map((artifact) => ({
    ...artifact,
    open: ({ signal }: { readonly signal: AbortSignal }) =>
      readRaw(stored, artifact, formats, { ...o, signal }),
  }));
  return { manifest, artifacts };
}
