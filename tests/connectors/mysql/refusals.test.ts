import assert from "node:assert/strict";
import { unlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { BackupError, hasCode } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { copied } from "./copies.ts";
import { connect, flavours } from "./flavours.ts";
import { freshUser } from "./users.ts";

for (const flavour of flavours) {
  needs(flavour.name).describe(`what ${flavour.kind.title} refuses`, () => {
    test("is told in the server's own words, whatever it is", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      // A database that this user may not make.
      const user = await freshUser(server, "pw", [`ALL ON \`${database}\`.*`]);
      const target = await connect(flavour, server, {
        user,
        password: "pw",
        database: freshName(),
      });
      const source = await connect(flavour, server, { database });
      const backup = await backUp(flavour.kind, source);
      await source.close();
      await assert.rejects(
        restoreInto(target, chainOf(flavour.kind, backup)),
        (error) => hasCode(error, "restore/failed") && /Access denied/.test(error.message),
      );
      await target.close();
    });

    test("on the way to it is told as unreachable, also by a server of another sort", async () => {
      for (const greeting of ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", ""]) {
        const other = createServer((socket) => {
          socket.on("error", () => {});
          if (greeting === "") socket.end();
          else socket.write(greeting);
        });
        await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
        const { port } = other.address() as AddressInfo;
        const connector = await connect(flavour, await flavour.server(), {
          url: `${flavour.name}://root@127.0.0.1:${port}/x`,
          connectTimeoutMs: 500,
        });
        await assert.rejects(
          connector.inspect({ signal: never }),
          (error) => hasCode(error, "connection/unreachable"),
        );
        await connector.close();
        other.close();
      }
    });

    test("of a table that is broken is no defect of ours", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT) ENGINE=MyISAM; INSERT INTO t VALUES (1)");
      await server.sql(database, "FLUSH TABLES");
      unlinkSync(`${server.dataDir}/${database}/t.MYD`);
      const connector = await connect(flavour, server, { database });
      await assert.rejects(
        connector.inventory(database, { signal: never }),
        (error) => error instanceof BackupError && error.code === "restore/failed",
      );
      await assert.rejects(copied(flavour, server, database), (error) => hasCode(error, "dump/"));
      await connector.close();
      await server.sql("", `DROP DATABASE ${database}`).catch(() => {});
    });
  });
}
