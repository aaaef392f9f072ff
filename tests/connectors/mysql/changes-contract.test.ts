import { changesContract } from "../../contracts/changes.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import { needs } from "../../support/needs.ts";
import type { MysqlOptions } from "../../../src/connectors/mysql/mod.ts";
import { flavours, runtimeOf } from "./flavours.ts";
import { purgeLogs } from "./logs.ts";

for (const { name, kind } of flavours) {
  needs(name).describe("the binary log", () => {
    changesContract(kind.title, async () => {
      const server = await (name === "mariadb" ? startMariadb() : startMysql());
      const counts = new Map<string, number>();
      const change = async (database: string) => {
        const count = counts.get(database) ?? 0;
        counts.set(database, count + 1);
        await server.sql(database, `INSERT INTO t VALUES (${count}, 'change')`);
      };
      const databaseOf = ({ database }: MysqlOptions) => String(database);
      return {
        kind,
        runtime: runtimeOf(server),
        async source() {
          const database = await server.createDatabase();
          await server.sql(database, "CREATE TABLE t (n INT PRIMARY KEY, v TEXT)");
          await change(database);
          return { url: server.url(), database };
        },
        change: (options) => change(databaseOf(options)),
        breakLog: () => purgeLogs(server),
      };
    });
  });
}
