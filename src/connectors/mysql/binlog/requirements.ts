import type { Abortable } from "../../../core/bytes.ts";
import type { DumpSettings } from "../../../contracts/source.ts";
import { quoteDefiner } from "../accounts.ts";
import type { Client } from "../client.ts";
import { canLock, maySeeLog } from "../position.ts";
import type { Server } from "../server.ts";

/**
 * Why a server's binary log cannot be what increments are made of, as the rest of a sentence;
 * undefined where it can.
 */
export async function obstacleTo(
  client: Client,
  server: Server,
  o: Abortable,
): Promise<string | undefined> {
  if (!server.hasBinlog) return "the server keeps no binary log (log_bin is off)";
  const [about] = await client.query(
    "SELECT @@GLOBAL.binlog_format AS format, @@GLOBAL.binlog_row_image AS image",
    o,
  );
  const [format, image] = [about?.["format"], about?.["image"]].map((one) =>
    String(one).toUpperCase()
  );
  if (format !== "ROW") return `binlog_format is ${format}, and only ROW can be replayed safely`;
  if (image !== "FULL") return `binlog_row_image is ${image}, and only FULL has whole rows`;
  const lacking = missingRights(server);
  if (lacking.length === 0) return undefined;
  return `user ${server.account} may not read the binary log; run: ` +
    `GRANT ${lacking.join(", ")} ON *.* TO ${quoteDefiner(server.account)}`;
}

/** Why a job with these settings has no increments, as the rest of a sentence. */
export function partialReason(
  { exclude, excludeData, dumpArgs, schemaOnly }: DumpSettings,
): string | undefined {
  const isWhole = [exclude, excludeData, dumpArgs].every((list = []) => list.length === 0) &&
    schemaOnly !== true;
  return isWhole
    ? undefined
    : "the job leaves out tables or rows, or has dumpArgs, and the log has the changes of all";
}

/** The rights that are missing to read the log and where it stands. */
function missingRights(server: Server): string[] {
  const mayRead = ["REPLICATION SLAVE", "REPLICATION REPLICA"].some((name) =>
    server.grants.has(name)
  );
  return [
    ...mayRead ? [] : ["REPLICATION SLAVE"],
    ...maySeeLog(server) ? [] : ["REPLICATION CLIENT"],
    ...canLock(server) ? [] : ["RELOAD"],
  ];
}
