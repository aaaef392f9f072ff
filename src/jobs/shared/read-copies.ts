import type { DestinationDefinition } from "../../config/model.ts";
import { volumeFaults } from "../../catalog/folder-faults.ts";
import { readManifestFile } from "../../catalog/manifest.ts";
import type { BackupError } from "../../core/errors.ts";
import type { JobContext } from "./context.ts";
import { type Copy, isOfReading, undamagedFirst } from "./damaged-copy.ts";
import { withDestinations } from "./destinations.ts";
import { findBackups } from "./find.ts";
import { withBackupsKept } from "./lock.ts";
import type { StoredBackup } from "./open-backup.ts";
import { resolveReached } from "./resolve-reached.ts";

/** A copy of a backup whose manifest is what was stored, and whose files have their sizes. */
export interface ReadableCopy extends StoredBackup {
  /** The destination's name. */
  readonly destination: string;
}

/**
 * Reads one backup from the first destination that has a good copy; one that fails is followed by the
 * next, while `isFinal` does not say that what was read so far has been used. Prune stays away from
 * it meanwhile.
 *
 * @param id may be shortened while it is unique
 * @throws BackupError the first copy's where none is good; `usage/no-such-backup`,
 * `usage/ambiguous-backup`
 */
export function readCopies<T>(
  definitions: readonly DestinationDefinition[],
  id: string,
  o: JobContext,
  read: (copy: ReadableCopy) => Promise<T>,
  isFinal: () => boolean = () => false,
): Promise<T> {
  return withDestinations(definitions, o, async (open, unopened) => {
    const { found, failed } = await findBackups(open, o);
    const unreached = [...unopened, ...failed];
    if (unreached.length > 0 && unreached.length === definitions.length) throw unreached[0]!.error;
    const { prefix } = resolveReached(found.map(({ ref }) => ref), id, unreached);
    const { copies } = found.find(({ ref }) => ref.prefix === prefix)!;
    let failure: BackupError | undefined;
    const left = undamagedFirst(copies);
    for (let copy = left.shift(); copy !== undefined; copy = left.shift()) {
      const { destination, ref } = copy;
      try {
        const scope = { job: ref.job, locations: [destination.storage.location] };
        return await withBackupsKept(scope, o, async () => await read(await openCopy(copy, o)));
      } catch (error) {
        o.signal.throwIfAborted();
        if (isFinal() || !isOfReading(error)) throw error;
        failure ??= error;
        if (left.length === 0) continue;
        o.runtime.log.warn("The copy of {id} at {destination} cannot be read: {error}", {
          id: ref.id,
          destination: destination.name,
          error: error.message,
        });
      }
    }
    throw failure;
  });
}

async function openCopy(copy: Copy, o: JobContext): Promise<ReadableCopy> {
  const { destination: { storage, name }, ref } = copy;
  const { manifest } = await readManifestFile(storage, ref, o);
  const [fault] = volumeFaults(manifest, ref);
  if (fault !== undefined) throw fault;
  return { storage, ref, manifest, destination: name };
}
