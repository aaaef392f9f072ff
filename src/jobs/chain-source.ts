import { openArtifact } from "../catalog/artifact-reader.ts";
import { chainOf } from "../catalog/catalog.ts";
import { inventoryFormat, readInventory } from "../catalog/inventory-file.ts";
import { manifestSha256, readManifestFile } from "../catalog/manifest.ts";
import { decoderWith } from "../codecs/mod.ts";
import type { RestorableBackup, RestorableChain } from "../contracts/connector.ts";
import { type Artifact, type Manifest, manifestName } from "../contracts/manifest.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { type Abortable, type Bytes, tapped } from "../core/bytes.ts";
import { BackupError, hasCode, toBackupError } from "../core/errors.ts";
import { checkSizes } from "./check-sizes.ts";
import { type Copy, isDamage, markDamaged, undamagedFirst } from "./damaged-copy.ts";
import type { FoundBackup } from "./list.ts";
import type { Meter } from "./progress.ts";
import type { JobContext, RestoreRequest } from "./types.ts";

/** A backup's chain, read from whichever destinations have whole copies of its links. */
export interface ChainSource {
  /**
   * Opens the chain: of each link the first copy that is whole by its sizes and whose inventory can
   * be read. Damaged copies that it meets are marked.
   *
   * @throws the first copy's error when a link has no usable copy; `restore/wrong-kind`
   */
  open(): Promise<RestorableChain>;
  /** The names of the destinations that are read, each once. */
  from(): string[];
  /**
   * Gives up the copy that could not be read, if reading is what failed since the last call, and
   * marks it where it is damaged.
   *
   * @returns what happened, for people; undefined when nothing failed or no other copy is left
   */
  fallBack(): Promise<string | undefined>;
}

/** A link of the chain with the copies that are left to try, the one in use first. */
interface Link {
  readonly id: string;
  copies: readonly Copy[];
}

/**
 * Makes the source of a chain; nothing is read yet.
 *
 * @throws BackupError `verification/broken-chain` when a link is at no destination
 */
export function chainSource(
  choice: FoundBackup,
  found: readonly FoundBackup[],
  request: RestoreRequest,
  meter: Meter,
  o: JobContext,
): ChainSource {
  const links: Link[] = chainOf(found.map(({ ref }) => ref), choice.ref).map((ref) => {
    const { copies } = found.find((one) => one.ref.prefix === ref.prefix)!;
    return { id: ref.id, copies: undamagedFirst(copies) };
  });
  let failed: { readonly link: Link; readonly copy: Copy; readonly error: BackupError } | undefined;

  async function giveUp(link: Link, error: unknown): Promise<string> {
    const [copy, ...others] = link.copies;
    link.copies = others;
    if (isDamage(error)) await markDamaged(copy!, o);
    const message = `The copy of ${link.id} at "${copy!.destination.name}" cannot be used: ` +
      toBackupError(error).message;
    o.runtime.log.warn("{message}", { message });
    return message;
  }

  /** @param expected the digest of the manifest that the link after it builds on. */
  async function openLink(link: Link, expected: string | undefined): Promise<RestorableBackup> {
    let failure: unknown;
    while (link.copies.length > 0) {
      const copy = link.copies[0]!;
      try {
        return await openCopy(copy, expected, (error) => failed = { link, copy, error });
      } catch (error) {
        o.signal.throwIfAborted();
        if (!isOfReading(error)) throw error;
        failure ??= error;
        await giveUp(link, error);
      }
    }
    throw failure;
  }

  async function openCopy(
    { destination: { storage }, ref }: Copy,
    expected: string | undefined,
    note: (error: BackupError) => void,
  ): Promise<RestorableBackup> {
    const { manifest, bytes } = await readManifestFile(storage, ref, o);
    assertUsable(manifest, request);
    if (expected !== undefined && manifestSha256(bytes) !== expected) throw otherParent(ref);
    const [problem] = checkSizes(manifest, ref);
    if (problem !== undefined) throw problem;
    const decoder = decoderWith(o.keyring);
    const inventory = await readInventory(storage, ref.prefix, manifest, { ...o, decoder });
    const read = async function* (artifact: Artifact, { signal }: Abortable): Bytes {
      const walker = request.target.kind.formats.find(({ id }) => id === artifact.format)?.walk();
      const stored = openArtifact(storage, ref.prefix, artifact, { walker, decoder }, {
        ...o,
        signal,
      });
      try {
        yield* tapped(stored, (chunk) => meter.raw(chunk.byteLength));
      } catch (error) {
        // Consumers may tell it in their own words; what it was is known here.
        if (!signal.aborted && isOfReading(error)) note(error);
        throw error;
      }
    };
    const artifacts = manifest.artifacts.map((artifact) => ({
      ...artifact,
      open: (abortable: Abortable) => read(artifact, abortable),
    }));
    return { manifest, artifacts, inventory };
  }

  return {
    async open() {
      const chain: RestorableBackup[] = [];
      // From the last one back: each names what it builds on.
      for (const link of links.toReversed()) {
        chain.unshift(await openLink(link, chain[0]?.manifest.parent?.manifestSha256));
      }
      return chain;
    },
    from() {
      const names = links.flatMap(({ copies }) => copies.slice(0, 1));
      return [...new Set(names.map(({ destination }) => destination.name))];
    },
    async fallBack() {
      if (failed === undefined) return undefined;
      const { link, copy, error } = failed;
      failed = undefined;
      if (link.copies[0] !== copy) return undefined;
      const message = await giveUp(link, error);
      return link.copies.length === 0 ? undefined : message;
    },
  };
}

function otherParent({ prefix }: BackupRef): BackupError {
  return new BackupError(
    "verification/broken-chain",
    `"${prefix}${manifestName}" is not what the backups that build on it were made with`,
    { hint: "Restore an older backup, or look for the right copy at another destination." },
  );
}

/** True for errors of what is stored, not of the target or of what was asked for. */
function isOfReading(error: unknown): error is BackupError {
  return hasCode(error, "verification/") || hasCode(error, "storage/");
}

function assertUsable(manifest: Manifest, { target }: RestoreRequest): void {
  const known = new Set([...target.kind.formats.map(({ id }) => id), inventoryFormat.id]);
  const foreign = manifest.artifacts.find(({ format }) => !known.has(format));
  if (foreign === undefined) return;
  throw new BackupError(
    "restore/wrong-kind",
    `Backup ${manifest.id} is of ${manifest.source.flavour} and the target is ${target.kind.title}`,
    { hint: `Give a target of kind "${manifest.source.kind}".` },
  );
}
