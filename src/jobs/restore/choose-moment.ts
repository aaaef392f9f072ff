import { familiesOf } from "../../catalog/catalog.ts";
import { chooseChain, type Reachable } from "../../catalog/choose-chain.ts";
import { readManifest } from "../../catalog/manifest.ts";
import { momentOf } from "../../catalog/moment.ts";
import { windowIn } from "../../catalog/windows.ts";
import type { Until } from "../../contracts/changes.ts";
import type { Manifest, Position } from "../../contracts/manifest.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { canonicalJson } from "../../core/json.ts";
import { mapSome } from "../../core/map-some.ts";
import type { JobContext } from "../shared/context.ts";
import { readAny } from "../shared/damaged-copy.ts";
import type { FoundBackup } from "../shared/find.ts";
import { manifestsAtOnce } from "../shared/manifest-cache.ts";
import type { RestoreRequest } from "./types.ts";

/** The backup that is restored, with all that it builds on. */
export interface Choice {
  readonly backup: FoundBackup;
  /** Where to stop in it; absent for its end. */
  readonly until?: Until;
}

/**
 * What restores a moment. Families are read newest first, until one reaches it: the manifests say
 * what the folders' names do not, from when to when.
 *
 * @throws BackupError `usage/too-early`, `usage/no-such-moment`
 */
export async function chooseForMoment(
  candidates: readonly FoundBackup[],
  at: Date,
  o: JobContext,
): Promise<Choice> {
  const known: Dated[] = [];
  let failure: unknown;
  let missed: unknown;
  const families = newestFirst(candidates);
  // A folder's name tells when the run began, and the data is never older than that.
  const first = families.findIndex(([root]) => momentOf(root!.ref) <= at);
  // The one after it only tells the nearest moment.
  for (const family of families.slice(Math.max(0, first - 1))) {
    const read = await readDated(family, o);
    known.push(...read.dated);
    failure ??= read.failure;
    if (first < 0 || momentOf(family[0]!.ref) > at) continue;
    try {
      const { chain, until } = chooseChain(known, { at });
      return { backup: chain.at(-1)!.found, ...until === undefined ? {} : { until } };
    } catch (error) {
      if (hasCode(error, "usage/no-such-moment")) {
        // Older families may reach into the time of this one, but hardly.
        if (missed !== undefined) throw missed;
        missed = error;
      } else if (!hasCode(error, "usage/too-early")) throw error;
    }
  }
  if (failure !== undefined || missed !== undefined) throw failure ?? missed;
  const oldest = candidates[0]!.ref;
  throw new BackupError("usage/too-early", `No backup is as old as ${at.toISOString()}`, {
    hint: `The oldest is ${oldest.id}, of ${oldest.createdAt.toISOString()}.`,
  });
}

/**
 * What restores a position: families newest first, until one reaches it.
 *
 * @throws BackupError `usage/no-such-position`
 */
export async function chooseForPosition(
  candidates: readonly FoundBackup[],
  position: Position,
  { target }: RestoreRequest,
  o: JobContext,
): Promise<Choice> {
  const compare = target.kind.positions?.compare ??
    ((a, b) => canonicalJson(a) === canonicalJson(b) ? 0 : undefined);
  const format = target.kind.positions?.format;
  const known: Dated[] = [];
  let failure: unknown;
  for (const family of newestFirst(candidates)) {
    const read = await readDated(family, o);
    known.push(...read.dated);
    failure = read.failure ?? failure;
    try {
      const { chain, until } = chooseChain(known, {
        position,
        compare,
        ...format === undefined ? {} : { format },
      });
      return { backup: chain.at(-1)!.found, ...until === undefined ? {} : { until } };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** What the manifests say; what cannot be read is passed over, with a warning. */
async function readDated(
  family: readonly FoundBackup[],
  o: JobContext,
): Promise<{ dated: Dated[]; failure: unknown }> {
  let failure: unknown;
  const all = await mapSome(family, manifestsAtOnce, async (one) => {
    try {
      return [dated(one, await anyManifest(one, o))];
    } catch (error) {
      o.signal.throwIfAborted();
      failure ??= error;
      const { message } = toBackupError(error);
      o.runtime.log.warn("Backup {id} is passed over for an older one: {message}", {
        id: one.ref.id,
        message,
      });
      return [];
    }
  });
  return { dated: all.flat(), failure };
}

/** A backup as its manifest tells it. */
interface Dated extends Reachable {
  readonly found: FoundBackup;
}

function dated(found: FoundBackup, { window, ...manifest }: Manifest): Dated {
  return {
    found,
    id: manifest.id,
    parentId: manifest.parent?.id,
    consistentAt: new Date(manifest.consistentAt),
    position: manifest.position,
    window: windowIn(window),
  };
}

/** Each full backup with all that builds on it, newest full one first. */
function newestFirst(candidates: readonly FoundBackup[]): FoundBackup[][] {
  const byRef = new Map(candidates.map((one) => [one.ref, one]));
  return [...familiesOf([...byRef.keys()])]
    .sort(([a], [b]) => momentOf(b).getTime() - momentOf(a).getTime())
    .map(([root, all]) =>
      [root, ...all.filter((one) => one !== root)].map((ref) => byRef.get(ref)!)
    );
}

/** The manifest, from the first destination where it can be read. */
export function anyManifest({ copies }: FoundBackup, o: JobContext): Promise<Manifest> {
  return readAny(copies, o, ({ destination, ref }) => readManifest(destination.storage, ref, o));
}
