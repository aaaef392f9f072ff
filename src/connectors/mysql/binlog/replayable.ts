import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { RestoreOptions } from "../../../contracts/restore.ts";
import type { MysqlAddress } from "../address.ts";
import type { Selection } from "../selection.ts";
import type { Server } from "../server.ts";
import { requireTool } from "../tools.ts";

/**
 * Makes sure that changes can be replayed on a server as they are to be.
 *
 * @throws BackupError `dump/tool-missing`, `connection/denied`, `restore/only-unsupported`,
 * `restore/target-foreign`
 */
export async function assertReplayable(
  { backup, isPartial }: Selection,
  { address, server, options }: {
    readonly address: MysqlAddress;
    readonly server: Server;
    readonly options: RestoreOptions;
  },
  o: Abortable & { readonly runtime: Runtime },
): Promise<void> {
  const { flavour } = backup.manifest.source;
  if (flavour !== server.flavour) {
    throw new BackupError(
      "restore/target-foreign",
      `The changes are in ${flavour}'s binary log, and the target is ${server.flavour}`,
      { hint: `Restore to ${flavour}, or the full backup ${backup.manifest.id} alone.` },
    );
  }
  if (isPartial) {
    throw new BackupError(
      "restore/only-unsupported",
      `Changes are replayed on whole databases, not on ${options.only.join(", ")} alone`,
      {
        hint:
          "Restore the database under another name, and take the tables out of it; or restore " +
          `the full backup ${backup.manifest.id} alone.`,
      },
    );
  }
  await requireTool("replay", server, address, o);
  const rights = server.flavour === "MySQL"
    ? ["BINLOG_ADMIN", "REPLICATION_APPLIER", "SUPER"]
    : ["BINLOG REPLAY", "SUPER"];
  if (rights.some((name) => server.grants.has(name))) return;
  throw new BackupError(
    "connection/denied",
    `${server.account} may not replay a binary log`,
    { hint: `Grant it ${rights[0]} ON *.*, or restore as an administrator.` },
  );
}
