import { freshName } from "../../support/freshName.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { never } from "../../support/runtime.ts";
import type { RestoreOptions } from "../../../src/contracts/restore.ts";
import type { DumpSettings } from "../../../src/contracts/source.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { connect, type Flavour } from "./flavours.ts";

/** Backs a database up and restores it under another name, on the same server unless told. */
export async function copied(
  flavour: Flavour,
  server: MysqlServer,
  database: string,
  { settings = {}, to = server, toFlavour = flavour, changed = {} }: {
    settings?: DumpSettings;
    to?: MysqlServer;
    toFlavour?: Flavour;
    changed?: Partial<RestoreOptions>;
  } = {},
) {
  const copy = freshName();
  const source = await connect(flavour, server, { database });
  const target = await connect(toFlavour, to, { database: copy });
  try {
    const info = await source.inspect({ signal: never, settings });
    const backup = await backUp(flavour.kind, source, { settings });
    const chain = chainOf(flavour.kind, backup);
    Object.assign(chain[0]!.manifest.source, { version: info.version, flavour: info.flavour });
    return { copy, info, backup, ...await restoreInto(target, chain, changed) };
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}
