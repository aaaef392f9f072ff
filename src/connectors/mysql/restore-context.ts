import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { RestoreOptions } from "../../contracts/restore.ts";
import type { MysqlAddress } from "./address.ts";
import type { Client } from "./client.ts";
import type { Complaints } from "./complaints.ts";
import type { Selection } from "./selection.ts";
import type { Server } from "./server.ts";
import type { ClientTool } from "./tools.ts";
import type { Abroad } from "./translate.ts";

/** What a restore knows from its beginning to its end. */
export interface RestoreContext extends Abortable {
  readonly runtime: Runtime;
  readonly client: Client;
  readonly address: MysqlAddress;
  readonly isEncrypted: boolean;
  readonly server: Server;
  readonly tool: ClientTool;
  readonly selection: Selection;
  readonly options: RestoreOptions;
  /** Where the target is of the other flavour. */
  readonly abroad: Abroad | undefined;
  /** Where it goes on after statements that fail. */
  readonly complaints: Complaints | undefined;
}
