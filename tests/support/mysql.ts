import path from "node:path";
import { installed } from "./installed.ts";
import {
  type MysqlOptions,
  type MysqlServer,
  rootPasswordSql,
  startMysqlServer,
} from "./mysqlServer.ts";
import { shared } from "./shared.ts";

/**
 * The shared MySQL server; made on first use, ended with the tests. Tests keep apart by
 * {@link MysqlServer.createDatabase} and leave its settings and users as they found them.
 *
 * @throws {Error} when `scripts/servers` has not installed it.
 */
export function mysql(): Promise<MysqlServer> {
  return shared("mysql", () => startMysql());
}

/** Starts a server of one's own, for tests that stop, kill or reconfigure it. */
export async function startMysql(options: MysqlOptions = {}): Promise<MysqlServer> {
  const found = installed().mysql;
  if (found === undefined) throw new Error("MySQL is missing: run scripts/servers");
  const binDir = path.join(found.root, "bin");
  return startMysqlServer({
    flavour: "mysql",
    server: path.join(found.root, "sbin/mysqld"),
    client: path.join(binDir, "mysql"),
    clientArgs: ["--commands=ON"], // off since 9.4
    binDir,
    template: found.template,
    settings: {
      basedir: found.root,
      "lc-messages-dir": path.join(found.root, "share/mysql"),
      "plugin-dir": path.join(found.root, "lib/mysql/plugin"),
      mysqlx: "OFF",
      "innodb-redo-log-capacity": "32M",
      "gtid-mode": "ON",
      "enforce-gtid-consistency": "ON",
    },
    // One statement a line: that is all an init file may have.
    grants: [
      "SET SESSION sql_log_bin = 0;",
      `ALTER USER 'root'@'localhost' IDENTIFIED BY ${rootPasswordSql};`,
      "",
    ].join("\n"),
  }, options);
}
