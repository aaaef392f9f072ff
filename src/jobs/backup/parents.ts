import { chainOf } from "../../catalog/catalog.ts";
import { assertFollows, joinsOf } from "../../catalog/continuity.ts";
import { readManifestFile } from "../../catalog/manifest.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { Storage } from "../../contracts/storage.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { undamagedFirst } from "../shared/damaged-copy.ts";
import type { JobContext } from "../shared/context.ts";
import type { FoundBackup } from "../shared/find.ts";

/** What a backup builds on, as it is stored. */
export interface StoredParent {
  readonly ref: BackupRef;
  /** Where its artifacts can be read. */
  readonly storage: Storage;
  readonly manifest: Manifest;
  /** Of its `manifest.json`, byte by byte. */
  readonly sha256: string;
  /** The manifests from the full backup to this one. */
  readonly chain: readonly Manifest[];
}

/**
 * Reads the manifests of a chain that a next backup is to build on, and makes sure that they follow
 * one another.
 *
 * @param found everything at the destinations that are written to
 * @throws BackupError that of the first link that no destination has whole
 */
export async function readParent(
  parent: BackupRef,
  found: readonly FoundBackup[],
  kind: ConnectorKind,
  o: JobContext,
): Promise<StoredParent> {
  const joins = joinsOf(kind.positions);
  const links: Omit<StoredParent, "chain">[] = [];
  for (const ref of chainOf(found.map((one) => one.ref), parent)) {
    const { copies } = found.find((one) => one.ref.prefix === ref.prefix)!;
    const link = await readLink(copies, o);
    const before = links.at(-1);
    if (before !== undefined) assertFollows(link.manifest, before, joins);
    links.push(link);
  }
  return { ...links.at(-1)!, chain: links.map(({ manifest }) => manifest) };
}

async function readLink(
  copies: FoundBackup["copies"],
  o: JobContext,
): Promise<Omit<StoredParent, "chain">> {
  let failure: unknown;
  for (const { destination: { storage }, ref } of undamagedFirst(copies)) {
    try {
      const { manifest, sha256 } = await readManifestFile(storage, ref, o);
      return { ref, storage, manifest, sha256 };
    } catch (error) {
      o.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}
