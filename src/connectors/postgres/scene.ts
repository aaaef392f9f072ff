import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { RestoreOptions, RestoreResult, RestoreStep } from "../../contracts/restore.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Address } from "./address.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { markOf, type RestoreMark } from "./leftover.ts";
import type { SelectedDatabase } from "./selection.ts";
import type { Server } from "./server.ts";
import type { ToolSet } from "./tools.ts";

/** What every step of one restore needs. */
export interface Scene {
  readonly client: Client;
  readonly address: Address;
  readonly server: Server;
  readonly toolSets: readonly ToolSet[];
  /** A database to give orders from; none of those that are restored. */
  readonly place: string;
  readonly options: RestoreOptions;
  readonly inventories: readonly DatabaseInventory[];
  /** Tables that the job accepted to be lost, see {@link dependentTables} in losses.ts. */
  readonly unrestorable: ReadonlySet<string>;
  /** Whether the backup lacks something of the database. */
  readonly isPartial: boolean;
}

/** One step, and the archive that it restores. */
export interface Act {
  readonly step: RestoreStep;
  readonly source: SelectedDatabase;
  readonly head: ArchiveHead;
}

/** What one step did. */
export type StepResult = Omit<RestoreResult, "steps">;

/** What the functions of a restore get last. */
export type RestoreContext = Abortable & { readonly runtime: Runtime };

/** How the database of a step is marked while it is not in its place. */
export function markOfAct(
  { options }: Scene,
  { source, step }: Act,
  state: "unfinished" | "complete",
): RestoreMark {
  return markOf(step, source.artifact, options, state);
}
