import assert from "node:assert/strict";
import { test } from "node:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { mariadb, startMariadb } from "./mariadb.ts";
import { mongo, startMongo } from "./mongo.ts";
import { mongoKindsAtHand } from "./mongoKinds.ts";
import { mysql, startMysql } from "./mysql.ts";
import type { MysqlServer } from "./mysqlServer.ts";
import { needs } from "./needs.ts";
import { postgres, startPostgres } from "./postgres.ts";
import { run } from "./run.ts";
import { tempDir, tmpfs } from "./workspace.ts";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`PostgreSQL ${version}`, () => {
    test("answers over the socket and is the same server each time", async () => {
      const server = await postgres(version);
      assert.ok(
        (await server.psql("postgres", "SHOW server_version_num")).startsWith(`${version}`),
      );
      assert.equal(await postgres(version), server);
    });

    test("wants the password over TCP", async () => {
      const server = await postgres(version);
      const ask = (url: string) =>
        run(path.join(server.binDir, "psql"), ["-XAtwc", "SELECT 1", url]);
      assert.partialDeepStrictEqual(await ask(server.url()), { code: 0, stdout: "1\n" });
      const refused = await ask(server.url("postgres", { password: "wrong" }));
      assert.match(refused.stderr, /password authentication failed/);
    });

    test("proves its name with TLS", async () => {
      const server = await postgres(version);
      const ask = (sslrootcert: string) =>
        run(path.join(server.binDir, "psql"), [
          "-Xwtc",
          "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
          server.url("postgres", {
            host: server.tls.hostname,
            params: { sslmode: "verify-full", sslrootcert },
          }),
        ]);
      assert.equal((await ask(server.tls.caFile)).stdout.trim(), "t");
      assert.match((await ask(server.tls.otherCaFile)).stderr, /certificate verify failed/);
    });

    test("dumps and restores with its own tools", async () => {
      const server = await postgres(version);
      const [from, to] = [await server.createDatabase(), await server.createDatabase()];
      await server.psql(from, "CREATE TABLE t AS SELECT generate_series(1, 1000) n");
      const dumped = await run(path.join(server.binDir, "pg_dump"), ["-Fc", server.url(from)]);
      assert.equal(dumped.code, 0);
      const restore = ["-d", server.url(to)];
      const restored = await run(path.join(server.binDir, "pg_restore"), restore, {
        input: dumped.stdoutBytes,
      });
      assert.partialDeepStrictEqual(restored, { code: 0, stderr: "" });
      assert.equal(await server.psql(to, "SELECT sum(n) FROM t"), "500500");
    });

    test("streams a base backup that a second server starts from", async () => {
      const server = await postgres(version);
      const folder = path.join(tempDir("base"), "data");
      const backup = await run(path.join(server.binDir, "pg_basebackup"), [
        ...["-d", server.url(), "-w", "-c", "fast", "-X", "stream", "-D", folder],
      ]);
      assert.partialDeepStrictEqual(backup, { code: 0 });
      const copy = await startPostgres(version, { dataDir: folder });
      const identifier = "SELECT system_identifier FROM pg_control_system()";
      assert.equal(
        await copy.psql("postgres", identifier),
        await server.psql("postgres", identifier),
      );
      await copy.stop();
    });

    test("comes back after a kill, with other settings", async () => {
      const server = await startPostgres(version);
      await server.psql("postgres", "CREATE TABLE t AS SELECT 1 n");
      await server.stop("SIGQUIT");
      await server.start({ max_connections: 20 });
      assert.equal(await server.psql("postgres", "SHOW max_connections; TABLE t"), "20\n1");
      await server.stop();
      assert.equal(existsSync(`/proc/${server.pid()}`), false);
    });
  });
}

const flavours = [
  {
    name: "mariadb",
    shared: mariadb,
    start: startMariadb,
    prefix: "mariadb",
    dump: "mariadb-dump",
  },
  { name: "mysql", shared: mysql, start: startMysql, prefix: "mysql", dump: "mysqldump" },
] as const;

for (const { name, shared, start, prefix, dump } of flavours) {
  const client = (server: MysqlServer, ...args: string[]) =>
    run(path.join(server.binDir, prefix), ["--no-defaults", "-BN", ...args], {
      env: { ...process.env, MYSQL_PWD: server.password },
    });
  const tcp = (server: MysqlServer) => ["-uroot", "-h127.0.0.1", `-P${server.port}`];

  needs(name).describe(name, () => {
    test("answers over the socket and is the same server each time", async () => {
      const server = await shared();
      assert.match(await server.sql("", "SELECT @@version_comment, @@log_bin"), /\t1$/);
      assert.equal(await shared(), server);
    });

    test("wants the password over TCP", async () => {
      const server = await shared();
      const asked = await client(server, ...tcp(server), "-e", "SELECT CURRENT_USER()");
      assert.partialDeepStrictEqual(asked, { code: 0 });
      const refused = await client({ ...server, password: "wrong" }, ...tcp(server), "-e", "");
      assert.match(refused.stderr, /Access denied/);
    });

    test("proves its name with TLS", async () => {
      const server = await shared();
      const verify = name === "mysql" ? "--ssl-mode=VERIFY_IDENTITY" : "--ssl-verify-server-cert";
      const ask = (ca: string) =>
        client(
          server,
          ...tcp(server),
          verify,
          `--ssl-ca=${ca}`,
          "-e",
          "SHOW STATUS LIKE 'Ssl_cipher'",
        );
      assert.match((await ask(server.tls.caFile)).stdout, /^Ssl_cipher\tTLS_/);
      assert.match((await ask(server.tls.otherCaFile)).stderr, /certificate/i);
    });

    test("dumps and restores with its own tools", async () => {
      const server = await shared();
      const [from, to] = [await server.createDatabase(), await server.createDatabase()];
      await server.sql(from, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2), (3)");
      const dumped = await run(path.join(server.binDir, dump), [
        `--defaults-file=${server.defaultsFile}`,
        "--single-transaction",
        ...name === "mysql" ? ["--set-gtid-purged=OFF"] : [],
        from,
      ]);
      assert.partialDeepStrictEqual(dumped, { code: 0 });
      await server.sql(to, dumped.stdout);
      assert.equal(await server.sql(to, "SELECT SUM(n) FROM t"), "6");
    });

    test("keeps a binary log that its own client reads", async () => {
      const server = await shared();
      const database = await server.createDatabase();
      const status = name === "mysql" ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
      const [file = ""] = (await server.sql("", status)).split("\t");
      const read = await run(
        path.join(server.binDir, `${prefix}${name === "mysql" ? "" : "-"}binlog`),
        [
          ...[`--defaults-file=${server.defaultsFile}`, "--read-from-remote-server", file],
        ],
      );
      assert.partialDeepStrictEqual(read, { code: 0 });
      assert.ok(read.stdout.includes(`CREATE DATABASE \`${database}\``));
    });

    test("comes back after a kill, with other settings", async () => {
      const server = await start();
      const database = await server.createDatabase();
      await server.sql(database, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
      await server.stop("SIGKILL");
      await server.start({ "max-connections": 20 });
      assert.equal(await server.sql(database, "SELECT n, @@max_connections FROM t"), "1\t20");
      await server.stop();
      assert.equal(existsSync(`/proc/${server.pid()}`), false);
    });
  });
}

needs("mariadb")("mariadb lets the own user in over the socket without a password", async () => {
  const server = await mariadb();
  const args = ["--no-defaults", "-BN", `--socket=${server.socket}`, "-e", "SELECT CURRENT_USER()"];
  const { code, stdout } = await run(path.join(server.binDir, "mariadb"), args);
  assert.equal(code, 0);
  assert.match(stdout, /@localhost/);
});

needs("mysql")("each mysql server has a UUID of its own and GTIDs", async () => {
  const [one, other] = [await mysql(), await startMysql()];
  const ask = (server: MysqlServer) => server.sql("", "SELECT @@server_uuid, @@gtid_mode");
  const [a, b] = [await ask(one), await ask(other)];
  assert.match(a, /\tON$/);
  assert.notEqual(a, b);
  await other.stop();
});

for (const kind of mongoKindsAtHand()) {
  for (const auth of [false, true]) {
    const title = `${kind.name}${auth ? " with logins" : ""}`;
    needs(kind.program, "mongotools")(
      `${title} is dumped and restored by mongo-tools`,
      async () => {
        const server = await mongo({ kind, auth });
        const client = await server.client();
        const database = server.freshDatabase();
        await client.db(database).collection<{ _id: number }>("c").insertMany([{ _id: 1 }, {
          _id: 2,
        }]);
        const tool = (name: string, args: string[], input?: Uint8Array) =>
          run(
            path.join(server.toolsDir ?? "", name),
            [`--uri=${server.url()}`, "--archive", ...args],
            {
              input,
            },
          );
        const dumped = await tool("mongodump", server.can("oplog") ? ["--oplog"] : []);
        assert.partialDeepStrictEqual(dumped, { code: 0 });
        await client.db(database).dropDatabase();
        const restored = await tool(
          "mongorestore",
          [`--nsInclude=${database}.*`],
          dumped.stdoutBytes,
        );
        assert.partialDeepStrictEqual(restored, { code: 0 });
        assert.equal(await client.db(database).collection("c").countDocuments(), 2);
      },
    );

    if (!auth) continue;
    needs(kind.program)(`${title} refuses a wrong password`, async () => {
      const server = await mongo({ kind, auth });
      const { MongoClient } = await import("mongodb");
      const connecting = MongoClient.connect(server.url("", { password: "wrong" }));
      await assert.rejects(connecting, /Authentication failed/i);
    });
  }

  needs(kind.program)(`${kind.name} comes back after it was stopped`, async () => {
    const server = await startMongo({ kind });
    const collection = (await server.client()).db("d").collection("c");
    await collection.insertOne({ n: 1 });
    await server.stop();
    await server.start();
    assert.equal(await (await server.client()).db("d").collection("c").countDocuments(), 1);
    await server.stop();
  });
}

needs("root")("tmpfs is a small disk that fills up", () => {
  const folder = tmpfs(64 * 1024);
  if (folder === undefined) return; // a container without the right to mount
  assert.throws(() => writeFileSync(path.join(folder, "big"), new Uint8Array(1 << 20)), /ENOSPC/);
});

needs("mongo")("a killed test process leaves no server and no folder behind", async () => {
  const script = `
    const { startMongo } = await import(${JSON.stringify(import.meta.resolve("./mongo.ts"))});
    const server = await startMongo();
    console.log(server.pid(), server.dataDir);
    process.kill(process.pid, "SIGKILL");
  `;
  const { signal, stdout } = await run(process.execPath, ["-e", script]);
  assert.equal(signal, "SIGKILL");
  const [pid, folder = ""] = stdout.trim().split(" ");
  const isRunning = () => /^State:\t[^ZX]/m.test(statusOf(pid));
  const deadline = Date.now() + 10_000;
  while ((isRunning() || existsSync(folder)) && Date.now() < deadline) await Bun.sleep(50);
  assert.equal(isRunning(), false);
  assert.equal(existsSync(folder), false);
});

function statusOf(pid: string | undefined): string {
  const file = `/proc/${pid}/status`;
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
