import { flavours } from "../connectors/mysql/flavours.ts";
import { assertMoments, record } from "../connectors/mysql/moments.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startMysql } from "../support/mysql.ts";
import { needs } from "../support/needs.ts";

for (const flavour of flavours) {
  needs(flavour.name)(
    `${flavour.kind.title} comes back at 100 moments, by time, position and GTID`,
    async () => {
      const server = await (flavour.name === "mariadb" ? startMariadb : startMysql)();
      await assertMoments(flavour, server, await record(flavour, server, 100));
    },
  );
}
