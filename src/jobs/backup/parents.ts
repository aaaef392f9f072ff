import { chainOf } from "../../catalog/catalog.ts";
import { assertFollows, joinsOf } from "../../catalog/continuity.ts";
import { readManifestFile } from "../../catalog/manifest.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { Storage } from "../../contracts/storage.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { mapSome } from "../../core/map-some.ts";
import { readAny } from "../shared/damaged-copy.ts";
import type { JobContext } from "../shared/context.ts";
import type { FoundBackup } from "../shared/find.ts";
import { manifestsAtOnce, openManifestCache } from "../shared/manifest-cache.ts";

/** One backup of a chain, as it is stored. */
export interface StoredLink {
  readonly ref: BackupRef;
  /** Where its artifacts can be read. */
  readonly storage: Storage;
  readonly manifest: Manifest;
  /** Of its `manifest.json`, byte by byte. */
  readonly sha256: string;
}

/** What a backup builds on. */
export interface StoredParent extends StoredLink {
  /** From the full backup to this one. */
  readonly chain: readonly StoredLink[];
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
  const byPrefix = new Map(found.map((one) => [one.ref.prefix, one]));
  const cache = await openManifestCache(o);
  let links: StoredLink[];
  try {
    const refs = chainOf(found.map((one) => one.ref), parent);
    links = await mapSome(refs, manifestsAtOnce, (ref) => {
      // The parent itself is read as it is now: the backup names its digest.
      const read = ref.prefix === parent.prefix ? readManifestFile : cache.read;
      const { copies } = byPrefix.get(ref.prefix)!;
      return readAny(copies, o, async ({ destination: { storage }, ref }) => {
        const { manifest, sha256 } = await read(storage, ref, o);
        return { ref, storage, manifest, sha256 };
      });
    });
  } finally {
    cache.close();
  }
  for (const [index, link] of links.entries()) {
    if (index > 0) assertFollows(link.manifest, links[index - 1]!, joins);
  }
  return { ...links.at(-1)!, chain: links };
}
