import type { DestinationDefinition } from "../../config/model.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Mark } from "../../contracts/strategy.ts";
import type { JobContext } from "../shared/context.ts";
import type { FailedDestination } from "../shared/destinations.ts";

/** What `verify` found of one backup at one destination. */
export interface VerifyResult {
  readonly id: string;
  readonly job: string;
  readonly destination: string;
  /** `flawed`: what a restore needs is right, and something else is not what was stored. */
  readonly status: "good" | "flawed" | "damaged" | "unchecked";
  /** What was looked at: `sizes`, `digests`, `structure`, `pg_restore`. */
  readonly checks: readonly string[];
  /** What is wrong, each naming the object. */
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** What could not be looked into, and why. */
  readonly notes: readonly string[];
  readonly mark?: Mark;
}

/** A folder that holds a backup's manifest under a name that is no backup's. */
export interface Stray {
  readonly destination: string;
  /** The folder's key, ending in "/". */
  readonly prefix: string;
  /** The one that its manifest gives it. */
  readonly right: string;
}

/** `verify`: sizes by default, every byte with `isDeep`. Damage is a result, not an exception. */
export type VerifyBackups = (
  request: {
    readonly destinations: readonly DestinationDefinition[];
    /** Ids, shortened while unique; all when empty. */
    readonly backups: readonly string[];
    readonly job?: string;
    /** Only the newest backup of each job and source. */
    readonly isLatestOnly?: boolean;
    readonly isDeep: boolean;
    /** The kinds whose dumps can be looked into: built-in ones and plugins'. */
    readonly kinds: readonly ConnectorKind[];
  },
  o: JobContext & {
    onResult?: (result: VerifyResult) => void;
    /** Told of each destination that could not be looked at; the others are checked all the same. */
    onUnreached?: (destination: FailedDestination) => void;
    /** Told of each folder that holds a backup's manifest under a name that is no backup's. */
    onStray?: (stray: Stray) => void;
  },
) => Promise<VerifyResult[]>;
