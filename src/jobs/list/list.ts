import type { DestinationDefinition } from "../../config/model.ts";
import { manifestName } from "../../contracts/manifest.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { linksOf } from "../../catalog/catalog.ts";
import { sealOf } from "../../catalog/seal.ts";
import { momentOf } from "../../catalog/moment.ts";
import { toBackupError } from "../../core/errors.ts";
import { createSweeper } from "../../core/memory.ts";
import { mapSome } from "../../core/map-some.ts";
import { withoutAhead } from "../shared/clock.ts";
import {
  type FailedDestination,
  type OpenDestination,
  withDestinations,
} from "../shared/destinations.ts";
import {
  type ManifestCache,
  manifestsAtOnce,
  openManifestCache,
} from "../shared/manifest-cache.ts";
import { findBackups, type FoundBackup } from "../shared/find.ts";
import { resolveReached } from "../shared/resolve-reached.ts";
import { createSummarizer } from "./summary.ts";
import type { ListBackups, ListedBackup, ShowBackup, ShownBackup } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** Lists the backups of several destinations as one list. See {@link ListBackups}. */
export const listBackups: ListBackups = (definitions, o) =>
  withFound(definitions, o, async ({ found, warnings, unreached }, open) => {
    const backups = await withManifests(found, open, o);
    backups.sort((a, b) => momentOf(b).getTime() - momentOf(a).getTime() || (a.id < b.id ? 1 : -1));
    const { ahead } = withoutAhead(backups, (one) => one, o.runtime.now());
    const places = open.map(({ name }) => name);
    return { backups, warnings, unreached, ahead: ahead.map(({ id }) => id), places };
  });

/** Every backup as its folder's name tells it, oldest first. Reads no manifest. */
export const listRefs = (
  definitions: readonly DestinationDefinition[],
  o: JobContext,
): Promise<{ refs: BackupRef[]; unreached: readonly FailedDestination[] }> =>
  withFound(
    definitions,
    o,
    ({ found, unreached }) => Promise.resolve({ refs: found.map(({ ref }) => ref), unreached }),
  );

/** One backup, and what it builds on. See {@link ShowBackup}. */
export const showBackup: ShowBackup = (definitions, id, o) =>
  withFound(definitions, o, async ({ found, unreached }) => {
    const refs = found.map(({ ref }) => ref);
    const { prefix } = resolveReached(refs, id, unreached);
    const cache = await openManifestCache(o);
    try {
      const one = found.find(({ ref }) => ref.prefix === prefix)!;
      return { backup: await shown(one, cache, o), chain: linksOf(refs, one.ref), unreached };
    } finally {
      cache.close();
    }
  });

/** Destinations that cannot be read are warnings, and an error only where all are. */
function withFound<T>(
  definitions: readonly DestinationDefinition[],
  o: JobContext & { job?: string },
  use: (
    listing: {
      readonly found: readonly FoundBackup[];
      readonly warnings: string[];
      readonly unreached: readonly FailedDestination[];
    },
    open: readonly OpenDestination[],
  ) => Promise<T>,
): Promise<T> {
  return withDestinations(definitions, o, async (open, unopened) => {
    const { found, warnings, failed } = await findBackups(open, o, o.job);
    const unreached = [...unopened, ...failed];
    if (unreached.length > 0 && unreached.length === definitions.length) {
      throw unreached[0]!.error;
    }
    const unopenedWarnings = unopened.map(({ name, error }) =>
      `Destination "${name}" is left out: ${error.message}`
    );
    return await use({ found, warnings: [...unopenedWarnings, ...warnings], unreached }, open);
  });
}

/** The names of the jobs that have backups at these destinations, sorted. Reads no manifest. */
export const listJobs = (
  definitions: readonly DestinationDefinition[],
  o: JobContext,
): Promise<string[]> =>
  withDestinations(definitions, o, async (open, unopened) => {
    const { found, failed } = await findBackups(open, o);
    const [unreached] = [...unopened, ...failed];
    if (unreached !== undefined) throw unreached.error;
    return [...new Set(found.map(({ ref }) => ref.job))].sort();
  });

async function withManifests(
  found: readonly FoundBackup[],
  open: readonly OpenDestination[],
  o: JobContext & { job?: string; isBrief?: boolean },
): Promise<ListedBackup[]> {
  const cache = await openManifestCache(o);
  const sweep = createSweeper();
  const summarize = createSummarizer();
  try {
    const backups = await mapSome(
      found,
      manifestsAtOnce,
      async (backup) => {
        sweep();
        if (o.isBrief === true && isTold(backup)) return told(backup);
        const { manifest, ...one } = await read(backup, cache, o);
        return { ...one, summary: manifest && summarize(manifest) };
      },
    );
    for (const { storage } of o.job === undefined ? open : []) {
      const here = found.filter(({ copies }) =>
        copies.some(({ destination }) => destination.storage === storage)
      );
      // An empty list may be a disk that is not mounted.
      if (here.length > 0) {
        cache.keepOnly(storage.location, new Set(here.map(({ ref }) => ref.prefix)));
      }
    }
    return backups;
  } finally {
    cache.close();
  }
}

/** Where a backup lies, and what is marked there, as {@link ListedBackup} tells it. */
export function listedCopies(
  copies: FoundBackup["copies"],
): Pick<ListedBackup, "destinations" | "copies" | "marks"> {
  return {
    destinations: copies.map(({ destination }) => destination.name),
    copies: copies.map(({ destination, ref }) => ({
      destination: destination.name,
      marks: ref.marks,
    })),
    marks: copies.length === 1 ? copies[0]!.ref.marks : copies.flatMap(({ ref }) => ref.marks),
  };
}

/** True where a seal tells all that a table shows, and the manifest is as long as it says. */
function isTold({ copies }: FoundBackup): boolean {
  return copies.every(({ ref: { files } }) => {
    const facts = sealOf(files.keys())?.facts;
    return facts?.omissions === 0 && files.get(manifestName) === facts.manifestBytes;
  });
}

function told({ ref, copies }: FoundBackup): ListedBackup {
  return { ...ref, ...listedCopies(copies), summary: undefined };
}

async function shown(
  backup: FoundBackup,
  cache: ManifestCache,
  o: JobContext,
): Promise<ShownBackup> {
  const one = await read(backup, cache, o);
  return { ...one, summary: one.manifest && createSummarizer()(one.manifest) };
}

/** With the manifest of the first copy whose own can be read. */
async function read(
  { ref, copies }: FoundBackup,
  cache: ManifestCache,
  o: JobContext,
): Promise<Omit<ShownBackup, "summary">> {
  const base = { ...ref, ...listedCopies(copies) };
  let failure: unknown;
  for (const copy of copies) {
    try {
      const { manifest } = await cache.read(copy.destination.storage, copy.ref, o);
      // Without a seal, the folder's name tells the start only to the second.
      const createdAt = new Date(manifest.startedAt);
      return { ...base, job: manifest.job, createdAt, manifest };
    } catch (error) {
      o.signal.throwIfAborted();
      failure = error;
    }
  }
  return { ...base, manifest: undefined, error: toBackupError(failure) };
}
