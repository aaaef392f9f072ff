import { chainOf, keyOf } from "../../catalog/catalog.ts";
import { assertContinuous, assertFollows, joinsOf } from "../../catalog/continuity.ts";
import { type ManifestFile, readManifest } from "../../catalog/manifest.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Copy } from "../shared/damaged-copy.ts";
import type { FoundBackup } from "../shared/find.ts";
import type { JobContext } from "../shared/context.ts";
import type { ManifestCache } from "../shared/manifest-cache.ts";

/** What all destinations together have. */
export interface Everything {
  readonly found: readonly FoundBackup[];
  /** False when some destination could not be looked at. */
  readonly isWhole: boolean;
  /** The kinds of database that are known here. */
  readonly kinds: readonly ConnectorKind[];
  /** Reads manifests: those that are remembered will do for checks of sizes, and not for deep ones. */
  readonly read: ManifestCache["read"];
}

/**
 * Makes sure that what a copy builds on is there, as it was when the backup was made. A restore takes
 * each link from wherever it is, so another destination's copy will do.
 *
 * @returns notes on what lies elsewhere
 * @throws BackupError `verification/broken-chain`, `verification/gap`, `storage/unreadable` when that
 * cannot be told; those of the storage
 */
export async function checkChain(
  { destination, ref }: Copy,
  manifest: Manifest,
  { found, isWhole, kinds, read }: Everything,
  o: JobContext,
): Promise<string[]> {
  const joins = joinsOf(kinds.find(({ kind }) => kind === manifest.source.kind)?.positions);
  assertContinuous(manifest, joins);
  const { parent } = manifest;
  if (parent === null) return [];
  const notes: string[] = [];
  const links = ancestorsOf(ref, found, isWhole);
  for (const { ref: { id }, copies } of links) {
    if (copies.some((copy) => copy.destination === destination)) continue;
    notes.push(`${id}, which it builds on, is not here; a restore reads it at ${namesOf(copies)}`);
  }
  const { copies } = links.at(-1)!;
  const isHere = (copy: Copy) => copy.destination === destination;
  for (const copy of [...copies].sort((a, b) => Number(isHere(b)) - Number(isHere(a)))) {
    const there = await manifestAt(copy, read, o);
    if (there?.sha256 === parent.manifestSha256) {
      assertFollows(manifest, there, joins);
      return notes;
    }
    const where = isHere(copy) ? "here" : `at "${copy.destination.name}"`;
    notes.push(`${parent.id}, which it builds on, is not ${where} what it was`);
  }
  if (!isWhole) throw untold(ref.id);
  throw new BackupError(
    "verification/broken-chain",
    `Backup ${ref.id} cannot be restored: ${parent.id} is not what it was when ${ref.id} was made`,
    { hint: "Restore an older backup, and take a new full one." },
  );
}

/**
 * Makes sure that what builds on a copy was made with the manifest that it has now.
 *
 * @throws BackupError `verification/broken-chain`; those of the storage
 */
export async function checkChildren(
  { destination, ref }: Copy,
  { sha256 }: ManifestFile,
  { found }: Everything,
  o: JobContext,
): Promise<void> {
  const copies = (indexOf(found).byParent.get(keyOf(ref, ref.id)) ?? [])
    .flatMap((one) => one.copies);
  for (const child of copies.filter((copy) => copy.destination === destination)) {
    const said = await parentDigest(child, o);
    if (said === undefined || said === sha256) continue;
    throw new BackupError(
      "verification/broken-chain",
      `Backup ${ref.id} is not what it was when ${child.ref.id}, which builds on it, was made`,
      { hint: "Use another copy of it, or an older backup, and take a new full one." },
    );
  }
}

/** Undefined where the child's manifest is damaged, which its own check tells. */
async function parentDigest({ destination, ref }: Copy, o: JobContext) {
  try {
    return (await readManifest(destination.storage, ref, o)).parent?.manifestSha256;
  } catch (error) {
    if (hasCode(error, "verification/") || hasCode(error, "storage/not-found")) return undefined;
    throw error;
  }
}

/** The full one first; without the backup itself. */
function ancestorsOf(
  ref: BackupRef,
  found: readonly FoundBackup[],
  isWhole: boolean,
): FoundBackup[] {
  try {
    const { byKey } = indexOf(found);
    const line = new Map<BackupRef, FoundBackup>();
    for (let child = ref; child.parentId !== undefined;) {
      const parent = byKey.get(keyOf(child, child.parentId));
      if (parent === undefined || line.has(parent.ref)) break;
      line.set(parent.ref, parent);
      child = parent.ref;
    }
    const chain = chainOf([...line.keys(), ref], ref).slice(0, -1);
    return chain.map((one) => line.get(one)!);
  } catch (error) {
    throw !isWhole && hasCode(error, "verification/broken-chain") ? untold(ref.id) : error;
  }
}

/** What was found by name and by parent, made once: there may be ten thousand, in one chain. */
interface Index {
  readonly byKey: ReadonlyMap<string, FoundBackup>;
  readonly byParent: ReadonlyMap<string, readonly FoundBackup[]>;
}

const indexes = new WeakMap<readonly FoundBackup[], Index>();

function indexOf(found: readonly FoundBackup[]): Index {
  const known = indexes.get(found);
  if (known !== undefined) return known;
  const byKey = new Map<string, FoundBackup>();
  const byParent = new Map<string, FoundBackup[]>();
  for (const one of found) {
    const name = keyOf(one.ref, one.ref.id);
    if (!byKey.has(name)) byKey.set(name, one);
    if (one.ref.parentId === undefined) continue;
    const parent = keyOf(one.ref, one.ref.parentId);
    const children = byParent.get(parent) ?? [];
    children.push(one);
    byParent.set(parent, children);
  }
  const index = { byKey, byParent };
  indexes.set(found, index);
  return index;
}

async function manifestAt(
  { destination: { storage }, ref }: Copy,
  read: ManifestCache["read"],
  o: JobContext,
) {
  try {
    return await read(storage, ref, o);
  } catch (error) {
    if (hasCode(error, "verification/")) return undefined;
    throw error;
  }
}

function namesOf(copies: readonly Copy[]): string {
  return copies.map(({ destination }) => `"${destination.name}"`).join(", ");
}

function untold(id: string): BackupError {
  return new BackupError(
    "storage/unreadable",
    `What ${id} builds on may be at a destination that could not be looked at`,
    { hint: "Verify again when every destination can be reached." },
  );
}
