import path from "node:path";
import { installed } from "./installed.ts";
import {
  type MysqlOptions,
  type MysqlServer,
  rootPasswordSql,
  startMysqlServer,
} from "./mysqlServer.ts";
import { shared } from "./shared.ts";
import { ownName } from "./user.ts";

/**
 * The shared MariaDB server; made on first use, ended with the tests. Tests keep apart by
 * {@link MysqlServer.createDatabase} and leave its settings and users as they found them.
 *
 * @throws {Error} when `scripts/servers` has not installed it.
 */
export function mariadb(): Promise<MysqlServer> {
  return shared("mariadb", () => startMariadb());
}

/** Starts a server of one's own, for tests that stop, kill or reconfigure it. */
export async function startMariadb(options: MysqlOptions = {}): Promise<MysqlServer> {
  const found = installed().mariadb;
  if (found === undefined) throw new Error("MariaDB is missing: run scripts/servers");
  const grant = (user: string, how: string) => [
    `CREATE USER IF NOT EXISTS ${user};`,
    `ALTER USER ${user} IDENTIFIED VIA ${how};`,
    `GRANT ALL PRIVILEGES ON *.* TO ${user} WITH GRANT OPTION;`,
  ];
  const byPassword = `mysql_native_password USING PASSWORD(${rootPasswordSql})`;
  return startMysqlServer({
    flavour: "mariadb",
    server: found.server,
    client: path.join(found.binDir, "mariadb"),
    clientArgs: [],
    binDir: found.binDir,
    template: found.template,
    settings: {
      "binlog-format": "ROW", // as MySQL has it
      "innodb-log-file-size": "8M",
      "aria-pagecache-buffer-size": "8M",
      "skip-name-resolve": 1,
    },
    // One statement a line: that is all an init file may have.
    grants: [
      "SET SESSION sql_log_bin = 0;",
      ...grant("'root'@'localhost'", `unix_socket OR ${byPassword}`),
      ...grant("'root'@'127.0.0.1'", byPassword),
      ...ownName() === "root" ? [] : grant(`'${ownName()}'@'localhost'`, "unix_socket"),
      "",
    ].join("\n"),
  }, options);
}
