import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { RestoreOptions } from "../../contracts/restore.ts";
import type { Client } from "./client.ts";
import type { Selection } from "./selection.ts";
import type { MongoAddress } from "./uri.ts";

/** What every part of a restore needs. */
export interface RestoreContext extends Abortable {
  readonly runtime: Runtime;
  readonly client: Client;
  readonly address: MongoAddress;
  /** The path of mongorestore. */
  readonly tool: string;
  readonly selection: Selection;
  readonly options: RestoreOptions;
}
