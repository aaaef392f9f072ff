import type { Abortable } from "../../../core/bytes.ts";
import type { DumpSettings } from "../../../contracts/source.ts";
import { type Client, quoteText } from "../client.ts";
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
    `GRANT ${lacking.join(", ")} ON *.* TO ${accountOf(server)}`;
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
function missingRights({ grants, flavour }: Server): string[] {
  const has = (...names: readonly string[]) => names.some((name) => grants.has(name));
  return [
    ...has("REPLICATION SLAVE", "REPLICATION REPLICA") ? [] : ["REPLICATION SLAVE"],
    ...has("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") ? [] : ["REPLICATION CLIENT"],
    // mysqldump stops commits for the moment of its snapshot.
    ...flavour === "MariaDB" || has("RELOAD", "FLUSH_TABLES") ? [] : ["RELOAD"],
  ];
}

function accountOf({ account }: Server): string {
  const at = account.lastIndexOf("@");
  return [account.slice(0, at), account.slice(at + 1)].map(quoteText).join("@");
}
