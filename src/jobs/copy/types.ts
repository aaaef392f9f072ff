import type { DestinationDefinition } from "../../config/model.ts";
import type { BackupError } from "../../core/errors.ts";
import type { JobContext } from "../shared/context.ts";

/** What to copy. */
export interface CopyRequest {
  /** Whose backups are copied; they are read there, in this order. */
  readonly sources: readonly DestinationDefinition[];
  /**
   * Where else a backup of theirs may be read that they have damaged, and where its parents may be.
   * What only these have is not copied.
   */
  readonly fallbacks?: readonly DestinationDefinition[];
  readonly to: DestinationDefinition;
  /** Names of jobs and ids, shortened while unique; everything when empty. */
  readonly wanted: readonly string[];
}

/** What became of one backup. */
export interface CopyResult {
  readonly id: string;
  readonly job: string;
  /** `healed`: it was there and damaged, and is whole now. */
  readonly status: "present" | "copied" | "healed" | "failed";
  /** The destination it was read from; undefined where nothing was read. */
  readonly from?: string;
  /** How many were written. */
  readonly bytes: number;
  readonly error?: BackupError;
  /** True where no copy of it could be read; else it is the target that failed. */
  readonly isOfSource?: boolean;
}

/**
 * `copy`: brings a destination up to date. What is there already is left alone, what is damaged there
 * is replaced, and a copy that was cut short goes on where it was.
 */
export type CopyBackups = (
  request: CopyRequest,
  o: JobContext & { onResult?: (result: CopyResult) => void },
) => Promise<CopyResult[]>;
