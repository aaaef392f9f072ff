import type { RestoreOptions, RestoreStep } from "../../contracts/restore.ts";
import type { Address } from "./address.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import type { ToolOrder } from "./pg-restore.ts";
import type { SelectedDatabase } from "./selection.ts";
import type { ToolSet } from "./tools.ts";

/** What is loaded, and where to. */
export interface LoadOrder {
  readonly client: Client;
  readonly address: Address;
  readonly tools: ToolSet;
  readonly serverMajor: number;
  readonly source: SelectedDatabase;
  readonly head: ArchiveHead;
  /** The part of the archive, as dump ids; undefined for all of it. */
  readonly ids: ReadonlySet<number> | undefined;
  readonly database: string;
  /** The name that it is to have in the end. */
  readonly to: string;
  readonly mode: RestoreStep["mode"];
  readonly options: RestoreOptions;
  /** Tables, dotted, that the job accepted to be lost with their rows. */
  readonly unrestorable: ReadonlySet<string>;
  /** Whether the backup lacks something that its constraints may look at. */
  readonly isPartial: boolean;
  /** Makes a database that this restore made as new as it was. */
  renew(): Promise<void>;
}

/** What every run of pg_restore for a load has in common. */
export function toolOrder(
  { tools, address, database, head, options }: LoadOrder,
  judge: ToolOrder["judge"],
): Omit<
  ToolOrder,
  "archive" | "archiveBytes" | "ids" | "jobs" | "isOneTransaction"
> {
  return { tools, address, database, head, restoreArgs: options.restoreArgs, judge };
}
