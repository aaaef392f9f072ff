import type { DestinationDefinition } from "../../config/model.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { BackupRef, Mark } from "../../contracts/strategy.ts";
import type { BackupError } from "../../core/errors.ts";
import type { JobContext } from "../shared/context.ts";
import type { FailedDestination } from "../shared/destinations.ts";
import type { ManifestSummary } from "./summary.ts";

/** What lies of a backup at one destination. */
export interface ListedCopy {
  readonly destination: string;
  readonly marks: readonly Mark[];
}

/** One backup as `list` and `show` tell it; its `marks` are those of all its copies. */
export interface ListedBackup extends BackupRef {
  /** The names of the destinations that have it, in the order given. */
  readonly destinations: readonly string[];
  /** The same with what is marked at each: one may be damaged and the other not. */
  readonly copies: readonly ListedCopy[];
  /** Undefined when it cannot be read, where `error` says why, and when it was not asked for. */
  readonly summary: ManifestSummary | undefined;
  readonly error?: BackupError;
}

/** One backup with all that is told of it. */
export interface ShownBackup extends ListedBackup {
  /** Undefined when it cannot be read. */
  readonly manifest: Manifest | undefined;
}

/**
 * `list`: newest first. Destinations that cannot be read are an error only if all are.
 *
 * @param o.isBrief reads the manifests of those backups alone of which the seal's facts do not tell
 * what a table shows; default false
 */
export type ListBackups = (
  destinations: readonly DestinationDefinition[],
  o: JobContext & { job?: string; isBrief?: boolean },
) => Promise<{
  backups: ListedBackup[];
  warnings: string[];
  /** Destinations that could not be looked at: what only they have is missing here. */
  unreached: readonly FailedDestination[];
  /** Ids of backups that are dated later than now and not taken for the newest. */
  ahead: readonly string[];
  /** The names of the destinations that were looked at; of several that are one place, the first. */
  places: readonly string[];
}>;

/**
 * `show`: one backup by its id, shortened while unique; reads no manifest but its own. Where it is not
 * found, a destination that could not be looked at is the error.
 */
export type ShowBackup = (
  destinations: readonly DestinationDefinition[],
  id: string,
  o: JobContext,
) => Promise<{
  backup: ShownBackup;
  /** From the full backup to this one; shorter where a link is missing. */
  chain: BackupRef[];
  /** Destinations that could not be looked at: whether they have it is not known. */
  unreached: readonly FailedDestination[];
}>;
