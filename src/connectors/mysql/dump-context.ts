import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpSettings } from "../../contracts/source.ts";
import type { Omission } from "../../contracts/manifest.ts";
import type { MysqlAddress } from "./address.ts";
import type { Client } from "./client.ts";
import type { Sight } from "./omissions.ts";
import type { Server } from "./server.ts";
import type { ClientTool } from "./tools.ts";

/** What a dump knows before its first byte. */
export interface DumpContext extends Abortable {
  readonly runtime: Runtime;
  readonly client: Client;
  readonly address: MysqlAddress;
  readonly server: Server;
  readonly tool: ClientTool;
  readonly sight: Sight;
  readonly settings: DumpSettings;
  /** What it leaves out. */
  readonly omitted: readonly Omission[];
}
