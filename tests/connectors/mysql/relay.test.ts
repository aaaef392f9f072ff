import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { hasCode } from "../../../src/core/errors.ts";
import type { MysqlOptions } from "../../../src/connectors/mysql/mod.ts";
import { needs } from "../../support/needs.ts";
import { backUp } from "../sqlite/memoryBackup.ts";
import { tempDir } from "../../support/workspace.ts";
import { connect, flavours } from "./flavours.ts";
import { freshUser } from "./users.ts";

for (const flavour of flavours) {
  needs(flavour.name).describe(`FLOAT of ${flavour.kind.title} is read exactly`, () => {
    /** What a dump holds of a value that 6 digits do not tell, and what it leaves out. */
    const dumped = async (options: MysqlOptions, dumpArgs: readonly string[] = []) => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (f FLOAT); INSERT INTO t VALUES (16777215)");
      const connector = await connect(flavour, server, { database, ...options });
      try {
        const { artifacts, result } = await backUp(flavour.kind, connector, {
          settings: { dumpArgs },
        });
        const sql = new TextDecoder().decode(artifacts[0]!.bytes);
        return {
          value: /VALUES \((\d+)\)|VALUES\n\((\d+)\)/.exec(sql)?.slice(1).find(Boolean),
          result,
        };
      } finally {
        await connector.close();
      }
    };

    test("over TLS, without it, over a socket, and by an account of every kind", async () => {
      const server = await flavour.server();
      const { caFile: ca } = server.tls;
      const user = await freshUser(server, "päss'w", ["ALL ON *.*"]);
      const ways: MysqlOptions[] = [
        { tls: { mode: "disable" } },
        { tls: { mode: "require" } },
        { tls: { mode: "verify-ca", ca } },
        { tls: { mode: "verify-full", ca } },
        {
          url: `${flavour.name}://root@localhost/`,
          socket: server.socket,
          password: server.password,
        },
        { user, password: "päss'w", tls: { mode: "disable" } },
        { user, password: "päss'w" },
      ];
      for (const way of ways) {
        const { value, result } = await dumped(way);
        assert.equal(value, "16777215", JSON.stringify(way));
        assert.deepEqual(result.omitted, []);
      }
    });

    test("or an omission where the tool is led elsewhere by arguments of one's own", async () => {
      const server = await flavour.server();
      const { value, result } = await dumped({}, ["--protocol=TCP", `--port=${server.port}`]);
      assert.equal(value, "16777200");
      assert.equal(result.omitted.length, 1);
      assert.equal(result.omitted[0]!.name, "float-digits");
      assert.match(result.omitted[0]!.objects!.join(), /\.t\.f$/);
      assert.match(result.omitted[0]!.hint!, /dumpArgs.*DOUBLE/);
    });

    test("or an omission where the server lets the tool in only without us", async () => {
      const server = await flavour.server();
      const name = flavour.name === "mysql" ? "mysqldump" : "mariadb-dump";
      const toolsDir = tempDir("tools");
      const script = path.join(toolsDir, name);
      writeFileSync(
        script,
        `#!/bin/sh
case "$*" in *dbbackup-tmp-*) echo "$0: Got error: 1045: Access denied" >&2; exit 2;; esac
exec ${path.join(server.binDir, name)} "$@"
`,
      );
      chmodSync(script, 0o755);
      const { value, result } = await dumped({ toolsDir });
      assert.equal(value, "16777200");
      assert.deepEqual(result.omitted.map((one) => one.name), ["float-digits"]);
    });

    test("with the tool's own failure told as ever", async () => {
      await assert.rejects(
        dumped({}, ["--no-such-argument"]),
        (error) => hasCode(error, "dump/failed") && /no-such-argument/.test(error.message),
      );
    });
  });
}
