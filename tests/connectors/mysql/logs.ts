import type { MysqlServer } from "../../support/mysqlServer.ts";

/** Begins a new file of the log, and removes all before it. */
export async function purgeLogs(server: MysqlServer): Promise<void> {
  await server.sql("", "FLUSH BINARY LOGS");
  const files = (await server.sql("", "SHOW BINARY LOGS")).split("\n");
  const last = files.at(-1)!.split("\t")[0]!;
  // MariaDB keeps a file until its checkpoint is in the next.
  for (let tries = 0; tries < 50; tries++) {
    await server.sql("", `PURGE BINARY LOGS TO '${last}'`);
    if ((await server.sql("", "SHOW BINARY LOGS")).startsWith(last)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the logs are not purged");
}

/** Begins the log anew, with the first file's name. */
export async function resetLogs(server: MysqlServer): Promise<void> {
  await server.sql(
    "",
    server.flavour === "mysql" ? "RESET BINARY LOGS AND GTIDS" : "RESET MASTER",
  );
}

/** Where the log stands: `binlog.000007:154`. */
export async function logPosition(server: MysqlServer): Promise<string> {
  const sql = server.flavour === "mysql" ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
  const [file, offset] = (await server.sql("", sql)).split("\t");
  return `${file}:${offset}`;
}
