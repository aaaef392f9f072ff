import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BackupError } from "../../../src/core/errors.ts";
import { type Bytes, bytesOf } from "../../../src/core/bytes.ts";
import { freshName } from "../../support/freshName.ts";
import { installed } from "../../support/installed.ts";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { needs } from "../../support/needs.ts";
import { run } from "../../support/run.ts";
import { never } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto, restoreOptions } from "../sqlite/memoryBackup.ts";
import { connect, type Flavour, flavours } from "./flavours.ts";
import { contentOf, makeSample } from "./sample.ts";
import { freshUser } from "./users.ts";
import { commandsOf } from "../../support/recipe.ts";

const starts = { mariadb: startMariadb, mysql: startMysql };

/** A chain whose manifest names the flavour and version as a run does. */
async function chainFrom(flavour: Flavour, server: MysqlServer, database?: string) {
  const connector = await connect(flavour, server, { database });
  try {
    const info = await connector.inspect({ signal: never });
    const backup = await backUp(flavour.kind, connector);
    const chain = chainOf(flavour.kind, backup);
    Object.assign(chain[0]!.manifest.source, { version: info.version, flavour: info.flavour });
    return { chain, backup, info };
  } finally {
    await connector.close();
  }
}

async function restoreTo(
  flavour: Flavour,
  server: MysqlServer,
  database: string | undefined,
  chain: Awaited<ReturnType<typeof chainFrom>>["chain"],
  changed: Parameters<typeof restoreInto>[2] = {},
) {
  const connector = await connect(flavour, server, { database });
  try {
    return await restoreInto(connector, chain, changed);
  } finally {
    await connector.close();
  }
}

const failsWith = (code: string, text: RegExp = /./) => (error: unknown) => {
  assert.ok(error instanceof BackupError, String(error));
  assert.equal(error.code, code);
  assert.match(`${error.message} ${error.hint}`, text);
  assert.ok(error.hint);
  return true;
};

for (const flavour of flavours) {
  needs(flavour.name).describe(`${flavour.kind.title} restore`, () => {
    test("takes one database, or all, out of a dump of all at one position", async () => {
      const server = await starts[flavour.name]();
      const [one, two] = ["one -x", "twö `2`"];
      for (const name of [one, two]) await server.createDatabase(name.replaceAll("`", "``"));
      await makeSample(server, one);
      await server.sql("", "CREATE DATABASE `nothing in it`; CREATE DATABASE `-dash`");
      await server.sql(two, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2)");
      const content = await contentOf(server, one);
      const { chain, backup, info } = await chainFrom(flavour, server);
      assert.equal(backup.artifacts.filter(({ head }) => head.role === "dump").length, 1);
      const { to } = backup.result;
      assert.equal(to?.type, "binlog");
      assert.deepEqual(
        { file: to?.["file"], offset: to?.["offset"], gtid: to?.["gtid"] },
        {
          file: info.position?.["file"],
          offset: info.position?.["offset"],
          gtid: info.position?.["gtid"],
        },
      );
      assert.ok(String(to?.["gtid"]).length > 0);

      const copy = freshName();
      await restoreTo(flavour, server, copy, chain, { databases: [one] });
      assert.deepEqual(await contentOf(server, copy), content);
      assert.deepEqual(
        (await server.sql("", "SHOW DATABASES")).split("\n").includes("copy"),
        false,
      );

      await server.sql("", `DROP DATABASE \`${one}\`; DROP DATABASE \`twö \`\`2\`\`\``);
      await server.sql("", "DROP DATABASE `-dash`; DROP DATABASE `nothing in it`");
      await restoreTo(flavour, server, undefined, chain, { databases: [one, two, "-dash"] });
      assert.deepEqual(await contentOf(server, one), content);
      assert.equal(await server.sql(two, "SELECT SUM(n) FROM t"), "3");
      await restoreTo(flavour, server, "nothing in it", chain);
      assert.match(await server.sql("", "SHOW DATABASES"), /nothing in it/);
      await server.stop();
    });

    test("refuses what is not empty, and replaces it only when told", async () => {
      const server = await flavour.server();
      const [source, target] = [await server.createDatabase(), await server.createDatabase()];
      await server.sql(source, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      await server.sql(target, "CREATE TABLE other (n INT); INSERT INTO other VALUES (7)");
      const { chain } = await chainFrom(flavour, server, source);
      await assert.rejects(
        restoreTo(flavour, server, target, chain),
        failsWith("restore/not-empty", /other.*--overwrite/),
      );
      assert.equal(await server.sql(target, "SELECT * FROM other"), "7");
      const { plan } = await restoreTo(flavour, server, target, chain, { isOverwrite: true });
      assert.equal(plan.isCheckedFirst, true);
      assert.match(plan.steps[0]!.loses!, /cannot rename/);
      assert.equal(await server.sql(target, "SHOW TABLES"), "t");
    });

    test("refuses names that no database can have, and the server's own", async () => {
      const server = await flavour.server();
      const source = await server.createDatabase();
      await server.sql(source, "CREATE TABLE t (n INT)");
      const { chain } = await chainFrom(flavour, server, source);
      for (const name of ["x".repeat(65), "trailing ", "smile 😀", "mysql", "SYS"]) {
        await assert.rejects(
          restoreTo(flavour, server, name, chain, { isOverwrite: true }),
          failsWith("restore/bad-name"),
        );
      }
    });

    test("leaves nothing behind when a restore into a new or empty database breaks", async () => {
      const server = await flavour.server();
      const [source, empty] = [await server.createDatabase(), freshName()];
      await server.sql(source, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      await server.sql("", `CREATE DATABASE ${empty} CHARACTER SET latin1`);
      const { backup } = await chainFrom(flavour, server, source);
      async function* broken(bytes: Uint8Array): Bytes {
        yield* bytesOf(bytes.subarray(0, bytes.length - 200));
        throw new BackupError("verification/corrupt", "a flipped bit", { hint: "x" });
      }
      const chain = chainOf(flavour.kind, backup, { open: broken });
      Object.assign(chain[0]!.manifest.source, { version: "0.1" });
      const created = freshName();
      for (const target of [created, empty]) {
        await assert.rejects(
          restoreTo(flavour, server, target, chain),
          failsWith("verification/corrupt"),
        );
      }
      assert.ok(!(await server.sql("", "SHOW DATABASES")).includes(created));
      assert.equal(await server.sql(empty, "SHOW TABLES"), "");
      assert.equal(await server.sql(empty, "SELECT @@character_set_database"), "latin1");
    });

    test("gives an empty database the character set of the dumped one", async () => {
      const server = await flavour.server();
      const [source, target] = [freshName(), await server.createDatabase()];
      await server.sql("", `CREATE DATABASE ${source} CHARACTER SET latin1 COLLATE latin1_bin`);
      const { chain } = await chainFrom(flavour, server, source);
      await restoreTo(flavour, server, target, chain);
      assert.equal(await server.sql(target, "SELECT @@collation_database"), "latin1_bin");
    });

    test("restores some tables only, with their triggers gone and the rest untouched", async () => {
      const server = await flavour.server();
      const [source, target] = [await server.createDatabase(), await server.createDatabase()];
      await makeSample(server, source);
      await server.sql(target, "CREATE TABLE mine (n INT); INSERT INTO mine VALUES (1)");
      const { chain } = await chainFrom(flavour, server, source);
      const only = ["texts", "v_base"];
      const { result } = await restoreTo(flavour, server, target, chain, { only });
      assert.deepEqual(result.differences, []);
      assert.equal(await server.sql(target, "SHOW TABLES"), "mine\ntexts\nv_base");
      assert.equal(
        await server.sql(target, "SELECT COUNT(*) FROM v_base"),
        await server.sql(source, "SELECT COUNT(*) FROM v_base"),
      );
      await assert.rejects(
        restoreTo(flavour, server, target, chain, { only: ["textz"] }),
        failsWith("restore/no-such-object", /texts/),
      );
      await assert.rejects(
        restoreTo(flavour, server, target, chain, { only }),
        failsWith("restore/not-empty"),
      );
      await server.sql(target, "DELETE FROM texts");
      const { plan } = await restoreTo(flavour, server, target, chain, { only, isOverwrite: true });
      assert.match(plan.steps[0]!.loses!, /texts/);
      assert.equal(await server.sql(target, "SELECT COUNT(*) FROM texts"), "12");
      assert.equal(await server.sql(target, "SELECT * FROM mine"), "1");
    });

    test("names accounts that are missing before it starts, and brings them with --accounts", async () => {
      const [server, other] = await Promise.all([starts[flavour.name](), flavour.server()]);
      const database = await server.createDatabase();
      const owner = await freshUser(server, "s3cret'\\pw", [`ALL ON \`${database}\`.*`]);
      const role = freshName();
      await server.sql(
        database,
        `CREATE TABLE t (n INT); CREATE ROLE ${role}; GRANT SELECT ON \`${database}\`.* TO ${role};
         CREATE DEFINER='${owner}'@'%' VIEW v AS SELECT * FROM t;
         GRANT ${role} TO '${owner}'@'%'; SET DEFAULT ROLE ${role} ${
          flavour.name === "mysql" ? "TO" : "FOR"
        } '${owner}'@'%'`,
      );
      const { chain } = await chainFrom(flavour, server, database);
      await assert.rejects(
        restoreTo(flavour, other, database, chain),
        failsWith("restore/missing-owners", new RegExp(`${owner}.*--accounts`)),
      );
      assert.ok(!(await other.sql("", "SHOW DATABASES")).includes(database));
      const { result } = await restoreTo(flavour, other, database, chain, { isWithAccounts: true });
      assert.match(result.warnings.join("\n"), /left as they are: .*root@localhost/);
      assert.equal(result.warnings.filter((text) => text.includes(owner)).length, 0);
      const login = await connect(flavour, other, {
        user: owner,
        password: "s3cret'\\pw",
        database,
      });
      assert.deepEqual(await login.databases({ signal: never }), [database]);
      await login.close();
      const grants = await other.sql("", `SHOW GRANTS FOR '${owner}'@'%'`);
      assert.ok(grants.includes(role) && grants.includes(database), grants);
      const created = await other.sql("", `SHOW CREATE USER '${owner}'@'%'`);
      assert.ok((created + grants).includes("DEFAULT ROLE"), created);
      assert.equal(await other.sql(database, "SELECT COUNT(*) FROM v"), "0");
      await other.sql("", `DROP USER '${owner}'@'%'; DROP ROLE ${role}; DROP DATABASE ${database}`);
      await server.stop();
    });

    test("refuses an older server, and tells of the other flavour", async () => {
      const server = await flavour.server();
      const source = await server.createDatabase();
      await server.sql(source, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
      const { chain } = await chainFrom(flavour, server, source);
      const { version } = chain[0]!.manifest.source;
      Object.assign(chain[0]!.manifest.source, { version: "99.1.2" });
      await assert.rejects(
        restoreTo(flavour, server, freshName(), chain),
        failsWith("restore/target-too-old", /99\.1/),
      );
      Object.assign(chain[0]!.manifest.source, { version });
      const other = flavours.find(({ name }) => name !== flavour.name)!;
      if (installed()[other.name] === undefined) return;
      const target = await connect(other, await other.server(), { database: freshName() });
      const options = restoreOptions();
      const plan = await target.planRestore(chain, options, { signal: never });
      assert.match(plan.warnings.join(), new RegExp(`of ${flavour.kind.title} .* target is`));
      await target.close();
      const present = await (await other.server()).createDatabase();
      await (await other.server()).sql(present, "CREATE TABLE x (n INT)");
      await assert.rejects(
        restoreTo(other, await other.server(), present, chain, { isOverwrite: true }),
        failsWith("restore/other-flavour"),
      );
    });

    test("is what RESTORE.txt says, run as written", async () => {
      const [server, target] = [await flavour.server(), await starts[flavour.name]()];
      const database = await server.createDatabase();
      await makeSample(server, database);
      const owner = await freshUser(server, "pw", [`SELECT ON \`${database}\`.*`]);
      const content = await contentOf(server, database);
      const { chain, backup } = await chainFrom(flavour, server, database);
      const folder = tempDir("recipe");
      const [{ manifest, artifacts }] = chain as [typeof chain[number]];
      for (const [index, artifact] of artifacts.entries()) {
        const file = artifact.volumes[0]!.name;
        writeFileSync(join(folder, file), backup.artifacts[index]!.bytes);
        const rawBytesCommand = `cat ${file}`;
        const lines = commandsOf(flavour.kind, manifest, artifact, rawBytesCommand);
        writeFileSync(join(folder, ".my.cnf"), await Bun.file(target.defaultsFile).text(), {
          mode: 0o600,
        });
        const { code, stderr } = await run("sh", ["-e", "-c", lines.join("\n")], {
          cwd: folder,
          env: { PATH: `${server.binDir}:/usr/bin:/bin`, HOME: folder },
        });
        assert.equal(code, 0, stderr);
      }
      assert.deepEqual(await contentOf(target, database), content);
      const host = await target.sql("", `SELECT Host FROM mysql.user WHERE User = '${owner}'`);
      assert.equal(host, "%");
      if (flavour.name === "mysql") {
        // The restored data is in the binary log, so that replicas get it.
        const [file = ""] = (await target.sql("", "SHOW BINARY LOG STATUS")).split("\t");
        const events = await target.sql("", `SHOW BINLOG EVENTS IN '${file}'`);
        assert.match(events, new RegExp(`${database}.*`));
      }
      await target.stop();
    });
  });
}
