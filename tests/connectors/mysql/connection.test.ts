import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BackupError } from "../../../src/core/errors.ts";
import {
  optionValue,
  parseOptionValue,
  readOptionFiles,
} from "../../../src/connectors/mysql/option-file.ts";
import type { MysqlOptions } from "../../../src/connectors/mysql/mod.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { needs } from "../../support/needs.ts";
import { never } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp } from "../sqlite/memoryBackup.ts";
import { connect, type Flavour, flavours } from "./flavours.ts";
import { freshUser, passwords } from "./users.ts";

/** Backs up by driver and tool alike, which must both get in. */
async function dumpWith(
  flavour: Flavour,
  server: MysqlServer,
  options: MysqlOptions,
  env: Record<string, string> = {},
) {
  const connector = await connect(flavour, server, options, env);
  try {
    await connector.inspect({ signal: never });
    return await backUp(flavour.kind, connector);
  } finally {
    await connector.close();
  }
}

async function failure(work: Promise<unknown>): Promise<BackupError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof BackupError, String(error));
    assert.ok(error.hint, "has a hint");
    return error;
  }
  throw new Error("it did not fail");
}

for (const flavour of flavours) {
  needs(flavour.name).describe(`${flavour.kind.title} connection`, () => {
    test("logs in with passwords that trip over option files", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      for (const password of passwords) {
        const user = await freshUser(server, password, [`ALL ON \`${database}\`.*`]);
        const url = `${flavour.name}://${user}:${encodeURIComponent(password)}@127.0.0.1:` +
          `${server.port}/${database}`;
        const { result } = await dumpWith(flavour, server, { url });
        assert.equal(result.inventory.databases[0]?.objects[0]?.count, 1, password);
      }
    });

    test("uses sockets, and every way of TLS, for driver and tool alike", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      const { caFile: ca, otherCaFile } = server.tls;
      const ways: MysqlOptions[] = [
        { url: server.url().replace(/@[^/]+/, "@"), socket: server.socket },
        { tls: { mode: "disable" } },
        { tls: { mode: "require" } },
        { tls: { mode: "verify-ca", ca } },
        { tls: { mode: "verify-full", ca } },
        { tls: { ca } },
      ];
      for (const way of ways) {
        const { artifacts } = await dumpWith(flavour, server, { ...way, database });
        assert.equal(artifacts.length, 2, JSON.stringify(way));
      }
      for (const mode of ["verify-ca", "verify-full"] as const) {
        const refused = dumpWith(flavour, server, { tls: { mode, ca: otherCaFile } });
        assert.equal((await failure(refused)).code, "connection/tls");
      }
    });

    test("tells what keeps it from connecting", async () => {
      const server = await flavour.server();
      const code = async (options: MysqlOptions) =>
        (await failure(dumpWith(flavour, server, options))).code;
      assert.equal(await code({ password: "wrong" }), "connection/authentication");
      assert.equal(await code({ port: 1 }), "connection/unreachable");
      assert.equal(await code({ host: "nobody.invalid" }), "connection/unreachable");
      assert.equal(await code({ socket: "/nonexistent.sock" }), "connection/unreachable");
      assert.equal(await code({ database: "there_is_no_such" }), "connection/no-database");
      assert.equal(await code({ tls: { ca: "/nonexistent.pem" } }), "connection/tls");
      assert.equal(await code({ toolsDir: tempDir() }), "dump/tool-missing");
    });

    test("connects again when the server closed a connection that was silent for long", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      const user = await freshUser(server, "pw", [`ALL ON \`${database}\`.*`]);
      const connector = await connect(flavour, server, { user, password: "pw", database });
      await connector.databases({ signal: never });
      const find = `SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '${user}'`;
      await server.sql("", `KILL ${await server.sql("", find)}`);
      while (await server.sql("", find) !== "") await Bun.sleep(5);
      assert.deepEqual(await connector.databases({ signal: never }), [database]);
      await connector.close();
    });

    test("takes user, password and socket from ~/.my.cnf when none are given", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      const password = passwords[0]!;
      const user = await freshUser(server, password, [`ALL ON \`${database}\`.*`]);
      const home = tempDir("home");
      writeFileSync(
        join(home, ".my.cnf"),
        `[client]\nuser=${user}\npassword=${optionValue(password)}\nsocket = ${server.socket}\n`,
        { mode: 0o600 },
      );
      const url = `${flavour.name}:///${database}`;
      const { artifacts } = await dumpWith(flavour, server, { url }, { HOME: home });
      assert.equal(artifacts.length, 1);
      // A password that is given wins over the file's.
      const wrong = dumpWith(flavour, server, { url, password: "other" }, { HOME: home });
      assert.equal((await failure(wrong)).code, "connection/authentication");
    });

    test("notices a tool of the other flavour, and works under either kind", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2)");
      const other = flavours.find(({ name }) => name !== flavour.name)!;
      const connector = await connect(other, server, {
        url: server.url(database).replace(/^\w+/, other.name),
      });
      const info = await connector.inspect({ signal: never });
      assert.equal(info.flavour, flavour.kind.title);
      const { result } = await backUp(other.kind, connector);
      assert.equal(result.inventory.databases[0]?.objects[0]?.count, 2);
      await connector.close();

      const toolsDir = (await other.server()).binDir;
      const foreign = await connect(flavour, server, { database, toolsDir });
      const seen = await foreign.inspect({ signal: never });
      if (seen.tools[0]?.version === info.tools[0]?.version) return;
      assert.match(seen.warnings.join(), /client/);
      // MySQL's clients from 9.0 on cannot log in by mysql_native_password.
      if (flavour.name === "mariadb") {
        assert.equal((await failure(backUp(flavour.kind, foreign))).code, "dump/failed");
        return;
      }
      const dump = await backUp(flavour.kind, foreign);
      assert.equal(dump.result.inventory.databases[0]?.objects[0]?.count, 2);
      await foreign.close();
    });
  });
}

needs("mariadb")("MariaDB lets the own user in over the socket without a password", async () => {
  const [flavour] = flavours;
  const server = await flavour!.server();
  const database = await server.createDatabase();
  const url = `mariadb:///${database}?socket=${encodeURIComponent(server.socket)}`;
  const { artifacts } = await dumpWith(flavour!, server, { url });
  assert.equal(artifacts.length, 2);
});

describe("option files", () => {
  test("any value survives quoting", () => {
    for (const value of [...passwords, "", " ", '"', "'", "a # b", "\\n", "tab\there"]) {
      assert.equal(parseOptionValue(optionValue(value)), value);
    }
  });

  test("are read with their includes, later lines winning, and not when all may write", async () => {
    const home = tempDir("home");
    mkdirSync(join(home, "more"));
    const main = join(home, ".my.cnf");
    writeFileSync(
      main,
      "# note\n[mysqld]\nport=1\n[client]\nuser = a\npassword = x # y\n!includedir more\n",
      { mode: 0o600 },
    );
    writeFileSync(join(home, "more", "b.cnf"), "[mariadb-dump]\nuser=b\nport=3307\n");
    writeFileSync(join(home, "more", "c.txt"), "[client]\nuser=c\n");
    const found = await readOptionFiles({ HOME: home });
    assert.equal(found.user, "b");
    assert.equal(found.password, "x");
    assert.equal(found.port, 3307);
    writeFileSync(main, "[client]\nuser = open\n");
    chmodSync(main, 0o666);
    assert.notEqual((await readOptionFiles({ HOME: home })).user, "open");
  });
});
