import { chainOf, readAgain } from "../../catalog/catalog.ts";
import { assertContinuous, assertFollows, joinsOf } from "../../catalog/continuity.ts";
import { volumeFaults } from "../../catalog/folder-faults.ts";
import { inventoryFormat, readInventory } from "../../catalog/inventory-file.ts";
import { readManifestFile } from "../../catalog/manifest.ts";
import { decoderWith } from "../../codecs/mod.ts";
import type { RestorableBackup, RestorableChain } from "../../contracts/restore.ts";
import { type Artifact, isKnownKind, type Manifest } from "../../contracts/manifest.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { type Abortable, type Bytes, drain, tapped } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import {
  type Copy,
  isDamage,
  isOfReading,
  markSuspect,
  readOnceMore,
  undamagedFirst,
} from "../shared/damaged-copy.ts";
import type { FoundBackup } from "../shared/find.ts";
import { readRaw } from "../shared/open-backup.ts";
import { unknownRole } from "../shared/roles.ts";
import type { Meter } from "../shared/progress.ts";
import type { RestoreRequest } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** A backup's chain, read from whichever destinations have whole copies of its links. */
export interface ChainSource {
  /**
   * Opens the chain: of each link the first copy that is whole by its sizes and whose inventory can
   * be read. Copies that are damaged at a second look, too, are marked. Where no copy's manifest is
   * what was stored, one is taken as it is if differences are accepted.
   *
   * @throws the first copy's error when a link has no usable copy; `restore/wrong-kind`,
   * `restore/unknown-kind`
   */
  open(): Promise<RestorableChain>;
  /** The names of the destinations that are read, each once. */
  from(): string[];
  /** The copy of the last backup that is read. */
  lastCopy(): Copy;
  /**
   * Looks again at the copy that could not be read, if reading is what failed since the last call,
   * and gives it up where that fails, too, marking it where it is damaged.
   *
   * @returns what happened, for people; undefined when nothing failed or no copy is left to try
   */
  fallBack(): Promise<string | undefined>;
}

/** What went wrong while an artifact was read. */
interface Failure {
  readonly link: Link;
  readonly copy: Copy;
  readonly error: BackupError;
  /** Reads the artifact anew, to its end. */
  readonly again: () => Promise<void>;
}

// What somebody did to the folder; the artifacts may be as good as ever.
const takenAsIs: ReadonlySet<string> = new Set([
  "verification/manifest-digest",
  "verification/folder",
]);

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
  const joins = joinsOf(request.target.kind.positions);
  let failed: Failure | undefined;
  // A copy that reads well only every other time is not asked a third time.
  const forgiven = new Set<Copy>();

  function giveUp(link: Link, error: BackupError): string {
    const [copy, ...others] = link.copies;
    link.copies = others;
    const message = `The copy of ${link.id} at "${copy!.destination.name}" cannot be used: ` +
      error.message;
    o.runtime.log.warn("{message}", { message });
    return message;
  }

  /** @param child the link after it, which builds on it */
  async function openLink(link: Link, child: Manifest | undefined): Promise<RestorableBackup> {
    let failure: unknown;
    const changed: Copy[] = [];
    while (link.copies.length > 0) {
      const copy = link.copies[0]!;
      const open = (ref: BackupRef) => openCopy(link, { ...copy, ref }, child, false);
      try {
        return await open(copy.ref);
      } catch (error) {
        o.signal.throwIfAborted();
        if (!isOfReading(error)) throw error;
        const again = async () =>
          await open(await readAgain(copy.destination.storage, copy.ref, o));
        const opened = isDamage(error) ? await readOnceMore(copy, error, again, o) : undefined;
        if (opened !== undefined) return opened.value;
        failure ??= error;
        if (takenAsIs.has(error.code)) changed.push(copy);
        giveUp(link, error);
      }
    }
    const [last] = changed;
    if (last === undefined || !request.isDifferenceAccepted) throw failure;
    link.copies = [last];
    o.runtime.log.warn("The copy of {id} at {destination} is taken as it is", {
      id: link.id,
      destination: last.destination.name,
    });
    return await openCopy(link, last, child, true);
  }

  async function openCopy(
    link: Link,
    copy: Copy,
    child: Manifest | undefined,
    isTakenAsIs: boolean,
  ): Promise<RestorableBackup> {
    const { destination: { storage }, ref } = copy;
    const { manifest, sha256 } = await readManifestFile(storage, ref, { ...o, isTakenAsIs });
    assertUsable(manifest, request);
    if (child !== undefined) assertFollows(child, { manifest, sha256 }, joins);
    assertContinuous(manifest, joins);
    const [problem] = volumeFaults(manifest, ref);
    if (problem !== undefined) throw problem;
    const decoder = decoderWith(o.keyring);
    const inventory = await readInventory(storage, ref.prefix, manifest, { ...o, decoder });
    const { formats } = request.target.kind;
    const raw = (artifact: Artifact, signal: AbortSignal) =>
      readRaw({ storage, ref, manifest }, artifact, formats, { ...o, signal, check: "checksum" });
    const read = async function* (artifact: Artifact, { signal }: Abortable): Bytes {
      try {
        yield* tapped(raw(artifact, signal), (chunk) => meter.raw(chunk.byteLength));
      } catch (error) {
        // Consumers may tell it in their own words; what it was is known here.
        if (!signal.aborted && isOfReading(error)) {
          failed = { link, copy, error, again: () => drain(raw(artifact, o.signal)) };
        }
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
        chain.unshift(await openLink(link, chain[0]?.manifest));
      }
      return chain;
    },
    from() {
      const names = links.flatMap(({ copies }) => copies.slice(0, 1));
      return [...new Set(names.map(({ destination }) => destination.name))];
    },
    lastCopy: () => links.at(-1)!.copies[0]!,
    async fallBack() {
      if (failed === undefined) return undefined;
      const { link, copy, error, again } = failed;
      failed = undefined;
      const isInUse = link.copies[0]?.ref.prefix === copy.ref.prefix &&
        link.copies[0].destination === copy.destination;
      if (!isInUse) return undefined;
      if (forgiven.has(link.copies[0]!)) {
        await markSuspect(copy, o);
      } else if (isDamage(error)) {
        meter.stage(`read ${link.id} at ${copy.destination.name} again`);
        if (await readOnceMore(copy, error, again, o) !== undefined) {
          forgiven.add(link.copies[0]!);
          return `The copy of ${link.id} at "${copy.destination.name}" was read wrong once: ` +
            error.message;
        }
      }
      const message = giveUp(link, error);
      return link.copies.length === 0 ? undefined : message;
    },
  };
}

function assertUsable(manifest: Manifest, { target }: RestoreRequest): void {
  if (!isKnownKind(manifest.kind)) {
    throw new BackupError(
      "restore/unknown-kind",
      `Backup ${manifest.id} is of kind "${manifest.kind}", which this dbbackup does not know`,
      {
        hint:
          `It was made by ${manifest.tool.name} ${manifest.tool.version}: use that or a newer ` +
          "one, or restore an older backup.",
      },
    );
  }
  const strange = unknownRole(manifest, target.kind);
  // What another kind of database wrote is told as that.
  if (strange !== undefined && manifest.source.kind === target.kind.kind) {
    throw new BackupError(
      "restore/unknown-role",
      `Backup ${manifest.id} has an artifact of role "${strange.role}", which this dbbackup does not ` +
        "know",
      {
        hint:
          `It was made by ${manifest.tool.name} ${manifest.tool.version}: use that or a newer ` +
          "one, or restore an older backup.",
      },
    );
  }
  const known = new Set([...target.kind.formats.map(({ id }) => id), inventoryFormat.id]);
  const foreign = manifest.artifacts.find(({ format }) => !known.has(format));
  if (foreign === undefined) return;
  throw new BackupError(
    "restore/wrong-kind",
    `Backup ${manifest.id} is of ${manifest.source.flavour} and the target is ${target.kind.title}`,
    { hint: `Give a target of kind "${manifest.source.kind}".` },
  );
}
